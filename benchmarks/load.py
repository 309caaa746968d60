"""Clients that cost little, so that the server is what is measured: they count publications in what arrives and decode
nothing.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import struct
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["Client", "Server", "connect", "hello_message", "websocket_frame"]

_MARK = b'["pub"'
_WELCOME = b'["welcome"'
_UPGRADE = (
    b"GET /realtime/websocket HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
_POST = (
    b"POST /realtime/sse HTTP/1.1\r\nHost: bench\r\nContent-Type: application/x-ndjson\r\nContent-Length: %d\r\n\r\n%s"
)


def hello_message(*, join: bool) -> bytes:
    """Return a first message."""
    options: dict[str, Any] = {"v": 1, "new": secrets.token_urlsafe(16), "attach": 1}
    if join:
        options["rooms"] = {"bench": {}}
    return json.dumps(["hello", options]).encode()


def websocket_frame(payload: bytes) -> bytes:
    """Return one masked text frame."""
    mask = os.urandom(4)
    size = len(payload)
    head = struct.pack("!BB", 0x81, 0x80 | size) if size < 126 else struct.pack("!BBH", 0x81, 0x80 | 126, size)
    masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
    return head + mask + masked


class Client(asyncio.Protocol):
    """One connection: ``welcomed`` when the server has answered hello, ``count`` publications seen since."""

    def __init__(self, transport: str, *, join: bool) -> None:
        self.welcomed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.count = 0
        self.answered: asyncio.Future[None] | None = None
        self.last_at = 0.0
        self._hello = hello_message(join=join)
        self._transport = transport
        self._upgraded = transport == "sse"
        self._seen = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.wire = transport
        self.wire.write(_POST % (len(self._hello), self._hello) if self._upgraded else _UPGRADE)

    def data_received(self, data: bytes) -> None:
        if not self.welcomed.done():
            self._begin(data)
            return
        seen = self._seen + data
        found = seen.count(_MARK)
        if found:
            self.count += found
            self.last_at = time.perf_counter()
        self._seen = seen[-(len(_MARK) - 1) :]
        if self.answered is not None and not self.answered.done() and b'"x"' in data:
            self.answered.set_result(None)

    def _begin(self, data: bytes) -> None:
        self._seen += data
        if not self._upgraded and b"\r\n\r\n" in self._seen:
            self._upgraded = True
            self.wire.write(websocket_frame(self._hello))
        if _WELCOME in self._seen:
            self._seen = b""
            self.welcomed.set_result(None)

    async def request(self, frame: bytes) -> None:
        """Send a frame and wait for its answer, which holds ``"x"``."""
        self.answered = asyncio.get_running_loop().create_future()
        self.wire.write(websocket_frame(frame))
        await self.answered


async def connect(port: int, transport: str, *, join: bool = True) -> Client:
    """Return a client that has been welcomed."""
    loop = asyncio.get_running_loop()
    _, client = await loop.create_connection(lambda: Client(transport, join=join), "127.0.0.1", port)
    await asyncio.wait_for(client.welcomed, 20)
    return client


class Server:
    """A server in a process of its own."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.server", kind], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    @classmethod
    @contextmanager
    def running(cls, kind: str) -> Iterator[Server]:
        """Run a server for the length of a ``with`` block."""
        server = cls(kind)
        try:
            yield server
        finally:
            server._process.terminate()
            server._process.wait(10)

    async def ask(self, path: str) -> Any:
        """Return what the server answers on a measuring path."""
        url = f"http://127.0.0.1:{self.port}{path}"
        return await asyncio.to_thread(lambda: json.load(urllib.request.urlopen(url, timeout=120)))
