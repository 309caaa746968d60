"""Frames whose data is bytes: base64 in text, and on WebSocket a binary message of a head and the bytes as they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from multitransport.protocol.frames import encode

__all__ = ["BYTES", "Blob", "Frame", "encode_data", "messages", "split_message", "text"]

_LENGTH_BYTES = 4

BYTES = (bytes, bytearray, memoryview)
"""What counts as bytes. A tuple: a union would be made anew each time it is asked for."""


class Blob(msgspec.Struct, frozen=True, gc=False):
    """One frame with bytes, in both of its forms. Its length is that of its text, as that of any frame."""

    frame: bytes
    message: bytes

    def __len__(self) -> int:
        return len(self.frame)


Frame = bytes | Blob
"""One encoded frame."""


def text(frame: Frame) -> bytes:
    """Return a frame as text."""
    return frame.frame if isinstance(frame, Blob) else frame


def messages(frames: Iterable[Frame]) -> list[str | bytes]:
    """Return frames as WebSocket messages, in order: runs of text in one each, bytes by themselves."""
    found: list[str | bytes] = []
    run: list[bytes] = []
    for frame in frames:
        if not isinstance(frame, Blob):
            run.append(frame)
            continue
        if run:
            found.append(b"\n".join(run).decode())
            run = []
        found.append(frame.message)
    if run:
        found.append(b"\n".join(run).decode())
    return found


def encode_data(head: tuple[Any, ...], data: Any, options: Mapping[str, Any]) -> Frame:
    """Encode a frame that ends in ``data`` and, where there are any, options."""
    if not isinstance(data, BYTES):
        return encode((*head, data, options)) if options else encode((*head, data))
    top = encode((*head, None, options)) if options else encode((*head, None))
    frame = encode((*head, data, {**options, "b64": True}))
    return Blob(frame, len(top).to_bytes(_LENGTH_BYTES) + top + data)


def split_message(message: bytes) -> tuple[bytes, bytes]:
    """Return a binary message's head and bytes. Raises ValueError where there is no such head."""
    length = int.from_bytes(message[:_LENGTH_BYTES])
    start = _LENGTH_BYTES + length
    if not 0 < length <= len(message) - _LENGTH_BYTES:
        raise ValueError("the head of the binary message is not as long as it says")
    return message[_LENGTH_BYTES:start], message[start:]
