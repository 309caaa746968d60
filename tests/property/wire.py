"""One request or WebSocket as the network carries it: what either end has sent is under way until it is delivered, and
lost where the wire is cut before.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from multitransport.transports.app import TransportApp

__all__ = ["Wire"]

_BUFFERED = 2
"""Events under way to the client before the server has to wait, as it would on a socket."""


class Wire:
    """The server's end is a real ASGI call, made when the first event reaches it."""

    def __init__(self, app: TransportApp, path: str, body: bytes | None) -> None:
        """``body`` is a request's; None opens a WebSocket."""
        self.body = body
        self.up: deque[dict[str, Any]] = deque()
        self.down: deque[dict[str, Any]] = deque()
        self.cut_off = False
        self.status = 0
        self._app = app
        self.path = path
        self._arrived: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._room = asyncio.Event()
        self._call: asyncio.Task[None] | None = None
        if body is None:
            self.up.append({"type": "websocket.connect"})
        else:
            half = len(body) // 2
            self.up.append({"type": "http.request", "body": body[:half], "more_body": True})
            self.up.append({"type": "http.request", "body": body[half:], "more_body": False})

    @property
    def over(self) -> bool:
        """Whether the server is done with it."""
        return self._call is not None and self._call.done()

    def deliver_up(self) -> bool:
        """Let the next event reach the server; False where none is under way."""
        if not self.up:
            return False
        self._arrived.put_nowait(self.up.popleft())
        if self._call is None:
            self._call = asyncio.ensure_future(self._app(self._scope(), self._receive, self._send))
        return True

    def take_down(self) -> dict[str, Any] | None:
        """Take the next event off the wire for the client."""
        self._room.set()
        return self.down.popleft() if self.down else None

    def hang_up(self) -> None:
        """The client is gone. What it has sent may still arrive, and then its end."""
        self.up.append({"type": "http.disconnect" if self.body is not None else "websocket.disconnect", "code": 1006})

    def cut(self) -> None:
        """Lose what is under way in both directions; the server sees the end."""
        self.up.clear()
        self.down.clear()
        self.cut_off = True
        self._room.set()
        if self._call is not None:
            self.hang_up()
            self.deliver_up()

    async def end(self) -> None:
        """Cut it, and see how the server's call ended. Raises what it raised."""
        self.cut()
        if self._call is not None:
            done, _ = await asyncio.wait({self._call}, timeout=60)
            assert done, "the server does not let go of it"
            if not self._call.cancelled():  # as it is where the server cuts a connection
                self._call.result()

    async def _receive(self) -> dict[str, Any]:
        event = await self._arrived.get()
        if event["type"].endswith("disconnect"):
            self.cut_off = True
            self._room.set()
            self._arrived.put_nowait(event)
        return event

    async def _send(self, event: dict[str, Any]) -> None:
        while len(self.down) >= _BUFFERED and not self.cut_off:
            self._room.clear()
            await self._room.wait()
        if not self.cut_off:
            self.down.append(event)

    def _scope(self) -> dict[str, Any]:
        kind = {"type": "websocket"} if self.body is None else {"type": "http", "method": "POST"}
        headers = [(b"host", b"app.example"), (b"content-type", b"application/x-ndjson")]
        return {"path": f"/realtime/{self.path}", "root_path": "", "headers": headers, "http_version": "1.1", **kind}
