"""The rooms a client wants to be in, and how far it has read each: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from multitransport.client.events import Effect, Gap, Joined, Left, Publication
from multitransport.errors import RequestError
from multitransport.protocol.position import Position

__all__ = ["Membership", "Memberships"]


@dataclass(slots=True, eq=False)
class Membership:
    """A room the program wants to be in.

    ``position`` is the last one received, ``asked`` the one last sent to the server. ``ticket`` is that of the join
    until it is answered. ``since`` and ``hello`` are the attaches of the first and the last hello that named the room;
    ``since`` is 0 where the last one left it out.
    """

    room: str
    history: int | None
    position: Position | None
    ticket: int | None
    joined: bool = False
    asked: Position | None = None
    since: int = 0
    hello: int = 0

    def named_by(self, attach: int) -> bool:
        """Tell whether the hello with this attach named the room."""
        return 0 < self.since <= attach

    def ask(self) -> dict[str, Any]:
        """Return the options of a join, or of the room in a hello."""
        self.asked = self.position
        if self.position is not None:
            return {"position": self.position}
        return {} if self.history is None else {"history": self.history}


class Memberships:
    """The memberships by room. What frames mean for them is appended to ``effects``."""

    def __init__(self) -> None:
        self._by_room: dict[str, Membership] = {}

    def add(self, room: str, history: int | None, position: Position | None, ticket: int) -> None:
        """Want to be in a room; the join has this ticket."""
        self._by_room[room] = Membership(room, history, position, ticket)

    def remove(self, room: str) -> Membership | None:
        """Want to be in a room no more."""
        return self._by_room.pop(room, None)

    def get(self, room: str | None) -> Membership | None:
        """Return the membership of a room."""
        return None if room is None else self._by_room.get(room)

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

    def name(self, attach: int, sent: Collection[int], leaving: Collection[str | None]) -> dict[str, dict[str, Any]]:
        """Return the rooms of the hello with this attach.

        One whose join is among those ``sent`` is left out: that is repeated where it did not arrive, and its room is
        in the server's record where it did. So is one of which a leave is still to come, which would undo what the
        hello says: its join comes after that.
        """
        rooms = {}
        for room, membership in self._by_room.items():
            if membership.ticket is None or (membership.ticket not in sent and room not in leaving):
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

    def published(self, frame: list[Any], effects: list[Effect]) -> None:
        """Take a ``pub`` frame."""
        _, room, offset, event, data, *rest = frame
        membership = self._by_room.get(room)
        if membership is None or not membership.joined or membership.position is None:
            return
        epoch, last = membership.position
        if offset > last:
            membership.position = position = Position(epoch, offset)
            effects.append(Publication(room, event, data, position, rest[0].get("from") if rest else None))

    def joined(
        self,
        membership: Membership,
        asked: Position | None,
        position: Position,
        options: dict[str, Any],
        effects: list[Effect],
    ) -> None:
        """Take what a ``joined`` frame, which answers to the position ``asked``, says of this membership."""
        former = membership.position
        # What an older transport delivered while this answer was under way may have moved the position beyond it.
        ahead = former is not None and former.epoch == position.epoch and former.offset > position.offset
        if not ahead or (asked is not None and asked.offset > position.offset):
            membership.position = position
        effects.append(Joined(membership.room, membership.ticket))
        membership.ticket, membership.joined = None, True
        if not options["recovered"]:
            effects.append(Gap(membership.room, position, options.get("lost")))
        elif former is not None and membership.position == position != former:
            # A hello from before the first position, answered by another session: to the server, a newcomer's.
            lost = position.offset - former.offset if position.epoch == former.epoch else None
            effects.append(Gap(membership.room, position, lost))

    def left(self, membership: Membership, error: RequestError | None, effects: list[Effect]) -> None:
        """The server has ended a membership, or refused to begin it."""
        del self._by_room[membership.room]
        effects.append(Left(membership.room, membership.ticket, error))

    def moved(self, room: str, position: Position) -> bool:
        """Move on to a position; False where the room is not joined."""
        membership = self._by_room.get(room)
        if membership is None or not membership.joined:
            return False
        membership.position = position
        return True
