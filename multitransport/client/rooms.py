"""The rooms of a client by name: what arrives finds its room here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from multitransport.client.asks import Tasks, run_callback
from multitransport.client.events import CaughtUp, Gap, Joined, Left, Publication
from multitransport.client.feed import Feed
from multitransport.client.names import PRESENCE_PREFIX, is_inbox
from multitransport.client.room import Connection, Room
from multitransport.errors import MultiTransportError

__all__ = ["Rooms"]


class Rooms:
    """``by_name`` has those the session is in or is joining, ``inbox`` what is for the session or its user alone."""

    def __init__(self, connection: Connection) -> None:
        self.by_name: dict[str, Room] = {}
        self.inbox = Feed()
        self.callbacks: list[Callable[[Room], Any]] = []
        self._connection = connection
        self._tasks = Tasks()

    def add(self, name: str) -> Room:
        """Return a new room."""
        room = self.by_name[name] = Room(name, self._connection)
        return room

    def deliver(self, effect: Publication | Gap | CaughtUp) -> None:
        """Give a room, the inbox or a room's presence what it is told."""
        name = effect.room
        if name.startswith("@"):
            if (room := self.by_name.get(name.removeprefix(PRESENCE_PREFIX))) is not None:
                room.put_presence(effect)
            elif is_inbox(name) and not isinstance(effect, CaughtUp):
                self.inbox.put(effect)
        elif (room := self.by_name.get(name)) is not None and not isinstance(effect, CaughtUp):
            room.put(effect)

    def joined(self, effect: Joined) -> None:
        """A room is joined; one that the server has joined appears."""
        room = self.by_name.get(effect.room)
        if room is not None:
            room.joined(effect.mode)
        elif effect.unasked and not effect.room.startswith("@"):
            room = self.add(effect.room)
            room.joined(effect.mode)
            for callback in self.callbacks:
                self._tasks.start(run_callback(callback, room))

    def left(self, effect: Left) -> None:
        """The server ended a membership."""
        if (room := self.by_name.pop(effect.room, None)) is not None:
            room.end(effect.error)

    def end(self, error: MultiTransportError) -> None:
        """The session is over."""
        for room in self.by_name.values():
            room.end(error)
        self.by_name.clear()
        self.inbox.end(error)

    async def end_callbacks(self) -> None:
        """Cancel what callbacks still run."""
        await self._tasks.end()
