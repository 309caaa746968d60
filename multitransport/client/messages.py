"""Messages as bytes: text of frames, or binary with one frame whose data is bytes."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from typing import Any

import msgspec

from multitransport.client.events import Closed
from multitransport.protocol.binary import split_message

__all__ = ["BROKEN", "binary_message", "data_of", "decode_message", "encode", "is_binary", "read_close", "read_closed"]

encode = msgspec.json.Encoder().encode

BROKEN = (msgspec.MsgspecError, AttributeError, LookupError, TypeError, ValueError, RecursionError)
"""What reading a message that is no good may raise."""

_decode_lines = msgspec.json.Decoder(list[Any]).decode_lines
_decode_head = msgspec.json.Decoder(list[Any]).decode

_DATA_AT = {"pub": 4, "reply": 2}
"""Which element is the data."""


def is_binary(message: bytes | str) -> bool:
    """Tell a binary message: its first byte, the highest of a length, is zero, with which no JSON begins."""
    return isinstance(message, bytes) and message[:1] == b"\0"


def binary_message(head: bytes, data: bytes) -> bytes:
    """Return the message of a frame, encoded without its data, and that data."""
    return len(head).to_bytes(4) + head + data


def decode_message(message: bytes | str) -> list[Any]:
    """Return the frames of a message. Raises one of BROKEN."""
    if not (isinstance(message, bytes) and is_binary(message)):
        return _decode_lines(message)
    head, data = split_message(message)
    frame = _decode_head(head)
    frame[_DATA_AT[frame[0]]] = data
    return [frame]


def data_of(data: Any, options: Mapping[str, Any]) -> Any:
    """Return the data of a frame as the program gets it. Raises ValueError for base64 that is none."""
    return b64decode(data, validate=True) if options.get("b64") else data


def read_close(body: bytes) -> Closed | None:
    """Return what a refusal says; None where it is not in this protocol, but from something before the server."""
    try:
        return next((read_closed(frame) for frame in _decode_lines(body) if frame[0] == "close"), None)
    except BROKEN:
        return None


def read_closed(frame: list[Any]) -> Closed:
    """Return what a ``close`` frame says."""
    _, code, reason, *rest = frame
    options = rest[0] if rest else {}
    return Closed(int(code), str(reason), options.get("retry_after"), options.get("code"))
