"""The rooms a client is or wants to be in, and how far it has read each: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from multitransport.client.events import Asked, CaughtUp, Effect, Gap, Joined, Left, Mode, Publication
from multitransport.client.keys import Keys
from multitransport.client.messages import data_of
from multitransport.client.names import SESSION_PREFIX, presence_of
from multitransport.errors import RequestError
from multitransport.protocol.position import Position

__all__ = ["Ahead", "Membership", "Memberships"]

_NO_OPTIONS: dict[str, Any] = {}


class Ahead(Exception):
    """A transport goes on in a room from more than is here; it is to be given up for one whose hello knows better."""


@dataclass(slots=True, eq=False)
class Membership:
    """A room the program wants to be in, or the server put it in.

    ``position`` is the last one received, ``asked`` the one last sent to the server. ``ticket`` is that of the join
    until it is answered. ``since`` and ``hello`` are the attaches of the first and the last hello that named the room;
    ``since`` is 0 where the last one left it out. ``presence`` is the body of the last ``presence`` frame
    that the server has taken.
    """

    room: str
    history: int | None = None
    position: Position | None = None
    ticket: int | None = None
    max_rate: float | None = None
    mode: Mode = "log"
    joined: bool = False
    asked: Position | None = None
    since: int = 0
    hello: int = 0
    presence: bytes | None = None
    keys: Keys = field(default_factory=Keys)

    def is_before(self, position: Position) -> bool:
        """Whether the position is not one that was received already."""
        own = self.position
        return own is None or own.epoch != position.epoch or own.offset < position.offset

    def named_by(self, attach: int) -> bool:
        """Tell whether the hello with this attach named the room."""
        return 0 < self.since <= attach

    def ask(self) -> dict[str, Any]:
        """Return the options of a join, or of the room in a hello."""
        self.asked = self.position
        options: dict[str, Any] = {}
        if self.position is not None:
            options["position"] = self.position
        elif self.history is not None:
            options["history"] = self.history
        if self.max_rate is not None:
            options["max_rate"] = self.max_rate
        return options


class Memberships:
    """The memberships by room. What frames mean for them is appended to ``effects``."""

    def __init__(self) -> None:
        self._by_room: dict[str, Membership] = {}
        # Of joins for which nobody waits; no program's ticket is below zero.
        self._tickets = count(-1, -1)

    def add(self, membership: Membership) -> None:
        """Want to be in a room."""
        self._by_room[membership.room] = membership

    def remove(self, room: str) -> Membership | None:
        """Want to be in a room no more; who else is in it is no concern then."""
        self._by_room.pop(presence_of(room), None)
        return self._by_room.pop(room, None)

    def get(self, room: str | None) -> Membership | None:
        """Return the membership of a room."""
        return None if room is None else self._by_room.get(room)

    def has(self, membership: object) -> bool:
        """Tell whether this is one of them still, and not a former one of the same room."""
        return isinstance(membership, Membership) and self._by_room.get(membership.room) is membership

    def by_hello(self, room: str, attach: int) -> Membership | None:
        """Return the membership of a room if what the server says of it by itself is meant for it.

        While its join is under way, and the hello with this attach did not name it, the server speaks of a former one.
        """
        membership = self.get(room)
        if membership is not None and membership.ticket is not None and not membership.named_by(attach):
            return None
        return membership

    def by_ticket(self, room: str | None, ticket: int) -> Membership | None:
        """Return the membership of a room if this join is the one it waits for."""
        membership = self.get(room)
        return membership if membership is not None and membership.ticket == ticket else None

    def name(
        self, attach: int, sent: Collection[int], leaving: Collection[str | None], *, resuming: bool
    ) -> dict[str, dict[str, Any]]:
        """Return the rooms of the hello with this attach.

        One whose join is among those ``sent`` is left out: that is repeated where it did not arrive, and its room is
        in the server's record where it did. So is one of which a leave is still to come, which would undo what the
        hello says: its join comes after that. And so is, in a session that is there already, one that is yet to be
        joined after a position: the server would take it for one it has put the session out of.
        """
        rooms = {}
        for room, membership in self._by_room.items():
            kept_back = room in leaving or (resuming and membership.position is not None)
            if membership.ticket is None or not (membership.ticket in sent or kept_back):
                membership.hello = attach
                membership.since = membership.since or attach
                rooms[room] = membership.ask()
            else:
                membership.since = 0
        return rooms

    def named(self, attach: int) -> list[int]:
        """Return the tickets of the joins that the hello with this attach has made superfluous."""
        return [
            membership.ticket
            for membership in self._by_room.values()
            if membership.ticket is not None and membership.named_by(attach)
        ]

    def ask_again(self, attach: int) -> list[tuple[str, int]]:
        """Return the rooms that another session does not know of, whose hello has this attach, each with the ticket of
        a new join: an older transport told that they are joined after that hello.
        """
        unknown = [
            membership
            for membership in self._by_room.values()
            if membership.ticket is None and not membership.named_by(attach) and not membership.room.startswith("@")
        ]
        again = []
        for membership in unknown:
            membership.ticket = next(self._tickets)
            again.append((membership.room, membership.ticket))
        return again

    def with_presence(self) -> list[Membership]:
        """Return the memberships in which the program has said what others see of it."""
        return [membership for membership in self._by_room.values() if membership.presence is not None]

    def forget_former_inbox(self, session_id: str) -> None:
        """Another session has begun: the inbox of the former is gone with it."""
        own = SESSION_PREFIX + session_id
        for room in [room for room in self._by_room if room.startswith(SESSION_PREFIX) and room != own]:
            del self._by_room[room]

    def published(self, frame: list[Any], effects: list[Effect]) -> None:
        """Take a ``pub`` frame."""
        _, room, offset, event, data, *rest = frame
        membership = self._by_room.get(room)
        if membership is None or not membership.joined or membership.position is None:
            return
        options = rest[0] if rest else _NO_OPTIONS
        key, deleted = options.get("key"), bool(options.get("deleted"))
        position = None
        if offset is not None:
            epoch, last = membership.position
            position = Position(epoch, offset)
            if membership.mode == "state":
                if not membership.keys.take(str(key), offset, deleted, last):
                    return
            elif offset > last:
                membership.position = position
            else:
                return
        if options:
            data = data_of(data, options)
        if "ask" in options:
            effects.append(Asked(str(options["ask"]), event, data))
        else:
            effects.append(Publication(room, event, data, position, options.get("from"), key, deleted))

    def joined(
        self,
        membership: Membership,
        asked: Position | None,
        position: Position,
        options: dict[str, Any],
        effects: list[Effect],
        *,
        ticket: int | None,
        unasked: bool = False,
    ) -> None:
        """Take what a ``joined`` frame, which answers to the position ``asked``, says of this membership; ``ticket`` is
        that of the join it answers. Raises Ahead.
        """
        former = membership.position
        membership.mode = "state" if options.get("mode") == "state" else "log"
        recovered = bool(options["recovered"])
        if membership.mode == "state" and former is not None and former.offset and not position.offset:
            recovered = False  # All values follow, as to a newcomer, but not the ends of keys that are forgotten.
        # What an older transport delivered, or the answer to an earlier hello, may have moved the position beyond it.
        behind = membership.is_before(position)
        set_back = asked is not None and asked.epoch == position.epoch and asked.offset > position.offset
        anew = not recovered and (set_back or membership.mode == "state")
        effects.append(Joined(membership.room, ticket, membership.mode, unasked))
        if membership.ticket == ticket:
            membership.ticket = None
        if membership.mode == "state" and recovered and behind and former is not None and position.offset:
            # A late answer to an earlier hello, or a gap after it, has emptied the room since this position was given:
            # the values up to there do not come again.
            raise Ahead(f"{membership.room!r} is not at {position.offset} any more")
        membership.joined = True
        if behind or anew:
            membership.position = position
        if anew or (behind and not recovered):
            membership.keys.clear()
            effects.append(Gap(membership.room, position, options.get("lost")))
        elif behind and former is not None:
            # A hello from before the first position, answered by another session: to the server, a newcomer's.
            lost = position.offset - former.offset if position.epoch == former.epoch else None
            membership.keys.clear()
            effects.append(Gap(membership.room, position, lost))

    def left(self, membership: Membership, error: RequestError | None, effects: list[Effect]) -> None:
        """The server has ended a membership, or refused to begin it."""
        self.remove(membership.room)
        effects.append(Left(membership.room, membership.ticket, error))

    def moved(self, room: str, position: Position, effects: list[Effect]) -> None:
        """Move on to a position, before which nothing was lost."""
        membership = self._by_room.get(room)
        if membership is None or not membership.joined:
            return
        if membership.is_before(position):
            membership.position = position
        if membership.mode == "state":
            membership.keys.forget_deleted(position.offset)
            effects.append(CaughtUp(room))

    def lost(self, room: str, position: Position, lost: int | None, effects: list[Effect]) -> None:
        """Move on to a position, before which something was lost; in a state room that may be its beginning."""
        membership = self._by_room.get(room)
        if membership is None or not membership.joined:
            return
        if membership.mode == "state" or membership.is_before(position):
            membership.position = position
            membership.keys.clear()
            effects.append(Gap(room, position, lost))
