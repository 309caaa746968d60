"""One connection through the fault proxy."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import Literal, Protocol

from multitransport.testing.http_faults import FORBIDDEN, HEAD_END, ResponseHold, is_websocket_handshake, strip_upgrade

__all__ = ["Direction", "Faults", "Link"]

Direction = Literal["up", "down"]

_CHUNK_BYTES = 1 << 16


class Faults(Protocol):
    """What a link reads, again and again, to know how to behave."""

    latency_seconds: float
    bytes_per_second: float | None
    black_hole: bool
    buffer_responses: int | None
    websocket: Literal["pass", "block", "strip"]
    blocked_handshakes: int

    def grant(self, data: bytes, direction: Direction) -> tuple[bytes, bool]: ...


class Link:
    """Pumps bytes between a client and the server until both directions have ended."""

    def __init__(self, faults: Faults, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._faults = faults
        self._client = (reader, writer)
        self._server: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._dead = False
        self._closed: set[Direction] = set()
        self._hold: ResponseHold | None = None

    def reset(self) -> None:
        """End both connections with a RST."""
        for _, writer in filter(None, (self._client, self._server)):
            sock = writer.get_extra_info("socket")
            if sock is not None and sock.fileno() >= 0 and not writer.transport.is_closing():
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    def half_close(self, direction: Direction) -> None:
        """Send the end of the stream in one direction, and drop what else would go there."""
        self._closed.add(direction)
        end = self._client if direction == "down" else self._server
        if end is not None and not end[1].is_closing():
            # The peer may have reset the connection just now.
            with contextlib.suppress(OSError):
                end[1].write_eof()

    async def run(self, host: str, port: int) -> None:
        """Connect to the server and pump."""
        try:
            first = await self._first_bytes()
            if first is None:
                return
            self._server = await asyncio.open_connection(host, port)
            up = asyncio.create_task(self._pump(self._client[0], self._server[1], "up", first))
            down = asyncio.create_task(self._pump(self._server[0], self._client[1], "down"))
            try:
                await asyncio.gather(up, down)
            finally:
                up.cancel()
                down.cancel()
                await asyncio.gather(up, down, return_exceptions=True)
        except (OSError, asyncio.IncompleteReadError):
            return

    async def _first_bytes(self) -> bytes | None:
        """Look at the first request where WebSockets are to be kept out; None where it was answered here."""
        if self._faults.websocket == "pass":
            return b""
        reader, writer = self._client
        head = await reader.readuntil(HEAD_END)
        if not is_websocket_handshake(head):
            return head
        self._faults.blocked_handshakes += 1
        if self._faults.websocket == "strip":
            return strip_upgrade(head)
        writer.write(FORBIDDEN)
        await writer.drain()
        writer.write_eof()
        await reader.read()
        return None

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, direction: Direction, data: bytes = b""
    ) -> None:
        while True:
            data = data or await reader.read(_CHUNK_BYTES)
            await self._delay(len(data))
            if self._faults.black_hole:
                self._dead = True
            if self._dead:
                await self._swallow(reader)
            if not data:
                break
            passed, cut = self._faults.grant(self._filter(data, direction), direction)
            data = b""
            if writer.is_closing():
                break
            if direction not in self._closed:
                writer.write(passed)
            if cut:
                self.reset()
                break
            await writer.drain()
        if direction not in self._closed and not writer.is_closing():
            writer.write_eof()

    async def _delay(self, count: int) -> None:
        seconds = self._faults.latency_seconds
        if self._faults.bytes_per_second is not None:
            seconds += count / self._faults.bytes_per_second
        if seconds > 0:
            await asyncio.sleep(seconds)

    async def _swallow(self, reader: asyncio.StreamReader) -> None:
        """Read and forget, and never let on that the other end has gone."""
        while await reader.read(_CHUNK_BYTES):
            pass
        await asyncio.Event().wait()

    def _filter(self, data: bytes, direction: Direction) -> bytes:
        if direction == "up" or (self._faults.buffer_responses is None and self._hold is None):
            return data
        if self._hold is None:
            self._hold = ResponseHold(self._faults.buffer_responses or 0)
        return self._hold.feed(data)
