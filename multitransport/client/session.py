"""The client's end of a session, without I/O, clock or chance: messages in, effects and messages out.

The caller opens transports, gives each the bytes of ``hello``, hands what arrives to ``receive`` and sends what
``upstream`` returns. Several transports may be open at once while one replaces another; ``attach`` tells them apart,
and the highest that was welcomed counts.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
from msgspec import Raw

from multitransport.client.arrivals import Arrivals
from multitransport.client.events import Closed, Effect
from multitransport.client.limits import BATCH_BYTES, MAX_UNSENT_BYTES
from multitransport.client.link import Link
from multitransport.client.memberships import Ahead, Membership, Memberships
from multitransport.client.messages import BROKEN, decode_message, encode
from multitransport.client.outbox import Outbox, Pending
from multitransport.errors import Invalid
from multitransport.protocol.codes import CloseCode
from multitransport.protocol.frames import MAX_RATE, MIN_RATE, JoinOptions
from multitransport.protocol.position import Position

__all__ = ["BYE", "BrokenMessage", "Hello", "Session"]

BYE = b'["bye"]'
"""The message that ends the session."""

_ROOM_FOR_HELLO = 4096
"""What a message of the largest size leaves for the hello, acks and pongs that go with it."""


class BrokenMessage(Exception):
    """The server's message cannot be read; the transport it came on is no good."""


class Hello(NamedTuple):
    """The first frame of an attempt, and the attach it raised."""

    attach: int
    frame: bytes


class Session:
    """One session, over any number of transports.

    ``nonce`` is 22 to 64 characters ``A-Z a-z 0-9 _ -`` with 128 random bits, ``auth`` is for the connect check.

    What the program asks for has a ``ticket``, by which its Outcome is known. Data is any JSON value, or bytes.
    """

    def __init__(self, nonce: str, auth: Any = None) -> None:
        self.attach = 0
        self._nonce = nonce
        self._auth = None if auth is None else Raw(encode(auth))
        self._link = Link()
        self._outbox = Outbox()
        self._memberships = Memberships()
        self._arrivals = Arrivals(self._link, self._outbox, self._memberships)
        self._ping: float | None = None
        self._bye = False

    @property
    def session_id(self) -> str | None:
        """The public id; None before the first welcome."""
        return self._link.session_id

    @property
    def ping_seconds(self) -> float:
        """How often the server pings."""
        return self._link.ping_seconds

    @property
    def grace_seconds(self) -> float:
        """How much longer than that it may be silent."""
        return self._link.grace_seconds

    # What the program asks for

    def request(self, ticket: int, event: str, data: Any) -> None:
        """Send an event to its handler. Raises Invalid where the data is no JSON or too large, QueueFull."""
        self._add(_with_data(Pending(ticket, "send", b""), (event,), data))

    def publish(
        self, ticket: int, room: str, event: str, data: Any, *, key: str | None = None, deleted: bool = False
    ) -> None:
        """Publish to a room; in a state room under a key, or to end that key. Raises as ``request`` does."""
        options: dict[str, Any] = {} if key is None else {"key": key}
        if deleted:
            options["deleted"] = True
        self._add(_with_data(Pending(ticket, "publish", b"", options=options), (room, event), data))

    def join(
        self,
        ticket: int,
        room: str,
        history: int | None = None,
        position: Position | None = None,
        max_rate: float | None = None,
    ) -> None:
        """Be in this room from now on, whatever becomes of the transport.

        Raises QueueFull; TypeError for a name or rate, and ValueError for anything, that no server would take: it ends
        the session of who asks for that.
        """
        _check_name(room)
        _check_rate(max_rate)
        options = _join_options(history, position)
        self._add(Pending(ticket, "join", _body(room), room=room))
        self._memberships.add(Membership(room, options.history, options.position, ticket, max_rate))

    def set_max_rate(self, ticket: int, room: str, max_rate: float | None) -> None:
        """Have a state room told at most so many times a second; None lifts the bound. Raises as ``join`` does."""
        _check_rate(max_rate)
        self._add(Pending(ticket, "join", _body(room), room=room, again=True))
        if (membership := self._memberships.get(room)) is not None:
            membership.max_rate = max_rate

    def presence(self, ticket: int, room: str, meta: Any) -> None:
        """Change what others see of this session in a room, also in one that follows it. Raises as ``request`` does."""
        self._add(Pending(ticket, "presence", _body(room, meta), room=room, of=self._memberships.get(room)))

    def leave(self, ticket: int, room: str) -> None:
        """Be in this room no more. Raises QueueFull."""
        self._add(Pending(ticket, "leave", _body(room), room=room))
        membership = self._memberships.remove(room)
        if membership is not None and membership.ticket is not None:
            self._outbox.withdraw(membership.ticket)

    def answer(self, ask: str, data: Any) -> None:
        """Answer what the server asked. Raises as ``request`` does."""
        self._add(_with_data(Pending(0, "answer", b"", urgent=True), (ask,), data))

    def answer_error(self, ask: str, code: str, message: str) -> None:
        """Say that what the server asked was not carried out. Raises as ``request`` does."""
        self._add(Pending(0, "answer_error", _body(ask, code, message), urgent=True))

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
        self._nonce, self._link.token = nonce, None

    # What travels to the server

    def hello(self, wait_seconds: float | None = None) -> Hello:
        """Return the first frame of a new attempt to carry the session.

        A poll gives ``wait_seconds``: 0 begins polling, more goes on with it.
        """
        self.attach += 1
        resuming = self._link.token is not None
        if wait_seconds:
            self._link.ready = self.attach
        outbox = self._outbox
        rooms = self._memberships.name(self.attach, outbox.sent_tickets(), outbox.leaving(), resuming=resuming)
        options = self._hello_options(self.attach)
        if self._auth is not None:
            options["auth"] = self._auth
        if rooms:
            options["rooms"] = rooms
        if wait_seconds is not None:
            options["wait"] = wait_seconds
        return Hello(self.attach, encode(["hello", options]))

    def send_hello(self, attach: int) -> bytes:
        """Return the hello of a ``send`` that belongs to the stream or poll with this attach."""
        return encode(["hello", self._hello_options(attach)])

    def upstream(self, attach: int, *, binary: bool = False) -> bytes | None:
        """Return the next message for the transport with this attach; None where there is nothing to send on it now.

        With ``binary`` it may be a binary message, which ``is_binary`` tells.
        """
        link = self._link
        # Before the welcome nobody knows what has to be repeated first.
        if not link.carrying <= attach <= link.ready:
            return None
        if self._bye:
            self._bye = False
            return BYE
        frames: list[bytes] = []
        size = 0
        most = link.max_message_bytes - _ROOM_FOR_HELLO // 2
        while size < BATCH_BYTES:
            # One that is too large by itself is the server's to refuse; kept back it would stop all others in silence.
            limit = most - size if frames else MAX_UNSENT_BYTES
            pending = self._outbox.next(attach, limit, without_bytes=binary and bool(frames))
            if pending is None:
                break
            if binary and pending.data is not None:
                return pending.encode_binary()
            if pending.kind == "join":
                pending.body = self._join_body(pending)
            frames.append(pending.encode())
            size += len(frames[-1])
        if link.pong is not None:
            frames.append(encode(["pong", link.pong]))
        if self._ping is not None:
            frames.append(encode(["ping", self._ping]))
        link.pong = self._ping = None
        received = self._outbox.received
        if received > link.told and (frames or received - link.told >= self._outbox.window // 2):
            frames.append(b'["ack",%d]' % received)
            link.told = received
        return b"\n".join(frames) if frames else None

    # What comes from the server

    def receive(self, message: bytes | str, attach: int) -> list[Effect]:
        """Take a message from the transport with this attach; return what it means, in order. Raises BrokenMessage.

        What follows ``Closed`` in it counts no more, nor does what else this transport tells: it is to be given up.
        """
        effects: list[Effect] = []
        if attach < self._link.carrying:
            return effects
        try:
            for frame in decode_message(message):
                self._arrivals.take(frame, attach, effects)
        except Ahead as ahead:
            effects.append(Closed(CloseCode.STALE_ATTACH, str(ahead)))
        except BROKEN as error:
            raise BrokenMessage(f"{type(error).__name__}: {error}") from error
        return effects

    # How frames are put together

    def _hello_options(self, attach: int) -> dict[str, Any]:
        link = self._link
        link.told = self._outbox.received
        options: dict[str, Any] = {"v": 1, "new": self._nonce, "attach": attach, "acked": link.told}
        if link.token is not None:
            options["token"] = link.token
        if had := self._outbox.received_beyond():
            options["had"] = had
        return options

    def _join_body(self, pending: Pending) -> bytes:
        assert pending.room is not None
        if pending.again:
            membership = self._memberships.get(pending.room)
        else:
            membership = self._memberships.by_ticket(pending.room, pending.ticket)
        return _body(pending.room) if membership is None else _body(pending.room, membership.ask())

    def _add(self, pending: Pending) -> None:
        if (size := pending.text_size()) > self._link.max_message_bytes - _ROOM_FOR_HELLO:
            raise Invalid("invalid", f"a frame of {size} bytes is more than the server takes")
        self._outbox.add(pending)


def _with_data(pending: Pending, head: tuple[str, ...], data: Any) -> Pending:
    """Complete a frame whose data may be bytes."""
    if isinstance(data, bytes | bytearray | memoryview):
        pending.body, pending.data = _body(*head), bytes(data)
    else:
        pending.body = _body(*head, data, pending.options) if pending.options else _body(*head, data)
    return pending


def _check_name(room: object) -> None:
    if not isinstance(room, str):
        raise TypeError(f"the name of a room is a string, not {room!r}")


def _join_options(history: int | None, position: Position | None) -> JoinOptions:
    try:
        # Also a position that was kept as JSON.
        return msgspec.convert({"history": history, "position": position}, JoinOptions)
    except msgspec.ValidationError as error:
        raise ValueError(f"history={history!r}, position={position!r}: {error}") from None


def _check_rate(max_rate: object) -> None:
    if max_rate is None:
        return
    if not isinstance(max_rate, int | float) or isinstance(max_rate, bool):
        raise TypeError(f"a rate is a number, not {max_rate!r}")
    if not MIN_RATE <= max_rate <= MAX_RATE:
        raise ValueError(f"a rate is {MIN_RATE} to {MAX_RATE} a second, not {max_rate!r}")


def _body(*elements: Any) -> bytes:
    try:
        return encode(elements)[1:-1]
    except (TypeError, ValueError, msgspec.EncodeError) as error:
        raise Invalid("invalid", f"cannot be encoded as JSON: {error}") from error
