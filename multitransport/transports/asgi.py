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
    "Connection",
    "Headers",
    "Receive",
    "Scope",
    "Send",
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
# Of a body that is refused so much is read and dropped first: a server closes a connection whose request was not read
# to its end, and who still writes then never sees the answer (nginx makes it a 502).
_READ_IN_VAIN_BYTES = 16 * 1024 * 1024
_SERVERS = ("hypercorn", "uvicorn")


async def read_body(scope: Scope, receive: Receive, *, max_bytes: int, within_seconds: float) -> bytes:
    """Return a request's body, an ``application/x-ndjson``.

    Raises Close ``method_not_allowed``, ``unsupported_media_type``, ``too_large`` or ``too_slow``; ConnectionError
    where the client left.
    """
    refusal = _refusal_of_head(scope)
    chunks: list[bytes] = []
    size = 0
    more = True
    try:
        async with asyncio.timeout(within_seconds):
            while more and size <= max_bytes + _READ_IN_VAIN_BYTES:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ConnectionError("the client left")
                body = message.get("body", b"")
                size += len(body)
                if size > max_bytes and refusal is None:
                    refusal = Close(CloseCode.TOO_LARGE, f"the body is over {max_bytes} bytes")
                if refusal is None:
                    chunks.append(body)
                more = message.get("more_body", False)
    except TimeoutError:
        late = Close(CloseCode.TOO_SLOW, f"the body did not arrive within {within_seconds:g} s")
        raise refusal or late from None
    if refusal is not None:
        raise refusal
    return b"".join(chunks)


def _refusal_of_head(scope: Scope) -> Close | None:
    if scope["method"] != "POST":
        return Close(CloseCode.METHOD_NOT_ALLOWED, f"use POST, not {scope['method']}", allow="POST")
    content_type = next((value for name, value in scope["headers"] if name == b"content-type"), b"")
    if content_type.split(b";")[0].strip().lower() != NDJSON:
        return Close(CloseCode.UNSUPPORTED_MEDIA_TYPE, f"the body must be {NDJSON.decode()}")
    return None


async def respond(send: Send, status: int, headers: Headers, body: bytes) -> None:
    """Answer a request in one piece."""
    length = [(b"content-length", b"%d" % len(body)), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": [*headers, *length]})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def respond_close(send: Send, close: Close, headers: Headers) -> None:
    """Refuse a request: the status of the code, and its frame."""
    told = [*headers, (b"content-type", NDJSON)]
    if close.retry_after_seconds is not None:
        told.append((b"retry-after", b"%d" % max(1, round(close.retry_after_seconds))))
    if close.allow is not None:
        told.append((b"allow", close.allow.encode()))
    await respond(send, close.http_status, told, close.frame + b"\n")


class Connection:
    """The socket behind a request, as far as the server lets it be found.

    ASGI can neither cut a connection nor tell whether its client keeps up: a send that waits for a client which does
    not read outlives even its task's cancellation in the server. So this walks from ``send`` to the socket's transport,
    which Hypercorn and Uvicorn keep there. Elsewhere, behind a middleware that wraps ``send``, and where a connection
    carries other requests too (HTTP/2), it makes do without.
    """

    __slots__ = ("_task", "_transport")

    def __init__(self, scope: Scope, send: Send) -> None:
        alone = str(scope.get("http_version", "1.1")).startswith("1")
        self._transport = _find_transport(send) if alone else None
        self._task = asyncio.current_task()

    def keeps_up(self) -> bool:
        """Tell whether all that was written has gone to the kernel, so that the server's send will not wait."""
        transport = self._transport
        return transport is not None and transport.get_write_buffer_size() == 0

    def abort(self) -> None:
        """Cut the connection at once; where that cannot be, cancel the task that carries it."""
        if self._transport is not None:
            sock = self._transport.get_extra_info("socket")
            if sock is not None:
                with contextlib.suppress(OSError, ValueError):  # one that is closed already, ValueError by uvloop
                    # Reset instead of FIN: otherwise the kernel keeps megabytes for a client that never reads them.
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._transport.abort()
        elif self._task is not None:
            self._task.cancel()


def _find_transport(send: Send) -> asyncio.WriteTransport | None:
    owner = getattr(send, "__self__", None)
    if type(owner).__module__.partition(".")[0] not in _SERVERS:
        return None
    for _ in range(_WRAPPERS):
        transport = getattr(owner, "transport", None)  # Uvicorn
        writer = getattr(owner, "writer", None)  # Hypercorn
        if transport is None and writer is not None:
            transport = writer.transport
        if transport is not None and hasattr(transport, "abort"):
            found: asyncio.WriteTransport = transport
            return found
        owner = getattr(getattr(owner, "send", None), "__self__", None)
        if owner is None:
            return None
    return None
