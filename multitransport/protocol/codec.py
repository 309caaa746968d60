"""Messages from a client, decoded: frames, frames that are malformed but can be told apart, or nothing at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import structs

from multitransport.protocol.binary import split_message
from multitransport.protocol.codes import ErrorCode
from multitransport.protocol.frames import SEQUENCED, Answer, ClientFrame, Publish, Send, Seq

__all__ = ["BadMessage", "Malformed", "decode_binary", "decode_message"]

_WITH_DATA = (Send, Publish, Answer)
_KINDS = frozenset(frame.__struct_config__.tag for frame in ClientFrame.__args__)

_decode_frame: Callable[[str], ClientFrame] = msgspec.json.Decoder(ClientFrame).decode
_decode_any = msgspec.json.Decoder(list[Any]).decode
_decode_base64 = msgspec.json.Decoder(bytes).decode
_check_syntax = msgspec.json.Decoder(msgspec.Raw).decode


class BadMessage(Exception):
    """The message cannot be decoded; nothing in it has an effect."""


class Malformed(msgspec.Struct, frozen=True):
    """A frame that is no good, told from its neighbours. ``seq`` is its number where that is readable."""

    code: ErrorCode
    message: str
    seq: int | None = None
    kind: str | None = None


def decode_message(message: str | bytes) -> list[ClientFrame | Malformed]:
    """Decode a message into its frames, in order; at least one.

    Raises BadMessage for invalid UTF-8, invalid JSON, a line that is not an array, or no frame at all.
    """
    try:
        text = message if isinstance(message, str) else message.decode()
        lines = text.split("\n") if "\n" in text else (text,)
        frames = [_decode_line(line) for line in lines if line and not line.isspace()]
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise BadMessage(str(error)) from None
    if not frames:
        raise BadMessage("the message has no frame")
    return frames


def _decode_line(line: str) -> ClientFrame | Malformed:
    if "\r" in line:
        # It is white space to JSON but ends a line in an event stream, where this data may travel on. In a string it is
        # not allowed, and must not become allowed here.
        _check_syntax(line)
        line = line.replace("\r", " ")
    try:
        frame = _decode_frame(line)
        return _unpacked(frame) if isinstance(frame, _WITH_DATA) and frame.options.b64 else frame
    except msgspec.ValidationError as error:
        return _blame(_decode_any(line), str(error))


def _unpacked(frame: Send | Publish | Answer) -> ClientFrame:
    """Return a frame whose data is base64 with the bytes it stands for. Raises ValidationError."""
    return structs.replace(frame, data=_decode_base64(frame.data))


def decode_binary(message: bytes) -> list[ClientFrame | Malformed]:
    """Decode a binary message: one frame and the bytes that are its data.

    Raises BadMessage where its head is not as long as it says, or is no frame with data.
    """
    try:
        head, data = split_message(message)
        if b"\n" in head:  # before it is decoded: a million empty frames would take a second
            raise ValueError("the head of the binary message is more than one line")
        [frame] = decode_message(head)
    except ValueError as error:
        raise BadMessage(str(error)) from None
    if isinstance(frame, Malformed):
        return [frame]
    if not isinstance(frame, _WITH_DATA):
        raise BadMessage("the head of the binary message is no frame with data")
    return [structs.replace(frame, data=data)]


def _blame(elements: list[Any], message: str) -> Malformed:
    """Say of a decoded array, no valid frame, whose seq it spoils."""
    kind = elements[0] if elements else None
    if not isinstance(kind, str):
        return Malformed(ErrorCode.BAD_FRAME, "a frame begins with its kind, a string")
    seq: int | None = None
    if kind in SEQUENCED and len(elements) > 1:
        try:
            seq = msgspec.convert(elements[1], Seq)
        except msgspec.ValidationError:
            seq = None
    if kind not in _KINDS:
        return Malformed(ErrorCode.UNKNOWN_KIND, f"there is no kind of frame {kind[:64]!r}", seq, kind)
    return Malformed(ErrorCode.BAD_FRAME, f"{kind}: {message}", seq, kind)
