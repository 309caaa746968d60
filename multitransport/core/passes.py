"""How a state room is read: in passes over the keys that changed, so that no busy key holds another one up."""

from __future__ import annotations

from multitransport.core.cursor import Cursor, Gap, Line
from multitransport.core.publication import Slice
from multitransport.core.state import Pass, StateLog
from multitransport.protocol.position import MAX_COUNT

__all__ = ["StateCursor"]


class StateCursor(Cursor):
    """A reader's place in one state room, and, while a pass takes several batches, how many of its keys are told.

    A pass fixes the top and sends the value that each key changed since the offset has when its turn comes; the offset
    moves when it is over.

    The reader has seen no key whose deletion was forgotten up to ``floor``: a deletion that is forgotten above it may
    be one the reader will never hear of. While it has seen nothing at all, ``floor`` is above the offset, and rises.
    Up to ``since`` it is sent what excludes it too: those are the values it begins with.
    """

    __slots__ = ("again", "floor", "since", "state", "told", "under_way")

    def __init__(self, reader: Line, log: StateLog, offset: int) -> None:
        super().__init__(reader, log, offset)
        self.state = log
        self.floor = offset or log.base
        self.since = offset or log.top
        self.under_way: Pass | None = None
        self.told = 0
        self.again = False

    def flush(self) -> None:
        """The log has grown: have it read now, or once more when the pass under way is over."""
        self.again = self.ready
        super().flush()

    def read(self, items: list[Slice | Gap], limit_bytes: int) -> int:
        """Add a pass, or the next part of one. It goes on to the end of the pass, and then only if it was told to
        meanwhile.
        """
        log = self.state
        if (self.floor < log.base or self.epoch != log.epoch) and (gap := self._begin_anew()) is not None:
            items.append(gap)
        size = 0
        if self.behind:
            found = self._next(limit_bytes)
            items.append(found)
            size = found.size
        self.ready = self.under_way is not None or (self.again and self.behind)
        return size

    def _begin_anew(self) -> Gap | None:
        """Begin anew where a deletion may have been missed, and say so to who has seen anything."""
        log = self.state
        fresh = self.epoch == log.epoch and self.floor > self.offset and self.under_way is None
        self.epoch = log.epoch
        self.floor = log.base
        if fresh:
            return None
        self.offset = 0
        self.since = log.top
        self.under_way = None
        return Gap(log, 0, None)

    def _next(self, limit_bytes: int) -> Slice:
        log = self.state
        if self.reader.whole:
            limit_bytes = MAX_COUNT
        if self.under_way is None:
            self.again = False
            if self.floor > self.offset:
                self.floor = log.top
            found = log.whole(self.offset, limit_bytes)
            if found is not None:
                self.offset = self.floor = found.last
                return self._mine(found)
            self.under_way = log.begin(self.offset)
            self.told = 0
        return self._part(self.under_way, limit_bytes)

    def _part(self, under_way: Pass, limit_bytes: int) -> Slice:
        """Return the next part of a pass of which anything is for this reader; the last moves the position."""
        while True:
            part = self.state.part(under_way, self.told, limit_bytes)
            self.told = part.end
            if part.tail is not None:
                self.offset = self.floor = under_way.top
                self.under_way = None
                return self._mine(part)
            if (mine := self._mine(part)).publications:
                return mine

    def _mine(self, found: Slice) -> Slice:
        session_id = self.reader.owner.session_id
        return found.without(session_id, None, self.since) if session_id in found.excluded else found
