"""A session, and the messages between it and a server that the test plays."""

from __future__ import annotations

from typing import Any

import msgspec

from multitransport.client.events import Effect, Outcome, Publication
from multitransport.client.session import Session
from multitransport.errors import RequestError

__all__ = [
    "NONCE",
    "STATE",
    "Line",
    "at",
    "errors",
    "frames",
    "joined",
    "keyed",
    "message",
    "offsets",
    "pub",
    "state_joined",
    "state_line",
    "told",
    "welcome",
]

NONCE = "abcdefghijklmnopqrstuv"
STATE = "r"
"""A state room."""


def message(*frames: list[Any]) -> bytes:
    return b"\n".join(msgspec.json.encode(frame) for frame in frames)


def frames(text: bytes | None) -> list[list[Any]]:
    return [] if text is None else [msgspec.json.decode(line) for line in text.split(b"\n")]


def welcome(
    seq: int = 0, *, session: str = "s", resumed: bool = False, window: int = 64, max_message: int = 1 << 20
) -> list[Any]:
    options = {"v": 1, "session": session, "token": "t", "resumed": resumed, "seq": seq, "window": window}
    return [
        "welcome",
        {**options, "ping": 25, "grace": 10, "resume": 120, "max_message": max_message, "transport": "x"},
    ]


def joined(seq: int | None, offset: int, room: str = "r", *, recovered: bool = True, **more: Any) -> list[Any]:
    return ["joined", seq, room, ["e", offset], {"mode": "log", "recovered": recovered, **more}]


def pub(offset: int, room: str = "r") -> list[Any]:
    return ["pub", room, offset, "n", offset]


class Line:
    """A session and the messages between it and a server that the test plays."""

    def __init__(self) -> None:
        self.session = Session(NONCE, auth={"key": 1})
        self.attach = 0

    def hello(self) -> dict[str, Any]:
        """Begin a new attempt and return what its hello says."""
        self.attach, frame = self.session.hello()
        kind, options = msgspec.json.decode(frame)
        assert kind == "hello"
        return dict(options)

    def take(self, *received: list[Any]) -> list[Effect]:
        return self.session.receive(message(*received), self.attach)

    def sent(self) -> list[list[Any]]:
        return frames(self.session.upstream(self.attach))

    def attached(self, **options: Any) -> Line:
        self.hello()
        self.take(welcome(**options))
        return self

    def joined(self, offset: int = 0) -> Line:
        self.session.join(1, "r")
        self.sent()
        self.take(joined(1, offset), ["ack", 1])
        return self


def offsets(effects: list[Effect]) -> list[int]:
    return [each.position.offset for each in effects if isinstance(each, Publication) and each.position]


def errors(effects: list[Effect]) -> list[tuple[int, type[RequestError]]]:
    return [(each.ticket, type(each.error)) for each in effects if isinstance(each, Outcome) and each.error]


def state_joined(seq: int | None, offset: int, *, room: str = STATE, recovered: bool = True, **more: Any) -> list[Any]:
    return ["joined", seq, room, ["e", offset], {"mode": "state", "recovered": recovered, **more}]


def keyed(key: str, offset: int, *, deleted: bool = False, room: str = STATE) -> list[Any]:
    options = {"key": key, "deleted": True} if deleted else {"key": key}
    return ["pub", room, offset, "n", None if deleted else offset, options]


def at(offset: int, room: str = STATE) -> list[Any]:
    return ["at", room, ["e", offset]]


def state_line(*first: list[Any], max_rate: float | None = None) -> Line:
    line = Line().attached()
    line.session.join(1, STATE, max_rate=max_rate)
    line.sent()
    line.take(state_joined(1, 0), ["ack", 1], *first)
    line.sent()
    return line


def told(effects: list[Effect]) -> list[tuple[str | None, int]]:
    return [(each.key, each.position.offset) for each in effects if isinstance(each, Publication) and each.position]
