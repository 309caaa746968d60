"""A room's log: publications by offset, kept within a retention, read as slices encoded once for all readers."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from multitransport.core.publication import Draft, Publication, Slice, publish_frame
from multitransport.protocol.position import Position

__all__ = ["Log", "Recovery", "Retention"]

_CACHED_SLICES = 8


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

    __slots__ = ("_by_id", "_publications", "_slices", "base", "epoch", "retention", "room", "size", "top", "written")

    mode = "log"

    def __init__(self, room: str, epoch: str, retention: Retention) -> None:
        self.room = room
        self.epoch = epoch
        self.retention = retention
        self.base = self.top = 0
        self.size = self.written = 0
        self._publications: dict[int, Publication] = {}
        self._by_id: dict[str, Publication] = {}
        self._slices: dict[tuple[int, int], Slice] = {}

    def __len__(self) -> int:
        return len(self._publications)

    @property
    def position(self) -> Position:
        """The position of a reader that has everything."""
        return Position(self.epoch, self.top)

    def append(self, draft: Draft, now: float) -> Publication:
        """Add a publication, drop what the retention no longer keeps, and return it.

        One with the id of a publication that is still kept is that publication: nothing is added.
        """
        if (known := self._known(draft)) is not None:
            return known
        publication = self.take(self.top + 1, draft, now)
        self.trim(now)
        return publication

    def take(self, offset: int, draft: Draft, at: float) -> Publication:
        """Add the publication that was given this offset, the next one, where the log itself is kept; drop nothing."""
        publication = self._publication(offset, draft, at)
        self._add(publication)
        return publication

    def prepend(self, draft: Draft, at: float) -> None:
        """Add the publication right before the oldest kept."""
        publication = self._publication(self.base, draft, at)
        self.base -= 1
        self.size += publication.size
        self._publications[publication.offset] = publication
        self._note_id(publication)

    def begin(self, position: Position) -> None:
        """Hold nothing, and go on after this position. In another epoch readers are told that they lost something."""
        self.epoch, self.base = position
        self.top = self.base
        self.size = 0
        self._publications.clear()
        self._by_id.clear()
        self._slices.clear()

    def get(self, offset: int) -> Publication | None:
        """Return the publication with this offset if it is kept."""
        return self._publications.get(offset)

    def trim(self, now: float) -> None:
        """Drop what the retention no longer keeps at this time."""
        retention = self.retention
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
            found = self._cache(after, limit_bytes, self._collect(after, limit_bytes))
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
        return None if draft.id is None else self._by_id.get(draft.id)

    def _publication(self, offset: int, draft: Draft, at: float) -> Publication:
        return Publication(offset, draft, publish_frame(self.room, offset, draft), at)

    def _note_id(self, publication: Publication) -> None:
        if publication.draft.id is not None:
            self._by_id[publication.draft.id] = publication

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
        self._note_id(publication)
        self._slices.clear()

    def _drop(self, publication: Publication) -> None:
        del self._publications[publication.offset]
        if publication.draft.id is not None:
            # Where the log is kept elsewhere, nobody vouches for ids being different.
            self._by_id.pop(publication.draft.id, None)
        self.size -= publication.size
        self._slices.clear()

    def _cache(self, after: int, limit_bytes: int, found: Slice) -> Slice:
        if len(self._slices) >= _CACHED_SLICES:
            self._slices.clear()
        self._slices[after, limit_bytes] = found
        return found
