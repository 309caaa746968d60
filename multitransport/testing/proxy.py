"""A TCP proxy that breaks connections the way networks and other proxies do."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Literal, Self
from urllib.parse import urlsplit

from multitransport.testing.link import Direction, Link

__all__ = ["FaultProxy"]


class FaultProxy:
    """Stands before a server on 127.0.0.1. Use it with ``async with``; every attribute may be changed while it runs.

    ``latency_seconds``      holds each piece of data back
    ``bytes_per_second``     throttles each direction of each connection; None does not
    ``black_hole``           swallows everything in silence; a connection that met this stays dead, the others are
    half-open ``buffer_responses``     holds each HTTP response body back until it has ended or reached that many
    bytes; None does not ``websocket``            "pass", "block" (answers the handshake with 403) or "strip" (drops
    its Upgrade), for new connections
    """

    def __init__(self, target: str) -> None:
        """``target`` is the URL of the server; its path is kept for ``url``."""
        parts = urlsplit(target)
        self._target = parts.hostname or "127.0.0.1", parts.port or 80
        self._path = parts.path
        self.latency_seconds = 0.0
        self.bytes_per_second: float | None = None
        self.black_hole = False
        self.buffer_responses: int | None = None
        self.websocket: Literal["pass", "block", "strip"] = "pass"
        self.connections = 0
        self.cuts = 0
        self.blocked_handshakes = 0
        self.bytes_up = 0
        self.bytes_down = 0
        self._budget: dict[Direction, int] = {}
        self._server: asyncio.Server | None = None
        self._port = 0
        self._links: dict[Link, asyncio.Task[None]] = {}

    async def __aenter__(self) -> Self:
        await self.accept()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.refuse()
        tasks = list(self._links.values())
        self.cut()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def port(self) -> int:
        """The port it listens on, the same also after ``refuse``."""
        return self._port

    @property
    def url(self) -> str:
        """The target's URL, by way of this proxy."""
        return f"http://127.0.0.1:{self._port}{self._path}"

    @property
    def open_connections(self) -> int:
        """How many connections there are now, dead ones included."""
        return len(self._links)

    async def refuse(self) -> None:
        """Refuse new connections, as a host without a server does. Those that exist go on."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def accept(self) -> None:
        """Accept connections, again on the same port."""
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
            self._port = self._server.sockets[0].getsockname()[1]

    def cut(self) -> int:
        """Reset every connection, and return how many there were."""
        links = list(self._links)
        for link in links:
            link.reset()
        self.cuts += len(links)
        return len(links)

    def cut_after(self, count: int, direction: Direction = "down") -> None:
        """Reset, once, the connection that passes the ``count``-th byte from now in this direction, right behind it."""
        self._budget[direction] = count

    def half_close(self, direction: Direction = "down") -> None:
        """End this direction of every connection, and leave the other open."""
        for link in self._links:
            link.half_close(direction)

    # For the links

    def grant(self, data: bytes, direction: Direction) -> tuple[bytes, bool]:
        """Count bytes about to pass; return those that may, and whether to reset the connection behind them."""
        left = self._budget.get(direction)
        cut = left is not None and len(data) >= left
        if left is not None:
            data = data[:left]
            self._budget[direction] = left - len(data)
        if cut:
            del self._budget[direction]
            self.cuts += 1
        if direction == "down":
            self.bytes_down += len(data)
        else:
            self.bytes_up += len(data)
        return data, cut

    def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        link = Link(self, reader, writer)
        self._links[link] = asyncio.create_task(self._carry(link))

    async def _carry(self, link: Link) -> None:
        try:
            await link.run(*self._target)
        finally:
            del self._links[link]
            link.reset()
