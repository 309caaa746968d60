"""Many WebSocket clients that cost little: they note how old publications are that arrive, and decode nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import secrets
import time
from array import array
from collections.abc import AsyncIterator, Sequence
from typing import Any

__all__ = ["Crowd", "crowd"]

_UPGRADE = (
    b"GET /realtime/websocket HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
_AT = b'{"at":'
_AT_ONCE = 50


class Crowd:
    """Members of these rooms. ``ages`` holds the seconds between publishing and receiving, of all of them."""

    def __init__(self, rooms: Sequence[str]) -> None:
        self.rooms = rooms
        self.ages = array("d")

    def forget(self) -> None:
        """Begin to note anew."""
        self.ages = array("d")

    def percentile(self, hundredth: int) -> float:
        """Return how many seconds that share of the deliveries took at most, and begin to note anew."""
        ages = sorted(self.ages)
        self.forget()
        return ages[len(ages) * hundredth // 100]


class _Member(asyncio.Protocol):
    def __init__(self, crowd: Crowd) -> None:
        self.joined: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._crowd = crowd
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(_UPGRADE)

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        if not self.joined.done():
            self._rest = self._open(data)
            return
        now = time.monotonic()
        start = data.find(_AT)
        while start >= 0 and (end := data.find(b",", start)) >= 0:
            self._crowd.ages.append(now - float(data[start + len(_AT) : end]))
            start = data.find(_AT, end)
        self._rest = data[start:] if start >= 0 else data[1 - len(_AT) :]

    def _open(self, data: bytes) -> bytes:
        if b"\r\n\r\n" in data:
            rooms: dict[str, dict[str, Any]] = {room: {} for room in self._crowd.rooms}
            hello = {"v": 1, "new": secrets.token_urlsafe(16), "attach": 1, "rooms": rooms}
            self._write(json.dumps(["hello", hello]).encode())
            return b""
        if data.count(b'["joined"') == len(self._crowd.rooms):
            self._write(b'["pong",0]')
            self.joined.set_result(None)
            return b""
        return data

    def _write(self, payload: bytes) -> None:
        """Write one text frame, with a mask that changes nothing (RFC 6455, 5.2)."""
        size = len(payload)
        head = bytes([0x81, 0x80 | size]) if size < 126 else bytes([0x81, 0xFE, *size.to_bytes(2)])
        self.transport.write(head + bytes(4) + payload)


@contextlib.asynccontextmanager
async def crowd(port: int, rooms: Sequence[str], count: int) -> AsyncIterator[Crowd]:
    """Have so many clients, each in all of these rooms."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8 * count), hard))
    loop = asyncio.get_running_loop()
    made = Crowd(rooms)
    members: list[_Member] = []
    try:
        for start in range(0, count, _AT_ONCE):
            for _ in range(start, min(start + _AT_ONCE, count)):
                _, member = await loop.create_connection(lambda: _Member(made), "127.0.0.1", port)
                members.append(member)
            await asyncio.wait_for(asyncio.gather(*(member.joined for member in members)), 30)
        yield made
    finally:
        for member in members:
            member.transport.abort()
