"""The client's end of a session, without I/O, clock or chance: messages in, effects and messages out.

The caller opens transports, gives each the bytes of ``hello``, hands what arrives to ``receive`` and sends what
``upstream`` returns. Several transports may be open at once while one replaces another; ``attach`` tells them apart,
and the highest that was welcomed counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw

from multitransport.client.events import (
    Closed,
    Effect,
    Gap,
    Joined,
    Left,
    Outcome,
    Pinged,
    Ponged,
    Publication,
    Welcomed,
)
from multitransport.client.limits import BATCH_BYTES
from multitransport.client.outbox import Outbox, Pending
from multitransport.errors import Invalid, RequestError, request_error
from multitransport.protocol.position import Position

__all__ = ["BYE", "BrokenMessage", "Hello", "Membership", "Session", "read_close"]

BYE = b'["bye"]'
"""The message that ends the session."""

_encode = msgspec.json.Encoder().encode
_BROKEN = (msgspec.MsgspecError, AttributeError, LookupError, TypeError, ValueError, RecursionError)
_decode_lines = msgspec.json.Decoder(list[Any]).decode_lines


class BrokenMessage(Exception):
    """The server's message cannot be read; the transport it came on is no good."""


class Hello(NamedTuple):
    """The first frame of an attempt, and the attach it raised."""

    attach: int
    frame: bytes


@dataclass(slots=True, eq=False)
class Membership:
    """A room the program wants to be in. ``position`` is where its next publication follows, None until joined."""

    room: str
    history: int | None
    position: Position | None
    ticket: int | None
    joined: bool = False
    asked: Position | None = None
    hello: int = 0

    def options(self) -> dict[str, Any]:
        if self.position is not None:
            return {"position": self.position}
        return {} if self.history is None else {"history": self.history}


class Session:
    """One session, over any number of transports. ``nonce`` is 22 to 64 characters ``A-Z a-z 0-9 _ -`` with 128 random
    bits.
    """

    def __init__(self, nonce: str, auth: Any = None) -> None:
        self.session_id: str | None = None
        self.attach = 0
        self.ping_seconds = 25.0
        self.grace_seconds = 10.0
        self.max_message_bytes = 1 << 20
        self.memberships: dict[str, Membership] = {}
        self._nonce = nonce
        self._auth = None if auth is None else Raw(_encode(auth))
        self._token: str | None = None
        self._carrying = 0
        self._outbox = Outbox()
        self._told = 0
        self._pong: float | None = None
        self._ping: float | None = None
        self._bye = False

    # What the program asks for

    def request(self, ticket: int, event: str, data: Any) -> None:
        """Send an event to its handler. Raises Invalid where the data is no JSON or too large, QueueFull."""
        self._add(Pending(ticket, "send", self._body(event, data)))

    def publish(self, ticket: int, room: str, event: str, data: Any) -> None:
        """Publish to a room. Raises as ``request`` does."""
        self._add(Pending(ticket, "publish", self._body(room, event, data)))

    def join(self, ticket: int, room: str, history: int | None = None, position: Position | None = None) -> None:
        """Be in this room from now on, whatever becomes of the transport. Raises QueueFull."""
        self._add(Pending(ticket, "join", self._body(room), room=room))
        self.memberships[room] = Membership(room, history, position, ticket)

    def leave(self, ticket: int, room: str) -> None:
        """Be in this room no more. Raises QueueFull."""
        self._add(Pending(ticket, "leave", self._body(room), room=room))
        membership = self.memberships.pop(room, None)
        if membership is not None and membership.ticket is not None:
            self._outbox.withdraw(membership.ticket)

    def withdraw(self, ticket: int) -> bool:
        """Take back a frame; False where it was sent, so that it may be carried out all the same."""
        return self._outbox.withdraw(ticket) is not None

    def ping(self, t: float) -> None:
        """Ask for a ``Ponged(t)``."""
        self._ping = t

    def bye(self) -> None:
        """End the session with the next message."""
        self._bye = True

    def renew(self, nonce: str) -> None:
        """Begin a session of its own in place of one that somebody else carries."""
        self._nonce, self._token = nonce, None

    # What travels to the server

    def hello(self, wait_seconds: float | None = None) -> Hello:
        """Return the first frame of a new attempt to carry the session."""
        self.attach += 1
        rooms: dict[str, Any] = {}
        unsent = self._outbox.unnumbered()
        for name, membership in self.memberships.items():
            # A join that was sent and is open is repeated where it did not arrive, and its room is in the
            # record where it did.
            if membership.joined or membership.ticket in unsent:
                membership.hello, membership.asked = self.attach, membership.position
                rooms[name] = membership.options()
        options = self._hello_options(self.attach)
        if self._auth is not None:
            options["auth"] = self._auth
        if rooms:
            options["rooms"] = rooms
        if wait_seconds is not None:
            options["wait"] = wait_seconds
        return Hello(self.attach, _encode(["hello", options]))

    def send_hello(self, attach: int) -> bytes:
        """Return the hello of a ``send`` that belongs to the stream or poll with this attach."""
        return _encode(["hello", self._hello_options(attach)])

    def upstream(self, attach: int) -> bytes | None:
        """Return the next message for the transport with this attach; None where there is nothing to send on it now."""
        if attach < self._carrying or not self._carrying:
            return None
        if self._bye:
            self._bye = False
            return BYE
        frames: list[bytes] = []
        size = 0
        limit = min(BATCH_BYTES, self.max_message_bytes // 2)
        while size < limit and (pending := self._outbox.next(attach)) is not None:
            if pending.kind == "join":
                pending.body = self._join_body(pending)
            frames.append(pending.encode())
            size += len(frames[-1])
        if self._pong is not None:
            frames.append(_encode(["pong", self._pong]))
        if self._ping is not None:
            frames.append(_encode(["ping", self._ping]))
        self._pong = self._ping = None
        received = self._outbox.received
        if received > self._told and (frames or received - self._told >= self._outbox.window // 2):
            frames.append(b'["ack",%d]' % received)
            self._told = received
        return b"\n".join(frames) if frames else None

    # What comes from the server

    def receive(self, message: bytes | str, attach: int) -> list[Effect]:
        """Take a message from the transport with this attach; return what it means, in order. Raises BrokenMessage."""
        effects: list[Effect] = []
        if attach < self._carrying:
            return effects
        try:
            for frame in _decode_lines(message):
                kind = frame[0]
                if kind == "pub":
                    self._publication(frame, effects)
                elif (take := _TAKES.get(kind)) is not None:
                    if take is Session._welcome:
                        self._carrying = attach
                    take(self, frame, effects)
        except _BROKEN as error:
            raise BrokenMessage(f"{type(error).__name__}: {error}") from error
        return effects

    def _publication(self, frame: list[Any], effects: list[Effect]) -> None:
        _, room, offset, event, data, *rest = frame
        membership = self.memberships.get(room)
        if membership is None or not membership.joined or membership.position is None:
            return
        epoch, last = membership.position
        if offset > last:
            membership.position = position = Position(epoch, offset)
            effects.append(Publication(room, event, data, position, rest[0].get("from") if rest else None))

    def _welcome(self, frame: list[Any], effects: list[Effect]) -> None:
        options = frame[1]
        self.session_id, self._token = str(options["session"]), str(options["token"])
        self.ping_seconds = float(options["ping"])
        self.grace_seconds = float(options["grace"])
        self.max_message_bytes = int(options["max_message"])
        self._outbox.window = int(options["window"])
        resumed = bool(options["resumed"])
        if not resumed:
            self._restart(effects)
        self._outbox.repeat_above(int(options["seq"]), self._carrying)
        for membership in self.memberships.values():
            if membership.hello == self._carrying and not membership.joined and membership.ticket is not None:
                self._outbox.withdraw(membership.ticket)
        effects.append(Welcomed(resumed))

    def _restart(self, effects: list[Effect]) -> None:
        self._told = 0
        for pending in self._outbox.restart():
            membership = None if pending.room is None else self.memberships.get(pending.room)
            if pending.kind == "leave":
                effects.append(Outcome(pending.ticket))
            elif pending.kind != "join":
                error = request_error("outcome_unknown", "the session was lost before the answer came")
                effects.append(Outcome(pending.ticket, error=error))
            elif membership is not None and membership.ticket == pending.ticket:
                self._add(Pending(pending.ticket, "join", pending.body, room=pending.room))

    def _joined(self, frame: list[Any], effects: list[Effect]) -> None:
        _, seq, room, (epoch, offset), options, *_ = frame
        membership = self.memberships.get(room)
        if seq is not None:
            pending = self._outbox.answered(seq)
            if pending is None or membership is None or membership.ticket != pending.ticket:
                return
        if membership is None:
            return
        position = Position(str(epoch), int(offset))
        ticket, membership.ticket, membership.joined = membership.ticket, None, True
        asked, former = membership.asked, membership.position
        # What an older transport delivered while this answer was under way may have moved the position beyond it.
        ahead = former is not None and former.epoch == position.epoch and former.offset > position.offset
        if not ahead or (asked is not None and asked.offset > position.offset):
            membership.position = position
        effects.append(Joined(room, ticket))
        if not options["recovered"] and (asked is not None or "lost" in options):
            effects.append(Gap(room, position, options.get("lost")))

    def _left(self, frame: list[Any], effects: list[Effect]) -> None:
        _, seq, room, *why = frame
        if seq is not None:
            if (pending := self._outbox.answered(seq)) is not None:
                effects.append(Outcome(pending.ticket))
            return
        membership = self.memberships.pop(room, None)
        if membership is not None:
            error = request_error(str(why[0]), str(why[1]) if len(why) > 1 else "") if why and why[0] else None
            effects.append(Left(room, membership.ticket, error))

    def _at(self, frame: list[Any], effects: list[Effect]) -> None:
        _, room, (epoch, offset), *_ = frame
        if (membership := self.memberships.get(room)) is not None and membership.joined:
            membership.position = Position(str(epoch), int(offset))

    def _gap(self, frame: list[Any], effects: list[Effect]) -> None:
        _, room, (epoch, offset), lost, *_ = frame
        if (membership := self.memberships.get(room)) is not None and membership.joined:
            membership.position = Position(str(epoch), int(offset))
            effects.append(Gap(room, membership.position, lost))

    def _reply(self, frame: list[Any], effects: list[Effect]) -> None:
        _, seq, data, *_ = frame
        if (pending := self._outbox.answered(seq)) is not None:
            effects.append(Outcome(pending.ticket, data))

    def _error(self, frame: list[Any], effects: list[Effect]) -> None:
        _, seq, code, message, *_ = frame
        pending = None if seq is None else self._outbox.answered(seq)
        if pending is None:
            return
        error = request_error(str(code), str(message))
        if pending.kind == "join":
            self._not_joined(pending, error, effects)
        elif pending.kind == "leave":
            effects.append(Outcome(pending.ticket))
        else:
            effects.append(Outcome(pending.ticket, error=error))

    def _not_joined(self, pending: Pending, error: RequestError, effects: list[Effect]) -> None:
        membership = self.memberships.get(pending.room or "")
        if membership is not None and membership.ticket == pending.ticket:
            del self.memberships[membership.room]
            effects.append(Left(membership.room, pending.ticket, error))

    def _ack(self, frame: list[Any], effects: list[Effect]) -> None:
        for pending in self._outbox.acknowledged(frame[1]):
            if pending.kind == "join":
                self._not_joined(pending, request_error("outcome_unknown", "the answer to the join is lost"), effects)
            else:
                effects.append(Outcome(pending.ticket))

    def _take_ping(self, frame: list[Any], effects: list[Effect]) -> None:
        self._pong = frame[1]
        effects.append(Pinged())

    def _take_pong(self, frame: list[Any], effects: list[Effect]) -> None:
        effects.append(Ponged(float(frame[1])))

    def _close(self, frame: list[Any], effects: list[Effect]) -> None:
        effects.append(_closed(frame))

    # How frames are put together

    def _hello_options(self, attach: int) -> dict[str, Any]:
        self._told = self._outbox.received
        options: dict[str, Any] = {"v": 1, "new": self._nonce, "attach": attach, "acked": self._told}
        if self._token is not None:
            options["token"] = self._token
        return options

    def _join_body(self, pending: Pending) -> bytes:
        membership = self.memberships.get(pending.room or "")
        if membership is None or membership.ticket != pending.ticket:
            return self._body(pending.room)
        membership.asked = membership.position
        return self._body(pending.room, membership.options())

    def _add(self, pending: Pending) -> None:
        # The room left over is for the brackets, the kind and the seq, and on an HTTP request for hello.
        if len(pending.body) > self.max_message_bytes - 4096:
            raise Invalid("invalid", f"a frame of {len(pending.body)} bytes is more than the server takes")
        self._outbox.add(pending)

    @staticmethod
    def _body(*elements: Any) -> bytes:
        try:
            return _encode(elements)[1:-1]
        except (TypeError, ValueError, msgspec.EncodeError) as error:
            raise Invalid("invalid", f"cannot be encoded as JSON: {error}") from error


def read_close(body: bytes) -> Closed | None:
    """Return what a refusal says; None where it is not in this protocol, but from something before the server."""
    try:
        return next((_closed(frame) for frame in _decode_lines(body) if frame[0] == "close"), None)
    except _BROKEN:
        return None


def _closed(frame: list[Any]) -> Closed:
    _, code, reason, *rest = frame
    options = rest[0] if rest else {}
    return Closed(int(code), str(reason), options.get("retry_after"), options.get("code"))


_TAKES: dict[str, Callable[[Session, list[Any], list[Effect]], None]] = {
    "ack": Session._ack,
    "at": Session._at,
    "close": Session._close,
    "error": Session._error,
    "gap": Session._gap,
    "joined": Session._joined,
    "left": Session._left,
    "ping": Session._take_ping,
    "pong": Session._take_pong,
    "reply": Session._reply,
    "welcome": Session._welcome,
}
