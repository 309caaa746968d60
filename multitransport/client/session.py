"""The client's end of a session, without I/O, clock or chance: messages in, effects and messages out.

The caller opens transports, gives each the bytes of ``hello``, hands what arrives to ``receive`` and sends what
``upstream`` returns. Several transports may be open at once while one replaces another; ``attach`` tells them apart,
and the highest that was welcomed counts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw

from multitransport.client.events import (
    Closed,
    Effect,
    Gap,
    Outcome,
    Pinged,
    Ponged,
    Welcomed,
)
from multitransport.client.limits import BATCH_BYTES, MAX_UNSENT_BYTES
from multitransport.client.memberships import Memberships
from multitransport.client.outbox import Outbox, Pending
from multitransport.errors import Invalid, RequestError, request_error
from multitransport.protocol.position import Position

__all__ = ["BYE", "BrokenMessage", "Hello", "Session", "read_close"]

BYE = b'["bye"]'
"""The message that ends the session."""

_ROOM_FOR_HELLO = 4096
"""What a message of the largest size leaves for the hello, acks and pongs that go with it."""

_encode = msgspec.json.Encoder().encode
_BROKEN = (msgspec.MsgspecError, AttributeError, LookupError, TypeError, ValueError, RecursionError)
_decode_lines = msgspec.json.Decoder(list[Any]).decode_lines


class BrokenMessage(Exception):
    """The server's message cannot be read; the transport it came on is no good."""


class Hello(NamedTuple):
    """The first frame of an attempt, and the attach it raised."""

    attach: int
    frame: bytes


class Session:
    """One session, over any number of transports.

    ``nonce`` is 22 to 64 characters ``A-Z a-z 0-9 _ -`` with 128 random bits, ``auth`` is for the connect check.
    """

    def __init__(self, nonce: str, auth: Any = None) -> None:
        self.session_id: str | None = None
        self.attach = 0
        self.ping_seconds = 25.0
        self.grace_seconds = 10.0
        self.max_message_bytes = 1 << 20
        self._nonce = nonce
        self._auth = None if auth is None else Raw(_encode(auth))
        self._token: str | None = None
        self._carrying = 0
        self._ready = 0
        self._outbox = Outbox()
        self._memberships = Memberships()
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
        self._memberships.add(room, history, position, ticket)

    def leave(self, ticket: int, room: str) -> None:
        """Be in this room no more. Raises QueueFull."""
        self._add(Pending(ticket, "leave", self._body(room), room=room))
        membership = self._memberships.remove(room)
        if membership is not None and membership.ticket is not None:
            self._outbox.withdraw(membership.ticket)

    def withdraw(self, ticket: int) -> bool:
        """Take back a frame; False where it was sent, so that it may be carried out all the same."""
        return self._outbox.withdraw(ticket) is not None

    def position(self, room: str) -> Position | None:
        """Return the last position received in a room; None where it is not joined."""
        membership = self._memberships.get(room)
        return None if membership is None else membership.position

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
        """Return the first frame of a new attempt to carry the session.

        A poll gives ``wait_seconds``: 0 begins polling, more goes on with it.
        """
        self.attach += 1
        if wait_seconds:
            self._ready = self.attach
        rooms = self._memberships.name(self.attach, self._outbox.sent_tickets(), self._outbox.leaving())
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
        # Before the welcome nobody knows what has to be repeated first.
        if not self._carrying <= attach <= self._ready:
            return None
        if self._bye:
            self._bye = False
            return BYE
        frames: list[bytes] = []
        size = 0
        most = self.max_message_bytes - _ROOM_FOR_HELLO // 2
        while size < BATCH_BYTES:
            # One that is too large by itself is the server's to refuse; kept back it would stop all others in silence.
            pending = self._outbox.next(attach, most - size if frames else MAX_UNSENT_BYTES)
            if pending is None:
                break
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
                    self._memberships.published(frame, effects)
                elif (take := _TAKES.get(kind)) is not None:
                    if take is Session._welcome:
                        self._carrying = self._ready = attach
                    take(self, frame, effects)
        except _BROKEN as error:
            raise BrokenMessage(f"{type(error).__name__}: {error}") from error
        return effects

    def _welcome(self, frame: list[Any], effects: list[Effect]) -> None:
        options = frame[1]
        # The id tells more than ``resumed``: the welcome that told of a new session may have been lost on the way.
        resumed = options["session"] == self.session_id
        self.session_id, self._token = str(options["session"]), str(options["token"])
        self.ping_seconds = float(options["ping"])
        self.grace_seconds = float(options["grace"])
        self.max_message_bytes = int(options["max_message"])
        self._outbox.window = int(options["window"])
        if not resumed:
            self._restart(effects)
        self._outbox.repeat_above(int(options["seq"]), self._carrying)
        for ticket in self._memberships.named(self._carrying):
            self._outbox.withdraw(ticket)
        effects.append(Welcomed(resumed))

    def _restart(self, effects: list[Effect]) -> None:
        """The server knows nothing of the former session: what was sent is lost, but joins are asked for again."""
        self._told = 0
        joins = []
        for pending in self._outbox.restart():
            if pending.kind == "join" and self._memberships.by_ticket(pending.room, pending.ticket) is not None:
                joins.append(pending)
            elif pending.kind == "leave":
                effects.append(Outcome(pending.ticket))
            elif pending.kind != "join":
                error = request_error("outcome_unknown", "the session was lost before the answer came")
                effects.append(Outcome(pending.ticket, error=error))
        self._outbox.put_back(joins)

    def _joined(self, frame: list[Any], effects: list[Effect]) -> None:
        _, seq, room, (epoch, offset), options, *_ = frame
        if seq is None:
            membership = self._memberships.by_hello(room, self._carrying)
        else:
            pending = self._outbox.answered(seq)
            membership = None if pending is None else self._memberships.by_ticket(room, pending.ticket)
        if membership is None:
            return
        # A later hello, whose answer is still to come, may have asked for more.
        asked = membership.asked if seq is not None or membership.hello == self._carrying else None
        self._memberships.joined(membership, asked, Position(str(epoch), int(offset)), options, effects)

    def _left(self, frame: list[Any], effects: list[Effect]) -> None:
        _, seq, room, *why = frame
        if seq is not None:
            if (pending := self._outbox.answered(seq)) is not None:
                effects.append(Outcome(pending.ticket))
            return
        error = request_error(str(why[0]), str(why[1]) if len(why) > 1 else "") if why and why[0] else None
        if (membership := self._memberships.by_hello(room, self._carrying)) is not None:
            self._memberships.left(membership, error, effects)

    def _at(self, frame: list[Any], effects: list[Effect]) -> None:
        _, room, (epoch, offset), *_ = frame
        self._memberships.moved(room, Position(str(epoch), int(offset)))

    def _gap(self, frame: list[Any], effects: list[Effect]) -> None:
        _, room, (epoch, offset), lost, *_ = frame
        position = Position(str(epoch), int(offset))
        if self._memberships.moved(room, position):
            effects.append(Gap(room, position, lost))

    def _reply(self, frame: list[Any], effects: list[Effect]) -> None:
        _, seq, data, *_ = frame
        if (pending := self._outbox.answered(seq)) is not None:
            effects.append(Outcome(pending.ticket, data))

    def _error(self, frame: list[Any], effects: list[Effect]) -> None:
        _, seq, code, message, *_ = frame
        if seq is not None and (pending := self._outbox.answered(seq)) is not None:
            self._failed(pending, request_error(str(code), str(message)), effects)

    def _ack(self, frame: list[Any], effects: list[Effect]) -> None:
        for pending in self._outbox.acknowledged(frame[1]):
            if pending.kind == "join":
                self._failed(pending, request_error("outcome_unknown", "the answer to the join is lost"), effects)
            else:
                effects.append(Outcome(pending.ticket))

    def _failed(self, pending: Pending, error: RequestError, effects: list[Effect]) -> None:
        if pending.kind == "join":
            membership = self._memberships.by_ticket(pending.room, pending.ticket)
            if membership is not None:
                self._memberships.left(membership, error, effects)
        else:
            # Not to be in a room is what a leave is for.
            effects.append(Outcome(pending.ticket, error=None if pending.kind == "leave" else error))

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
        membership = self._memberships.by_ticket(pending.room, pending.ticket)
        return self._body(pending.room) if membership is None else self._body(pending.room, membership.ask())

    def _add(self, pending: Pending) -> None:
        if len(pending.body) > self.max_message_bytes - _ROOM_FOR_HELLO:
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
