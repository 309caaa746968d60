"""What a session's frames mean to the program: publications and gaps, which are public, and the session's own news."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from multitransport.errors import RequestError
from multitransport.protocol.position import Position

__all__ = [
    "Asked",
    "CaughtUp",
    "Closed",
    "Effect",
    "Gap",
    "Joined",
    "Left",
    "Mode",
    "Move",
    "Outcome",
    "Pinged",
    "Ponged",
    "Publication",
    "Welcomed",
]

Mode = Literal["log", "state"]
"""What a room keeps: its latest publications, or the newest one of each key."""


class Publication(msgspec.Struct, frozen=True):
    """One publication of a room. ``data`` is any JSON value, or bytes.

    ``position`` is None for a volatile one, which no room keeps. ``sender`` is the session id of the client that
    published it, where that is told. In a state room it replaces the one before it with the same ``key``, or ends that
    key where ``deleted`` is true.
    """

    room: str
    event: str
    data: Any
    position: Position | None
    sender: str | None = None
    key: str | None = None
    deleted: bool = False


class Gap(msgspec.Struct, frozen=True):
    """Publications up to ``position`` were lost: ``lost`` of them, or None where nobody can know how many.

    In a state room it means that deletions may be among them: what is known of its keys is void, and all current values
    follow.
    """

    room: str
    position: Position
    lost: int | None


class Joined(msgspec.Struct, frozen=True):
    """The room is joined, for the first time or again; ``ticket`` is that of the join this answers, if one is open.

    ``unasked`` says that the server put the session in this room.
    """

    room: str
    ticket: int | None
    mode: Mode = "log"
    unasked: bool = False


class CaughtUp(msgspec.Struct, frozen=True):
    """Everything up to now of a state room has been told."""

    room: str


class Asked(msgspec.Struct, frozen=True):
    """The server asks something; ``id`` is for the answer."""

    id: str
    event: str
    data: Any


class Left(msgspec.Struct, frozen=True):
    """The server ended the membership, or refused the join that ``ticket`` names; ``error`` says why where it told."""

    room: str
    ticket: int | None
    error: RequestError | None


class Outcome(msgspec.Struct, frozen=True):
    """What became of a frame: its reply in ``data``, or ``error``."""

    ticket: int
    data: Any = None
    error: RequestError | None = None


class Welcomed(msgspec.Struct, frozen=True):
    """The session is attached."""

    resumed: bool


class Pinged(msgspec.Struct, frozen=True):
    """The server asked for a sign of life; the answer is in the next message upstream."""


class Ponged(msgspec.Struct, frozen=True):
    """The answer to the client's ping that carried ``t``."""

    t: float


class Move(msgspec.Struct, frozen=True):
    """The node that carries the session is about to stop: another one should carry it before that."""


class Closed(msgspec.Struct, frozen=True):
    """The server ended the transport, and with a final code the session. ``error_code`` is the application's own."""

    code: int
    reason: str = ""
    retry_after_seconds: float | None = None
    error_code: str | None = None


Effect = Publication | Gap | Joined | CaughtUp | Asked | Left | Outcome | Welcomed | Pinged | Ponged | Move | Closed
