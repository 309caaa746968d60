"""A reader's place in one room, and what it is told where it fell behind."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from multitransport.core.log import Log
from multitransport.core.publication import Slice, at_frame
from multitransport.protocol.frames import encode
from multitransport.protocol.position import Position

__all__ = ["Cursor", "Flash", "Gap", "Line", "Owner"]


class Gap:
    """What a reader lost by falling behind its room's retention."""

    __slots__ = ("disconnect", "frames", "lost", "position")

    def __init__(self, log: Log, offset: int, lost: int | None) -> None:
        self.position = Position(log.epoch, offset)
        self.lost = lost
        self.disconnect = log.retention.disconnect
        self.frames = encode(("gap", log.room, self.position, lost))


class Flash(NamedTuple):
    """Volatile publications, and the top of the room's log when they were published."""

    volatile: Slice
    log: Log
    top: int

    @property
    def overtaken(self) -> bool:
        """Whether anything was kept since: "is typing" must not be told after what was typed."""
        return self.top < self.log.top


class Owner(Protocol):
    """Who is told that a reader has something to read."""

    session_id: str

    def wake(self) -> None:
        """Take note, and read soon."""
        ...

    def flush(self) -> None:
        """Read now."""
        ...


class Line(Protocol):
    """What is seen of a reader from its cursors: who owns it, and the cursors that wait for their turn."""

    owner: Owner
    ready: list[Cursor]
    whole: bool
    """It does not go on reading where it stops: a pass has to be told to its end at once."""

    def flash(self, flash: Flash) -> None:
        """Have volatile publications read once."""
        ...


class Cursor:
    """A reader's place in one room's log. It is ``ready`` while it waits for its turn to be read."""

    __slots__ = ("epoch", "log", "offset", "reader", "ready")

    def __init__(self, reader: Line, log: Log, offset: int) -> None:
        self.reader = reader
        self.log = log
        self.epoch = log.epoch
        self.offset = offset
        self.ready = False

    @property
    def behind(self) -> bool:
        """Whether there is anything to read."""
        return self.offset < self.log.top or self.epoch != self.log.epoch

    def flush(self) -> None:
        """The log has grown: have it read now."""
        if not self.ready and self.behind:
            self.ready = True
            self.reader.ready.append(self)
        self.reader.owner.flush()

    def read(self, items: list[Slice | Gap], limit_bytes: int) -> int:
        """Add what comes next to the items, about ``limit_bytes`` of it behind what was lost before it, and move past
        it; return its size. It stays ``ready`` where it goes on.
        """
        log = self.log
        if self.offset < log.base or self.epoch != log.epoch:
            items.append(self._skip())
        size = 0
        if self.offset < log.top:
            found = log.slice(self.offset, limit_bytes)
            self.offset = found.last
            if found.excluded and (session_id := self.reader.owner.session_id) in found.excluded:
                found = found.without(session_id, at_frame(log.room, Position(log.epoch, found.last)))
            items.append(found)
            size = found.size
        self.ready = self.offset < log.top
        return size

    def _skip(self) -> Gap:
        """Move on to what the log still has, and say what was lost."""
        log = self.log
        # Where the epoch is another one offsets mean something else than before: what was lost nobody can know.
        lost = log.base - self.offset if self.epoch == log.epoch else None
        self.epoch = log.epoch
        self.offset = log.base
        return Gap(log, log.base, lost)
