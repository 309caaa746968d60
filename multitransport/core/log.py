"""A room's log: publications by offset, kept within a retention, read as slices encoded once for all readers."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from multitransport.protocol import eventstream
from multitransport.protocol.frames import encode
from multitransport.protocol.position import Position

__all__ = ["Log", "Publication", "Recovery", "Retention", "Slice"]

_CACHED_SLICES = 8


class Retention(msgspec.Struct, frozen=True):
    """What a log keeps, whichever bound is met first. A single publication over ``bytes`` is still kept alone."""

    count: int = 1000
    seconds: float = 300.0
    bytes: int = 1 << 20


class Publication(msgspec.Struct, frozen=True, gc=False):
    """One entry of a log: its ``pub`` frame, encoded, and what the room URL needs of it."""

    offset: int
    event: str
    data: bytes
    frame: bytes
    at: float


class Recovery(NamedTuple):
    """Where a reader starts, whether that is all it asked for, and how much is missing (None: nobody can know)."""

    offset: int
    recovered: bool
    lost: int | None


class Slice:
    """Consecutive publications, up to the offset ``last``, as every reader at the same place gets them. ``encoded``
    caches a transport's form of it.
    """

    __slots__ = ("_event", "_text", "encoded", "frames", "last", "publications", "size")

    def __init__(self, publications: list[Publication]) -> None:
        self.publications = publications
        self.last = publications[-1].offset
        self.frames = b"\n".join([publication.frame for publication in publications])
        self.size = len(self.frames)
        self.encoded: dict[str, Any] = {}
        self._text: str | None = None
        self._event: bytes | None = None

    @property
    def text(self) -> str:
        """The frames as text, for WebSocket."""
        if self._text is None:
            self._text = self.frames.decode()
        return self._text

    @property
    def event(self) -> bytes:
        """The frames as one Server-Sent Event."""
        if self._event is None:
            self._event = eventstream.encode_message(self.frames)
        return self._event


class Log:
    """The log of one room, or the end of it that this process holds.

    ``top`` is the last offset given, ``base`` the one before the oldest kept: the log holds ``base + 1 … top``, in
    ``size`` bytes. ``written`` counts all the bytes there ever were.
    """

    __slots__ = ("_head", "_publications", "_slices", "base", "epoch", "retention", "room", "size", "top", "written")

    def __init__(self, room: str, epoch: str, retention: Retention) -> None:
        self.room = room
        self.epoch = epoch
        self.retention = retention
        self.base = self.top = 0
        self.size = self.written = 0
        self._publications: dict[int, Publication] = {}
        self._slices: dict[tuple[int, int], Slice] = {}
        self._head = b'["pub",' + encode(room) + b","

    def __len__(self) -> int:
        return self.top - self.base

    @property
    def position(self) -> Position:
        """The position of a reader that has everything."""
        return Position(self.epoch, self.top)

    def append(self, event: str, data: bytes, now: float, *, source: str | None = None) -> Publication:
        """Add a publication, whose data is JSON already, and drop what the retention no longer keeps."""
        offset = self.top + 1
        options = b"]" if source is None else b"," + encode({"from": source}) + b"]"
        frame = b"".join((self._head, b"%d," % offset, encode(event), b",", data, options))
        publication = Publication(offset, event, data, frame, now)
        self.top = offset
        self.size += len(frame)
        self.written += len(frame)
        self._publications[offset] = publication
        self._slices.clear()
        self.trim(now)
        return publication

    def trim(self, now: float) -> None:
        """Drop what the retention no longer keeps at this time."""
        retention = self.retention
        while self.base < self.top:
            oldest = self._publications[self.base + 1]
            too_many = len(self) > retention.count or (self.size > retention.bytes and len(self) > 1)
            if not too_many and now - oldest.at <= retention.seconds:
                break
            del self._publications[oldest.offset]
            self._slices.clear()
            self.size -= len(oldest.frame)
            self.base = oldest.offset

    def slice(self, after: int, limit_bytes: int) -> Slice:
        """Return at least one publication after the offset, and about ``limit_bytes``; ``base <= after < top``."""
        found = self._slices.get((after, limit_bytes))
        if found is None:
            if len(self._slices) >= _CACHED_SLICES:
                self._slices.clear()
            found = self._slices[after, limit_bytes] = Slice(self._collect(after, limit_bytes))
        return found

    def _collect(self, after: int, limit_bytes: int) -> list[Publication]:
        publications = []
        for offset in range(after + 1, self.top + 1):
            publication = self._publications[offset]
            publications.append(publication)
            limit_bytes -= len(publication.frame) + 1
            if limit_bytes <= 0:
                break
        return publications

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
