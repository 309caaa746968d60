"""What is in Redis and on its channels, encoded and decoded. All of it is data from outside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta

from multitransport.core.publication import Draft
from multitransport.protocol.position import MAX_COUNT

__all__ = [
    "Announced",
    "BadAnnouncement",
    "Entry",
    "Flashed",
    "Published",
    "Renewed",
    "announcement",
    "decode",
    "decode_body",
    "encode_body",
    "is_announcement",
]

_VERSION = b"1"

Name = Annotated[str, Meta(max_length=4096)]
Short = Annotated[str, Meta(max_length=64)]
Epoch = Annotated[str, Meta(min_length=1, max_length=64)]
Offset = Annotated[int, Meta(ge=0, le=MAX_COUNT)]


class BadAnnouncement(Exception):
    """It is not what this version of this deployment says; the message says how."""


class Published(msgspec.Struct, frozen=True, array_like=True, tag="pub"):
    """A publication got its place. Up to ``base`` a state room has forgotten its deletions."""

    room: Name
    epoch: Epoch
    offset: Offset
    id: Short
    base: Offset


class Renewed(msgspec.Struct, frozen=True, array_like=True, tag="epoch"):
    """A room has another epoch, or none for now."""

    room: Name
    epoch: Short


class Flashed(msgspec.Struct, frozen=True, array_like=True, tag="flash"):
    """A volatile publication."""

    room: Name


Announced = Published | Renewed | Flashed


class Entry(NamedTuple):
    """A publication in the log; its draft's id is the log's own. ``age_seconds`` is how long it is there."""

    offset: int
    draft: Draft
    age_seconds: float


class Body(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """A publication's own part. New fields go to the end."""

    event: str
    data: bytes
    binary: bool = False
    key: str | None = None
    deleted: bool = False
    source: str | None = None
    exclude: str | None = None
    ask: str | None = None


_encode = msgspec.msgpack.Encoder().encode
_decode_body = msgspec.msgpack.Decoder(Body).decode
_decode_head = msgspec.json.Decoder(Announced).decode
_check_json: Callable[[str], msgspec.Raw] = msgspec.json.Decoder(msgspec.Raw).decode


def encode_body(draft: Draft) -> bytes:
    """Encode what every node has to know of a publication."""
    return _encode(
        Body(draft.event, draft.data, draft.binary, draft.key, draft.deleted, draft.source, draft.exclude, draft.ask)
    )


def decode_body(body: bytes, entry_id: str | None) -> Draft:
    """Decode a publication. Raises BadAnnouncement where it could not be sent to a client as it is."""
    try:
        found = _decode_body(body)
        if not found.binary:
            _check_json(found.data.decode())
            if b"\n" in found.data or b"\r" in found.data:
                raise BadAnnouncement("its data has line breaks")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadAnnouncement(str(error)) from None
    return Draft(
        found.event,
        found.data,
        found.binary,
        found.key,
        found.deleted,
        found.source,
        found.exclude,
        found.ask,
        entry_id,
    )


def announcement(announced: Announced, body: bytes = b"") -> bytes:
    """Encode an announcement. That of a publication is made in Redis, where its offset is."""
    return b"%b%b\n%b" % (_VERSION, msgspec.json.encode(announced), body)


def is_announcement(message: bytes) -> bool:
    """Tell whether it begins as one of this version."""
    return message[:1] == _VERSION


def decode(message: Any) -> tuple[Announced, bytes]:
    """Decode an announcement's head, and return it with its body. Raises BadAnnouncement."""
    if not isinstance(message, bytes) or not is_announcement(message):
        raise BadAnnouncement(f"it is not of version {_VERSION.decode()}")
    head, _, body = message[1:].partition(b"\n")
    try:
        return _decode_head(head), body
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadAnnouncement(str(error)) from None
