"""ASGI, as far as the transports need it: bodies in, answers out, and a way to cut a connection."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any

from multitransport.node.attachment import Close
from multitransport.node.host import Scope
from multitransport.protocol.codes import CloseCode

__all__ = [
    "EVENT_STREAM",
    "NDJSON",
    "Headers",
    "Receive",
    "Scope",
    "Send",
    "aborter",
    "read_body",
    "respond",
    "respond_close",
]

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

NDJSON = b"application/x-ndjson"
EVENT_STREAM: Headers = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store, no-transform"),
    # nginx would hold the events back otherwise.
    (b"x-accel-buffering", b"no"),
]
_RESET = struct.pack("ii", 1, 0)
_WRAPPERS = 6


async def read_body(scope: Scope, receive: Receive, *, max_bytes: int, within_seconds: float) -> bytes:
    """Return a request's body, an ``application/x-ndjson``.

    Raises Close ``method_not_allowed``, ``unsupported_media_type``, ``too_large`` or ``too_slow``; ConnectionError
    where the client left.
    """
    if scope["method"] != "POST":
        raise Close(CloseCode.METHOD_NOT_ALLOWED, f"use POST, not {scope['method']}")
    content_type = next((value for name, value in scope["headers"] if name == b"content-type"), b"")
    if content_type.split(b";")[0].strip().lower() != NDJSON:
        raise Close(CloseCode.UNSUPPORTED_MEDIA_TYPE, f"the body must be {NDJSON.decode()}")
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(within_seconds):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ConnectionError("the client left")
                chunks.append(message.get("body", b""))
                size += len(chunks[-1])
                if size > max_bytes:
                    raise Close(CloseCode.TOO_LARGE, f"the body is over {max_bytes} bytes")
                if not message.get("more_body", False):
                    return b"".join(chunks)
    except TimeoutError:
        raise Close(CloseCode.TOO_SLOW, f"the body did not arrive within {within_seconds:g} s") from None


async def respond(send: Send, status: int, headers: Headers, body: bytes) -> None:
    """Answer a request in one piece."""
    length = [(b"content-length", b"%d" % len(body)), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": [*headers, *length]})
    await send({"type": "http.response.body", "body": body})


async def respond_close(send: Send, close: Close, headers: Headers) -> None:
    """Refuse a request: the status of the code, and its frame."""
    told = [*headers, (b"content-type", NDJSON)]
    if close.retry_after_seconds is not None:
        told.append((b"retry-after", b"%d" % max(1, round(close.retry_after_seconds))))
    if close.code is CloseCode.METHOD_NOT_ALLOWED:
        told.append((b"allow", b"POST" if "POST" in close.reason.split(",")[0] else b"GET"))
    await respond(send, close.code.http_status, told, close.frame + b"\n")


def aborter(scope: Scope, send: Send) -> Callable[[], None]:
    """Return what cuts the connection at once, whatever the client does.

    Nothing in ASGI can: a send that waits for a client which does not read outlives its task's cancellation in the
    server. So this walks from ``send`` to the socket's transport, which Hypercorn and Uvicorn keep there, and resets
    it. Elsewhere, and where a connection carries other requests too (HTTP/2), it cancels the task that carries the
    request.
    """
    transport = _find_transport(send) if str(scope.get("http_version", "1.1")).startswith("1") else None
    task = asyncio.current_task()

    def abort() -> None:
        if transport is not None:
            sock = transport.get_extra_info("socket")
            if sock is not None:
                with contextlib.suppress(OSError):
                    # Reset instead of FIN: otherwise the kernel keeps megabytes for a client that never reads them.
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            transport.abort()
        elif task is not None:
            task.cancel()

    return abort


def _find_transport(send: Send) -> asyncio.WriteTransport | None:
    owner = getattr(send, "__self__", None)
    for _ in range(_WRAPPERS):
        if owner is None:
            return None
        transport = getattr(owner, "transport", None)  # Uvicorn
        writer = getattr(owner, "writer", None)  # Hypercorn
        if transport is None and writer is not None:
            transport = writer.transport
        if transport is not None and hasattr(transport, "abort"):
            found: asyncio.WriteTransport = transport
            return found
        owner = getattr(getattr(owner, "send", None), "__self__", None)
    return None
