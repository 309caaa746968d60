"""Clients that do not read, which no library would be."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import secrets
import socket
import struct
from typing import Any

import httpx

__all__ = ["Stalled"]

RECEIVE_BUFFER_BYTES = 4096


class Stalled:
    """A connection whose client says hello and joins a room, and then reads nothing until it is asked to."""

    def __init__(self, url: str) -> None:
        self.new = secrets.token_urlsafe(16)
        self._url = httpx.URL(url)
        self._socket = socket.socket()
        # Before it is connected: the window is agreed on then.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        self._socket.setblocking(False)

    async def open(self, transport: str, room: str, **options: Any) -> None:
        """Connect and ask for everything, over a transport or, as ``room``, by the room's URL."""
        loop = asyncio.get_running_loop()
        await loop.sock_connect(self._socket, (self._url.host, self._url.port))
        hello = ["hello", {"v": 1, "new": self.new, "attach": 1, "rooms": {room: {}}, **options}]
        message = json.dumps(hello).encode()
        if transport == "websocket":
            await loop.sock_sendall(self._socket, self._upgrade())
            while b"\r\n\r\n" not in await loop.sock_recv(self._socket, RECEIVE_BUFFER_BYTES):
                pass
            await loop.sock_sendall(self._socket, _masked(message) + _masked(b'["pong",0]'))
        elif transport == "room":
            await loop.sock_sendall(
                self._socket, f"GET {self._url.path}/rooms/{room} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
            )
        else:
            head = f"POST {self._url.path}/{transport} HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-ndjson\r\n"
            await loop.sock_sendall(self._socket, f"{head}Content-Length: {len(message)}\r\n\r\n".encode() + message)

    async def is_reset(self) -> bool:
        """Read to the end, and tell whether that was a reset."""
        loop = asyncio.get_running_loop()
        try:
            while await loop.sock_recv(self._socket, 1 << 20):
                pass
        except ConnectionResetError:
            return True
        return False

    def close(self) -> None:
        """Let go of the socket."""
        self._socket.close()

    def _upgrade(self) -> bytes:
        key = base64.b64encode(os.urandom(16)).decode()
        return (
            f"GET {self._url.path}/websocket HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
        ).encode()


def _masked(payload: bytes) -> bytes:
    """Return a text frame (RFC 6455, 5.2) with a mask that changes nothing."""
    size = len(payload)
    head = struct.pack("!BB", 0x81, 0x80 | size) if size < 126 else struct.pack("!BBH", 0x81, 0xFE, size)
    return head + bytes(4) + payload
