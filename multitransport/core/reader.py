"""A reader: one cursor per room, and what comes next over all of them. It holds no publications."""

from __future__ import annotations

from typing import Protocol

from multitransport.core.log import Log, Slice
from multitransport.protocol.frames import encode
from multitransport.protocol.position import Position

__all__ = ["Cursor", "Gap", "Reader"]


class Gap:
    """What a reader lost by falling behind its room's retention."""

    __slots__ = ("frames", "lost", "position")

    def __init__(self, room: str, position: Position, lost: int) -> None:
        self.position = position
        self.lost = lost
        self.frames = encode(("gap", room, position, lost))


class Owner(Protocol):
    """Who is told that a reader has something to read."""

    def wake(self) -> None:
        """Take note, and read soon."""
        ...

    def flush(self) -> None:
        """Read now."""
        ...


class Cursor:
    """A reader's place in one room."""

    __slots__ = ("log", "offset", "reader", "ready")

    def __init__(self, reader: Reader, log: Log, offset: int) -> None:
        self.reader = reader
        self.log = log
        self.offset = offset
        self.ready = False

    def flush(self) -> None:
        """The log has grown: have it read now."""
        if not self.ready:
            self.ready = True
            self.reader.ready.append(self)
        self.reader.owner.flush()


class Reader:
    """Cursors in rooms, served in turn so that a hot room does not starve a quiet one."""

    __slots__ = ("cursors", "owner", "ready")

    def __init__(self, owner: Owner) -> None:
        self.owner = owner
        self.cursors: dict[str, Cursor] = {}
        self.ready: list[Cursor] = []

    def add(self, log: Log, offset: int) -> Cursor:
        """Start reading a log after the offset, in place of a cursor in the same room."""
        self.remove(log.room)
        cursor = self.cursors[log.room] = Cursor(self, log, offset)
        if offset < log.top:
            cursor.ready = True
            self.ready.append(cursor)
            self.owner.wake()
        return cursor

    def remove(self, room: str) -> Cursor | None:
        """Stop reading a room; return its cursor if there was one."""
        cursor = self.cursors.pop(room, None)
        if cursor is not None and cursor.ready:
            self.ready.remove(cursor)
        return cursor

    def take(self, limit_bytes: int) -> list[Slice | Gap]:
        """Return what comes next and move the cursors past it: at least one item if anything is ready, until the limit
        is passed.
        """
        items: list[Slice | Gap] = []
        left = limit_bytes
        while self.ready and left > 0:
            cursor = self.ready.pop(0)
            log = cursor.log
            if cursor.offset < log.base:
                items.append(Gap(log.room, Position(log.epoch, log.base), log.base - cursor.offset))
                cursor.offset = log.base
            if cursor.offset < log.top:
                found = log.slice(cursor.offset, limit_bytes)
                items.append(found)
                left -= found.size
                cursor.offset = found.last
            if cursor.offset < log.top:
                self.ready.append(cursor)
            else:
                cursor.ready = False
        return items
