"""What the server's frames mean: each is taken by its kind and becomes effects. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from multitransport.client.events import Effect, Move, Outcome, Pinged, Ponged, Welcomed
from multitransport.client.link import Link
from multitransport.client.memberships import Membership, Memberships
from multitransport.client.messages import data_of, encode, read_closed
from multitransport.client.names import PRESENCE_PREFIX
from multitransport.client.outbox import Outbox, Pending
from multitransport.errors import QueueFull, RequestError, request_error
from multitransport.protocol.position import Position

__all__ = ["Arrivals"]


class Arrivals:
    """Takes frames from the transport that carries the session."""

    def __init__(self, link: Link, outbox: Outbox, memberships: Memberships) -> None:
        self._link = link
        self._outbox = outbox
        self._memberships = memberships

    def take(self, frame: list[Any], attach: int, effects: list[Effect]) -> None:
        """Take one frame of the transport with this attach; a kind that is not known has no meaning.

        What it raises says that the frame is no good.
        """
        kind = frame[0]
        if kind == "pub":
            self._memberships.published(frame, effects)
        elif (take := _TAKES.get(kind)) is not None:
            if kind == "welcome":
                self._link.carrying = self._link.ready = attach
            take(self, frame, effects)

    def _welcome(self, frame: list[Any], effects: list[Effect]) -> None:
        options, link = frame[1], self._link
        # The id tells more than ``resumed``: the welcome that told of a new session may have been lost on the way.
        resumed = options["session"] == link.session_id
        link.session_id, link.token = str(options["session"]), str(options["token"])
        link.ping_seconds = float(options["ping"])
        link.grace_seconds = float(options["grace"])
        link.max_message_bytes = int(options["max_message"])
        self._outbox.window = int(options["window"])
        if not resumed:
            self._restart(link.session_id, effects)
        self._outbox.repeat_above(int(options["seq"]), link.carrying)
        for ticket in self._memberships.named(link.carrying):
            self._outbox.withdraw(ticket)
        effects.append(Welcomed(resumed))

    def _restart(self, session_id: str, effects: list[Effect]) -> None:
        """The server knows nothing of the former session: what was sent is lost, but what the program wants to be and
        to be seen as is asked for again.
        """
        self._link.told = 0
        self._memberships.forget_former_inbox(session_id)
        again = []
        for pending in self._outbox.restart():
            if pending.kind == "join" and self._memberships.by_ticket(pending.room, pending.ticket) is not None:
                again.append(pending)
            elif pending.kind == "leave" or pending.again:
                effects.append(Outcome(pending.ticket))
            elif pending.kind == "join" or (pending.kind == "presence" and not pending.ticket):
                continue  # The room was left meanwhile; what was said before is said again below.
            elif pending.kind == "presence" and self._memberships.has(pending.of):
                again.append(pending)  # Not where the room was left and joined again: that was said of the former.
            else:
                error = request_error("outcome_unknown", "the session was lost before the answer came")
                effects.append(Outcome(pending.ticket, error=error))
        joins = [
            Pending(ticket, "join", encode([room])[1:-1], room=room)
            for room, ticket in self._memberships.ask_again(self._link.carrying)
        ]
        # Also where a change is under way, which may be refused.
        shown = [
            Pending(0, "presence", membership.presence, room=membership.room, of=membership)
            for membership in self._memberships.with_presence()
            if membership.presence is not None
        ]
        self._outbox.put_back([*joins, *shown, *again])

    # Rooms

    def _joined(self, frame: list[Any], effects: list[Effect]) -> None:
        _, seq, room, (epoch, offset), options, *_ = frame
        position = Position(str(epoch), int(offset))
        if seq is None:
            self._joined_by_itself(room, position, options, effects)
            return
        pending = self._outbox.answered(seq)
        if pending is None:
            return
        if pending.again:
            effects.append(Outcome(pending.ticket))  # first: whoever asked hears of it also where the room is ahead
            membership = self._memberships.get(room)
            # A hello that was said since goes on from a position of its own.
            if membership is None or (membership.joined and membership.hello <= pending.attach):
                self._joined_by_itself(room, position, options, effects)
            return
        membership = self._memberships.by_ticket(room, pending.ticket)
        if membership is not None:
            self._memberships.joined(membership, membership.asked, position, options, effects, ticket=pending.ticket)

    def _joined_by_itself(self, room: str, position: Position, options: dict[str, Any], effects: list[Effect]) -> None:
        """Take the answer to a room of the hello, or the news that the server put the session in a room."""
        if self._memberships.get(room) is not None:
            if (membership := self._memberships.by_hello(room, self._link.carrying)) is not None:
                ticket = None if membership.ticket in self._outbox.sent_tickets() else membership.ticket
                # A later hello, whose answer is still to come, may have asked for more.
                asked = membership.asked if membership.hello == self._link.carrying else None
                self._memberships.joined(membership, asked, position, options, effects, ticket=ticket)
        elif room.removeprefix(PRESENCE_PREFIX) in self._outbox.leaving():
            return
        elif room.startswith("@") or options.get("unasked"):
            membership = Membership(room)
            self._memberships.add(membership)
            self._memberships.joined(membership, None, position, options, effects, ticket=None, unasked=True)
        else:
            # What asked for it has come late: the program has left it since.
            with suppress(QueueFull):
                self._outbox.add(Pending(0, "leave", encode([room])[1:-1], room=room))

    def _left(self, frame: list[Any], effects: list[Effect]) -> None:
        _, seq, room, *why = frame
        if seq is not None:
            if (pending := self._outbox.answered(seq)) is not None:
                effects.append(Outcome(pending.ticket))
            return
        error = request_error(str(why[0]), str(why[1]) if len(why) > 1 else "") if why and why[0] else None
        if (membership := self._memberships.by_hello(room, self._link.carrying)) is not None:
            self._memberships.left(membership, error, effects)

    def _at(self, frame: list[Any], effects: list[Effect]) -> None:
        _, room, (epoch, offset), *_ = frame
        self._memberships.moved(room, Position(str(epoch), int(offset)), effects)

    def _gap(self, frame: list[Any], effects: list[Effect]) -> None:
        _, room, (epoch, offset), lost, *_ = frame
        self._memberships.lost(room, Position(str(epoch), int(offset)), lost, effects)

    # Outcomes

    def _reply(self, frame: list[Any], effects: list[Effect]) -> None:
        _, seq, data, *rest = frame
        if rest:
            data = data_of(data, rest[0])
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
                if isinstance(pending.of, Membership):
                    pending.of.presence = pending.body
                effects.append(Outcome(pending.ticket))

    def _failed(self, pending: Pending, error: RequestError, effects: list[Effect]) -> None:
        if pending.kind == "join" and not pending.again:
            membership = self._memberships.by_ticket(pending.room, pending.ticket)
            if membership is not None:
                self._memberships.left(membership, error, effects)
        else:
            # Not to be in a room is what a leave is for.
            effects.append(Outcome(pending.ticket, error=None if pending.kind == "leave" else error))

    # The connection

    def _ping(self, frame: list[Any], effects: list[Effect]) -> None:
        self._link.pong = frame[1]
        effects.append(Pinged())

    def _pong(self, frame: list[Any], effects: list[Effect]) -> None:
        effects.append(Ponged(float(frame[1])))

    def _move(self, frame: list[Any], effects: list[Effect]) -> None:
        effects.append(Move())

    def _close(self, frame: list[Any], effects: list[Effect]) -> None:
        effects.append(read_closed(frame))


_TAKES: dict[str, Callable[[Arrivals, list[Any], list[Effect]], None]] = {
    "ack": Arrivals._ack,
    "at": Arrivals._at,
    "close": Arrivals._close,
    "error": Arrivals._error,
    "gap": Arrivals._gap,
    "joined": Arrivals._joined,
    "left": Arrivals._left,
    "move": Arrivals._move,
    "ping": Arrivals._ping,
    "pong": Arrivals._pong,
    "reply": Arrivals._reply,
    "welcome": Arrivals._welcome,
}
