"""Server-Sent Events, encoded (WHATWG HTML, "Server-sent events")."""

from __future__ import annotations

__all__ = ["comment", "encode_event", "encode_message"]


def encode_message(frames: bytes) -> bytes:
    """Encode newline-joined frames as the data of one event."""
    return b"data: " + frames.replace(b"\n", b"\ndata: ") + b"\n\n"


def encode_event(data: str, *, event: str | None = None, id: str | None = None, retry_ms: int | None = None) -> bytes:  # noqa: A002
    """Encode one event. Line ends in ``data`` of any kind split it; in ``event`` and ``id`` they are dropped."""
    lines = []
    if id is not None:
        lines.append(f"id: {_one_line(id)}")
    if event is not None:
        lines.append(f"event: {_one_line(event)}")
    lines.extend(f"data: {line}" for line in _lines(data))
    if retry_ms is not None:
        lines.append(f"retry: {retry_ms}")
    return ("\n".join(lines) + "\n\n").encode()


def comment(text: str = "") -> bytes:
    """Encode a comment, which readers skip: it keeps the connection warm."""
    return "".join(f": {line}\n" for line in _lines(text)).encode() + b"\n"


def _lines(text: str) -> list[str]:
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _one_line(text: str) -> str:
    # A NUL would make a reader ignore the id.
    return text.replace("\r", "").replace("\n", "").replace("\0", "")
