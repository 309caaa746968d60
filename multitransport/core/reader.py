"""A reader: one cursor per room, and what comes next over all of them. It holds no publications."""

from __future__ import annotations

from multitransport.core.cursor import Cursor, Flash, Gap, Owner
from multitransport.core.limits import MAX_FLASH_BYTES
from multitransport.core.log import Log
from multitransport.core.passes import StateCursor
from multitransport.core.publication import Slice
from multitransport.core.state import StateLog

__all__ = ["Cursor", "Flash", "Gap", "Reader"]


class Reader:
    """Cursors in rooms, served in turn so that a hot room does not starve a quiet one.

    One that is ``whole`` is asked once, and gets the passes over state rooms in full, whatever their size.
    """

    __slots__ = ("cursors", "flashes", "owner", "ready", "whole")

    def __init__(self, owner: Owner, *, whole: bool = False) -> None:
        self.owner = owner
        self.whole = whole
        self.cursors: dict[str, Cursor] = {}
        self.ready: list[Cursor] = []
        self.flashes: list[Flash] = []

    def add(self, log: Log, offset: int, *, held: bool = False) -> Cursor:
        """Start reading a log after the offset, in place of a cursor in the same room; ``held`` until a flush."""
        self.remove(log.room)
        cursor = StateCursor(self, log, offset) if isinstance(log, StateLog) else Cursor(self, log, offset)
        self.cursors[log.room] = cursor
        if cursor.behind and not held:
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

    def flash(self, flash: Flash) -> None:
        """Have volatile publications read once, unless the reader has too many waiting already."""
        if sum(each.volatile.size for each in self.flashes) < MAX_FLASH_BYTES:
            session_id = self.owner.session_id
            if session_id in flash.volatile.excluded:
                flash = flash._replace(volatile=flash.volatile.without(session_id, None))
            if flash.volatile.publications:
                self.flashes.append(flash)

    def take(self, limit_bytes: int) -> list[Slice | Gap]:
        """Return what comes next and move the cursors past it: at least one item if anything is ready, until the limit
        is passed. What is volatile comes before what was kept since, else after all of it.
        """
        items: list[Slice | Gap] = []
        flashes = self.flashes
        if flashes:
            self.flashes = []
            items += [each.volatile for each in flashes if each.overtaken]
        ready = self.ready
        left = limit_bytes
        while ready and left > 0:
            cursor = ready.pop(0)
            left -= cursor.read(items, limit_bytes)
            if cursor.ready:
                ready.append(cursor)
        if flashes:
            items += [each.volatile for each in flashes if not each.overtaken]
        return items
