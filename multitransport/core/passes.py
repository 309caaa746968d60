"""How a state room is read: in passes over the keys that changed, so that no busy key holds another one up."""

from __future__ import annotations

from multitransport.core.cursor import Cursor, Gap, Line
from multitransport.core.publication import Publication, Slice, at_frame
from multitransport.core.state import StateLog
from multitransport.protocol.position import Position

__all__ = ["StateCursor"]


class StateCursor(Cursor):
    """A reader's place in one state room, and, while a pass takes several batches, the keys it has yet to send.

    A pass fixes the top and sends the value that each key changed since the offset has when its turn comes; the offset
    moves when it is over.

    The reader has seen no key whose deletion was forgotten up to ``floor``: a deletion that is forgotten above it may
    be one the reader will never hear of. While it has seen nothing at all, ``floor`` is above the offset, and rises.
    Up to ``since`` it is sent what excludes it too: those are the values it begins with.
    """

    __slots__ = ("again", "floor", "keys", "since", "state", "top")

    def __init__(self, reader: Line, log: StateLog, offset: int) -> None:
        super().__init__(reader, log, offset)
        self.state = log
        self.floor = offset or log.base
        self.since = offset or log.top
        self.top = 0
        self.keys: list[str] = []
        self.again = False

    @property
    def goes_on(self) -> bool:
        """Whether it reads on: to the end of the pass, and then only if it was told to meanwhile."""
        return bool(self.keys) or (self.again and self.behind)

    def flush(self) -> None:
        """The log has grown: have it read now, or once more when the pass under way is over."""
        self.again = self.ready
        super().flush()

    def skip(self) -> Gap | None:
        """Begin anew where a deletion may have been missed, and say so."""
        log = self.state
        if log.base <= self.floor:
            return None
        fresh = self.floor > self.offset and not self.keys
        self.floor = log.base
        if fresh:
            return None
        self.offset = 0
        self.since = log.top
        self.keys = []
        return Gap(log, 0, None)

    def next(self, limit_bytes: int) -> Slice:
        """Return a pass, or the next part of one."""
        log = self.state
        if not self.keys:
            self.again = False
            self.top = log.top
            if self.floor > self.offset:
                self.floor = self.top
            if log.fits(self.offset, limit_bytes):
                found = log.slice(self.offset, limit_bytes)
                self.offset = self.floor = found.last
                session_id = self.reader.owner.session_id
                return found.without(session_id, None, self.since) if session_id in found.excluded else found
            self.keys = log.keys_after(self.offset)
        return self._part(limit_bytes)

    def _part(self, limit_bytes: int) -> Slice:
        """Return some of the keys of a pass, each with the value it has now; the last part moves the position."""
        log = self.state
        publications = []
        taken = 0
        for key in self.keys:
            taken += 1
            found = log.current(key)
            if found is None or self._is_spared(found):
                continue
            publications.append(found)
            limit_bytes -= found.size + 1
            if limit_bytes <= 0 and not self.reader.whole:
                break
        del self.keys[:taken]
        if self.keys:
            return Slice(publications, self.offset)
        self.offset = self.floor = self.top
        return Slice(publications, self.top, at_frame(log.room, Position(log.epoch, self.top)))

    def _is_spared(self, publication: Publication) -> bool:
        return publication.offset > self.since and publication.draft.exclude == self.reader.owner.session_id
