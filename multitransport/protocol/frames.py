"""The frames of the wire: those a client sends, as types; those a server sends, as encoded bytes.

docs/reference/protocol.md says what each means.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw

from multitransport.protocol.position import MAX_COUNT, Position

__all__ = [
    "MAX_EVENT_CHARACTERS",
    "MAX_RATE",
    "MIN_RATE",
    "SEQUENCED",
    "Ack",
    "Answer",
    "AnswerError",
    "Bye",
    "ClientFrame",
    "DataOptions",
    "Hello",
    "HelloOptions",
    "Join",
    "JoinOptions",
    "Leave",
    "Ping",
    "Pong",
    "Presence",
    "Publish",
    "Send",
    "encode",
]

Count = Annotated[int, Meta(ge=0, le=MAX_COUNT)]
Seq = Annotated[int, Meta(ge=1, le=MAX_COUNT)]
MIN_RATE = 0.001
MAX_RATE = 1000
Rate = Annotated[float, Meta(ge=MIN_RATE, le=MAX_RATE)]
MAX_EVENT_CHARACTERS = 255
Event = Annotated[str, Meta(min_length=1, max_length=MAX_EVENT_CHARACTERS)]
Key = Annotated[str, Meta(min_length=1, max_length=255)]
Code = Annotated[str, Meta(pattern=r"^[a-z0-9_]{1,64}\Z")]
Nonce = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{22,64}\Z")]


def _plain(value: Any) -> Any:
    """Return what a pydantic model says; pydantic itself need not be installed."""
    if not hasattr(value, "model_dump"):
        raise TypeError(f"Encoding objects of type {type(value).__name__} is unsupported")
    return value.model_dump(mode="json")


encode = msgspec.json.Encoder(enc_hook=_plain).encode
"""Encode one server frame, given as a sequence; bytes without newlines."""


class JoinOptions(msgspec.Struct, frozen=True):
    """How to enter a room: after a position, or with some history."""

    position: Position | None = None
    history: Count | None = None
    max_rate: Rate | None = None


class HelloOptions(msgspec.Struct, frozen=True):
    """What hello says."""

    v: int
    new: Nonce
    attach: Seq
    token: Annotated[str, Meta(max_length=1024)] | None = None
    auth: Raw = Raw(b"null")
    acked: Count = 0
    had: Annotated[frozenset[Seq], Meta(max_length=1000)] = frozenset()
    """Seqs above ``acked`` whose outcomes the client has, too."""
    rooms: dict[str, JoinOptions] = {}
    wait: Annotated[float, Meta(ge=0)] | None = None


class DataOptions(msgspec.Struct, frozen=True, omit_defaults=True):
    """What follows data: whether it is bytes, as base64, and in a state room its key."""

    b64: bool = False
    key: Key | None = None
    deleted: bool = False


class Hello(msgspec.Struct, array_like=True, frozen=True, tag="hello"):
    options: HelloOptions


class Join(msgspec.Struct, array_like=True, frozen=True, tag="join"):
    seq: Seq
    room: str
    options: JoinOptions = JoinOptions()


class Leave(msgspec.Struct, array_like=True, frozen=True, tag="leave"):
    seq: Seq
    room: str


# ``data`` is JSON as it came; the codec puts plain bytes in its place where the frame carries bytes.


class Send(msgspec.Struct, array_like=True, frozen=True, tag="send"):
    seq: Seq
    event: Event
    data: Raw
    options: DataOptions = DataOptions()


class Publish(msgspec.Struct, array_like=True, frozen=True, tag="publish"):
    seq: Seq
    room: str
    event: Event
    data: Raw
    options: DataOptions = DataOptions()


class Presence(msgspec.Struct, array_like=True, frozen=True, tag="presence"):
    seq: Seq
    room: str
    meta: Raw


class Answer(msgspec.Struct, array_like=True, frozen=True, tag="answer"):
    seq: Seq
    id: Event
    data: Raw
    options: DataOptions = DataOptions()


class AnswerError(msgspec.Struct, array_like=True, frozen=True, tag="answer_error"):
    seq: Seq
    id: Event
    code: Code
    message: str


class Ack(msgspec.Struct, array_like=True, frozen=True, tag="ack"):
    through: Count


class Ping(msgspec.Struct, array_like=True, frozen=True, tag="ping"):
    t: float


class Pong(msgspec.Struct, array_like=True, frozen=True, tag="pong"):
    t: float


class Bye(msgspec.Struct, array_like=True, frozen=True, tag="bye"):
    pass


SEQUENCED = frozenset({"join", "leave", "send", "publish", "presence", "answer", "answer_error"})
"""Kinds whose second element is a seq."""

ClientFrame = Hello | Join | Leave | Send | Publish | Presence | Answer | AnswerError | Ack | Ping | Pong | Bye
