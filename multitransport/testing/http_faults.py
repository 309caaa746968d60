"""What a meddling HTTP proxy does to the bytes: as little parsing as holds a body back and spots a WebSocket."""

from __future__ import annotations

__all__ = ["FORBIDDEN", "ResponseHold", "is_websocket_handshake", "strip_upgrade"]

HEAD_END = b"\r\n\r\n"

FORBIDDEN = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def is_websocket_handshake(head: bytes) -> bool:
    """Tell whether this request head asks to upgrade to a WebSocket."""
    return _field(head, b"upgrade").lower() == b"websocket"


def strip_upgrade(head: bytes) -> bytes:
    """Return the request head without its hop-by-hop fields, as a proxy that knows no WebSocket passes it on."""
    lines = head.split(b"\r\n")
    return b"\r\n".join(line for line in lines if not line.lower().startswith((b"upgrade:", b"connection:")))


class ResponseHold:
    """Lets response heads through and holds each body back until it has ended or reached ``max_bytes``."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._held = b""
        self._body_bytes: int | None = None
        self._in_body = False
        self._open = False

    def feed(self, data: bytes) -> bytes:
        """Take bytes from the server and return those that may go on to the client."""
        if self._open:
            return data
        self._held += data
        passed = b""
        while self._held:
            count = self._whole_body() if self._in_body else self._whole_head()
            if count is None:
                break
            passed += self._take(count)
        if self._in_body and len(self._held) >= self._max_bytes:
            if self._body_bytes is not None:
                self._body_bytes -= len(self._held)
            passed, self._held = passed + self._held, b""
        return passed

    def _take(self, count: int) -> bytes:
        taken, self._held = self._held[:count], self._held[count:]
        self._in_body = not self._in_body
        return taken

    def _whole_head(self) -> int | None:
        head, end, rest = self._held.partition(HEAD_END)
        if not end:
            return None
        length = _field(head, b"content-length")
        self._body_bytes = int(length) if length else None
        status = head.split(b" ", 2)[1]
        if status == b"101":
            self._open = True
        elif status in (b"204", b"304"):
            self._body_bytes = 0
        return len(self._held) if self._open else len(self._held) - len(rest)

    def _whole_body(self) -> int | None:
        """Return the size of the body if all of it is here; of one in chunks, the end is known by its last chunk."""
        if self._body_bytes is not None:
            return self._body_bytes if len(self._held) >= self._body_bytes else None
        last = self._held.find(b"0\r\n\r\n")
        return None if last < 0 or self._held[max(0, last - 2) : last] not in (b"", b"\r\n") else last + 5


def _field(head: bytes, name: bytes) -> bytes:
    for line in head.split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.strip().lower() == name:
            return value.strip()
    return b""
