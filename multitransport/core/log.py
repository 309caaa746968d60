"""A room's log: publications by offset, kept within a retention, read as slices encoded once for all readers."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from multitransport.core.publication import Draft, Publication, Slice, publish_frame
from multitransport.protocol.position import Position

__all__ = ["Log", "Recovery", "Retention"]

_CACHED_SLICES = 8
_CACHED_BYTES = 1 << 19
"""Of slices kept for the next reader at the same place. One larger is made anew for each."""


class Retention(msgspec.Struct, frozen=True):
    """What a log keeps, whichever bound is met first. A single publication over ``bytes`` is still kept alone.

    With ``keys`` above 0 the room is a state room: it keeps the newest publication of each of that many keys, and
    ``seconds`` is how long it remembers which keys were deleted.
    """

    count: int = 1000
    seconds: float = 300.0
    bytes: int = 1 << 20
    keys: int = 0
    disconnect: bool = False
    """A reader that falls behind is disconnected rather than moved on."""


class Recovery(NamedTuple):
    """Where a reader starts, whether that is all it asked for, and how much is missing (None: nobody can know)."""

    offset: int
    recovered: bool
    lost: int | None


class Log:
    """The log of one room, or the end of it that this process holds.

    ``top`` is the last offset given, ``base`` the one before the oldest kept: the log holds ``base + 1 … top``, in
    ``size`` bytes. ``written`` counts all the bytes there ever were.
    """

    __slots__ = ("_ids", "_publications", "_slices", "base", "epoch", "retention", "room", "size", "top", "written")

    mode = "log"

    def __init__(self, room: str, epoch: str, retention: Retention) -> None:
        self.room = room
        self.epoch = epoch
        self.retention = retention
        self.base = self.top = 0
        self.size = self.written = 0
        self._publications: dict[int, Publication] = {}
        self._ids: dict[str, tuple[int, float]] = {}
        self._slices: dict[Any, Slice] = {}

    def __len__(self) -> int:
        return len(self._publications)

    @property
    def position(self) -> Position:
        """The position of a reader that has everything."""
        return Position(self.epoch, self.top)

    def append(self, draft: Draft, now: float) -> Publication:
        """Add a publication, drop what the retention no longer keeps, and return it.

        One with an id that is remembered adds nothing: it has the offset of the first with that id. As many ids are
        remembered as the retention has publications, and for as long, whatever became of those.
        """
        if (known := self._known(draft)) is not None:
            return known
        publication = self.take(self.top + 1, draft, now)
        self._note_id(publication)
        self.trim(now)
        return publication

    def take(self, offset: int, draft: Draft, at: float) -> Publication:
        """Add the publication that was given this offset, the next one, where the log itself is kept; drop nothing."""
        publication = self._publication(draft, offset, at)
        self._add(publication)
        return publication

    def prepend(self, draft: Draft, at: float) -> None:
        """Add the publication right before the oldest kept."""
        publication = self._publication(draft, self.base, at)
        self.base -= 1
        self.size += publication.size
        self._publications[publication.offset] = publication

    def restart(self, position: Position) -> None:
        """Hold nothing, and go on after this position. In another epoch readers are told that they lost something."""
        self.epoch, self.base = position
        self.top = self.base
        self.size = 0
        self._publications.clear()
        self._ids.clear()
        self._slices.clear()

    def get(self, offset: int) -> Publication | None:
        """Return the publication with this offset if it is kept."""
        return self._publications.get(offset)

    def trim(self, now: float) -> None:
        """Drop what the retention no longer keeps at this time."""
        retention = self.retention
        self._forget_ids(now)
        while self.base < self.top:
            oldest = self._publications[self.base + 1]
            too_many = len(self) > retention.count or (self.size > retention.bytes and len(self) > 1)
            if not too_many and now - oldest.at <= retention.seconds:
                break
            self._drop(oldest)
            self.base = oldest.offset

    def slice(self, after: int, limit_bytes: int) -> Slice:
        """Return at least one publication after the offset, and about ``limit_bytes``; ``base <= after < top``."""
        found = self._slices.get((after, limit_bytes))
        if found is None:
            found = self._collect(after, limit_bytes)
            self._cache((after, limit_bytes), found)
        return found

    def newest(self, count: int) -> Recovery:
        """Return where a newcomer starts that gets the latest ``count`` publications."""
        return Recovery(max(self.base, self.top - count), True, None)

    def recover(self, position: Position) -> Recovery:
        """Return where a reader with this position goes on, and whether nothing is missing in between."""
        if position.epoch != self.epoch or position.offset > self.top:
            return Recovery(self.base, False, None)
        if position.offset < self.base:
            return Recovery(self.base, False, self.base - position.offset)
        return Recovery(position.offset, True, None)

    def _known(self, draft: Draft) -> Publication | None:
        if draft.id is None or (first := self._ids.get(draft.id)) is None:
            return None
        return self._publication(draft, *first)

    def _note_id(self, publication: Publication) -> None:
        if publication.draft.id is not None:
            self._ids[publication.draft.id] = publication.offset, publication.at
            if len(self._ids) > self.retention.count:
                del self._ids[next(iter(self._ids))]

    def _forget_ids(self, now: float) -> None:
        while self._ids:
            oldest = next(iter(self._ids))
            if now - self._ids[oldest][1] <= self.retention.seconds:
                break
            del self._ids[oldest]

    def _publication(self, draft: Draft, offset: int, at: float) -> Publication:
        return Publication(offset, draft, publish_frame(self.room, offset, draft), at)

    def _collect(self, after: int, limit_bytes: int) -> Slice:
        publications = []
        offset = after
        while offset < self.top and limit_bytes > 0:
            offset += 1
            publication = self._publications[offset]
            publications.append(publication)
            limit_bytes -= publication.size + 1
        return Slice(publications, offset)

    def _add(self, publication: Publication) -> None:
        self.top = publication.offset
        self.size += publication.size
        self.written += publication.size
        self._publications[publication.offset] = publication
        self._slices.clear()

    def _drop(self, publication: Publication) -> None:
        del self._publications[publication.offset]
        self.size -= publication.size
        self._slices.clear()

    def _cache(self, key: Any, found: Slice) -> None:
        if found.size > _CACHED_BYTES:
            return
        cached = sum(each.size for each in self._slices.values())
        if len(self._slices) >= _CACHED_SLICES or cached + found.size > _CACHED_BYTES:
            self._slices.clear()
        self._slices[key] = found
