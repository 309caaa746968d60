"""A reader: one cursor per room, and what comes next over all of them. It holds no publications."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

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


class Cursor:
    """A reader's place in one room."""

    __slots__ = ("log", "offset", "reader", "ready")

    def __init__(self, reader: Reader, log: Log, offset: int) -> None:
        self.reader = reader
        self.log = log
        self.offset = offset
        self.ready = False

    def advanced(self) -> None:
        """Take note that the log has grown."""
        if not self.ready:
            self.ready = True
            self.reader.ready.append(self)
            self.reader.wake()


class Reader:
    """Cursors in rooms, served in turn so that a hot room does not starve a quiet one.

    ``wake`` is called whenever a cursor gets something to read.
    """

    __slots__ = ("cursors", "ready", "wake")

    def __init__(self, wake: Callable[[], None]) -> None:
        self.wake = wake
        self.cursors: dict[str, Cursor] = {}
        self.ready: deque[Cursor] = deque()

    def add(self, log: Log, offset: int) -> Cursor:
        """Start reading a log after the offset, in place of a cursor in the same room."""
        self.remove(log.room)
        cursor = self.cursors[log.room] = Cursor(self, log, offset)
        if offset < log.top:
            cursor.advanced()
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
            cursor = self.ready.popleft()
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
