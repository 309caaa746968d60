"""A reader: one cursor per room, and what comes next over all of them. It holds no publications."""

from __future__ import annotations

from typing import Protocol

from multitransport.core.log import Log
from multitransport.core.publication import Slice, at_frame
from multitransport.core.state import StateLog
from multitransport.protocol.frames import encode
from multitransport.protocol.position import Position

__all__ = ["Cursor", "Gap", "Reader"]

_MAX_FLASHES = 16
"""Volatile batches a reader may have waiting. Beyond: it misses them."""


class Gap:
    """What a reader lost by falling behind its room's retention."""

    __slots__ = ("disconnect", "frames", "lost", "position")

    def __init__(self, log: Log, offset: int, lost: int | None) -> None:
        self.position = Position(log.epoch, offset)
        self.lost = lost
        self.disconnect = log.retention.disconnect
        self.frames = encode(("gap", log.room, self.position, lost))


class Owner(Protocol):
    """Who is told that a reader has something to read."""

    session_id: str

    def wake(self) -> None:
        """Take note, and read soon."""
        ...

    def flush(self) -> None:
        """Read now."""
        ...


class Cursor:
    """A reader's place in one room; in a state room, while a pass takes several batches, also the keys it has yet to
    send.
    """

    __slots__ = ("epoch", "keys", "log", "offset", "reader", "ready", "tail", "top")

    def __init__(self, reader: Reader, log: Log, offset: int) -> None:
        self.reader = reader
        self.log = log
        self.epoch = log.epoch
        self.offset = offset
        self.ready = False
        self.keys: list[str] = []
        self.tail = b""
        self.top = 0

    @property
    def behind(self) -> bool:
        """Whether there is anything to read."""
        return self.offset < self.log.top or self.epoch != self.log.epoch

    def flush(self) -> None:
        """The log has grown: have it read now."""
        if self.behind and not self.ready:
            self.ready = True
            self.reader.ready.append(self)
        self.reader.owner.flush()

    def skip(self) -> Gap | None:
        """Move on to what the log still has, and say what was lost."""
        log = self.log
        if self.epoch != log.epoch:
            return self._begin_anew(log)
        if self.offset >= log.base or (self.offset == 0 and isinstance(log, StateLog)):
            return None
        self.keys = []
        if isinstance(log, StateLog):
            self.offset = 0
            return Gap(log, 0, None)
        lost = log.base - self.offset
        self.offset = log.base
        return Gap(log, log.base, lost)

    def _begin_anew(self, log: Log) -> Gap:
        """Offsets mean something else than before: what was lost nobody can know."""
        self.epoch = log.epoch
        self.keys = []
        self.offset = 0 if isinstance(log, StateLog) else log.base
        return Gap(log, self.offset, None)

    def next(self, limit_bytes: int) -> Slice:
        """Return what comes next, about ``limit_bytes`` of it, and move past it."""
        log = self.log
        if isinstance(log, StateLog):
            found = self._pass(log, limit_bytes)
        else:
            found = log.slice(self.offset, limit_bytes)
            self.offset = found.last
        session_id = self.reader.owner.session_id
        if session_id in found.excluded:
            return found.without(session_id, at_frame(log.room, Position(log.epoch, found.last)))
        return found

    def _pass(self, log: StateLog, limit_bytes: int) -> Slice:
        if not self.keys:
            whole = log.slice(self.offset, limit_bytes)
            if whole.size <= limit_bytes or len(whole.publications) <= 1:
                self.offset = whole.last
                return whole
            self.keys, self.top, self.tail = log.keys_after(self.offset), log.top, log.at_top()
        return self._part(log, limit_bytes)

    def _part(self, log: StateLog, limit_bytes: int) -> Slice:
        """Return some of the keys of a pass, each with the value it has now; the last part moves the position."""
        publications = []
        taken = 0
        for key in self.keys:
            taken += 1
            found = log.current([key])
            publications += found
            limit_bytes -= sum(each.size + 1 for each in found)
            if limit_bytes <= 0:
                break
        del self.keys[:taken]
        if self.keys:
            return Slice(publications, self.offset)
        self.offset = self.top
        return Slice(publications, self.top, self.tail)


class Reader:
    """Cursors in rooms, served in turn so that a hot room does not starve a quiet one."""

    __slots__ = ("cursors", "flashes", "owner", "ready")

    def __init__(self, owner: Owner) -> None:
        self.owner = owner
        self.cursors: dict[str, Cursor] = {}
        self.ready: list[Cursor] = []
        self.flashes: list[Slice] = []

    def add(self, log: Log, offset: int, *, held: bool = False) -> Cursor:
        """Start reading a log after the offset, in place of a cursor in the same room; ``held`` until a flush."""
        self.remove(log.room)
        cursor = self.cursors[log.room] = Cursor(self, log, offset)
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

    def flash(self, volatile: Slice) -> None:
        """Have volatile publications read once, unless the reader has too many waiting already."""
        if len(self.flashes) < _MAX_FLASHES:
            mine = (
                volatile.without(self.owner.session_id, None)
                if self.owner.session_id in volatile.excluded
                else volatile
            )
            if mine.publications:
                self.flashes.append(mine)

    def take(self, limit_bytes: int) -> list[Slice | Gap]:
        """Return what comes next and move the cursors past it: at least one item if anything is ready, until the limit
        is passed.
        """
        items: list[Slice | Gap] = []
        left = limit_bytes
        while self.ready and left > 0:
            cursor = self.ready.pop(0)
            gap = cursor.skip()
            if gap is not None:
                items.append(gap)
            if cursor.behind:
                found = cursor.next(limit_bytes)
                items.append(found)
                left -= found.size
            if cursor.behind:
                self.ready.append(cursor)
            else:
                cursor.ready = False
        if self.flashes:
            items += self.flashes
            self.flashes = []
        return items
