"""One room on this node: its readers, and the pace at which they are told of news."""

from __future__ import annotations

import asyncio
import logging
import math
from contextvars import Context

from multitransport.core.limits import MAX_FLASH_BYTES, MAX_FLASHES
from multitransport.core.log import Log
from multitransport.core.publication import Draft, Publication, Slice, publish_frame
from multitransport.core.reader import Cursor, Flash
from multitransport.node.turn import Turn

__all__ = ["Feed"]

logger = logging.getLogger("multitransport")

_PAUSE_RATIO = 1.0
"""The pause after a flush, in units of what the flush cost: at most half of the loop's time goes to one hot room."""

_SHORTEST_PAUSE_SECONDS = 0.0005


class Feed:
    """Wakes a room's readers.

    When the room is idle a publication is flushed at once. While a flush runs further publications gather; the next
    flush starts after a pause in proportion to what the last one cost. Latency is untouched at low rates, and at high
    ones batches grow instead of the load.
    """

    __slots__ = (
        "_busy",
        "_dirty",
        "_flashes",
        "_flushed",
        "_loop",
        "_offered",
        "_offered_bytes",
        "_throttles",
        "_turn",
        "cursors",
        "epoch",
        "log",
        "opened_at",
    )

    def __init__(self, log: Log, loop: asyncio.AbstractEventLoop, turn: Turn) -> None:
        self.log = log
        self.epoch = log.epoch
        self.opened_at = loop.time()
        # In the order they came, which is about how they lie in memory: a set's order would cost cache misses.
        self.cursors: dict[Cursor, None] = {}
        self._loop = loop
        self._turn = turn
        self._busy = False
        self._dirty = False
        self._offered = log.top
        self._offered_bytes = log.written
        self._flushed: asyncio.Future[None] | None = None
        self._flashes: list[tuple[int, Publication]] = []
        self._throttles: dict[Cursor, Throttle] = {}

    def add(self, cursor: Cursor) -> None:
        """Take in a reader."""
        self.cursors[cursor] = None

    def add_throttled(self, cursor: Cursor, interval_seconds: float, told_at: float) -> None:
        """Take in a reader that wants to be told once in an interval at most, and was told last then."""
        self.add(cursor)
        self._throttles[cursor] = Throttle(cursor, interval_seconds, told_at, self._loop)

    def discard(self, cursor: Cursor) -> float:
        """Let a reader go; return when it was told last, -inf where nothing bounds how often it is."""
        self.cursors.pop(cursor, None)
        throttle = self._throttles.pop(cursor, None)
        return -math.inf if throttle is None else throttle.cancel()

    def flash(self, draft: Draft, now: float) -> None:
        """Tell readers that keep up what no log keeps; what gathers beyond the bound before a flush is dropped."""
        if self.cursors and self._may_gather():
            volatile = Publication(0, draft, publish_frame(self.log.room, None, draft), now)
            self._flashes.append((self.log.top, volatile))
            self.advanced()

    def advanced(self) -> None:
        """Tell the readers, now or when the pace allows."""
        if self._busy:
            self._dirty = True
        elif self.cursors:
            # Once whoever publishes is done: what it publishes in one go leaves in one write.
            self._busy = True
            self._turn.flush(self._flush, room=True)
        else:
            self._offered, self._offered_bytes = self.log.top, self.log.written

    async def room_for_more(self) -> None:
        """Wait until readers that keep up have been offered enough that the retention will not overrun them.

        A publisher in a tight loop is held for at most one flush and its pause; slow readers hold nobody.
        """
        while self._busy and self._half_unoffered():
            if self._flushed is None:
                self._flushed = self._loop.create_future()
            await asyncio.shield(self._flushed)

    def _may_gather(self) -> bool:
        waiting = self._flashes
        return len(waiting) < MAX_FLASHES and sum(each.size for _, each in waiting) < MAX_FLASH_BYTES

    def _half_unoffered(self) -> bool:
        log, retention = self.log, self.log.retention
        behind = 2 * (log.top - self._offered) >= retention.count
        return behind or 2 * (log.written - self._offered_bytes) >= retention.bytes

    def _flush(self) -> None:
        self._dirty = False
        started = self._loop.time()
        offered, offered_bytes = self.log.top, self.log.written
        if self._flashes:
            self._hand_out_flashes()
        throttles = self._throttles
        for cursor in tuple(self.cursors):
            try:
                if not throttles or (throttle := throttles.get(cursor)) is None:
                    cursor.flush()
                else:
                    throttle.flush()
            except Exception:
                logger.exception("a reader of %r failed", self.log.room)  # and costs the others nothing
        self._offered, self._offered_bytes = offered, offered_bytes
        pause = _PAUSE_RATIO * (self._loop.time() - started)
        if pause < _SHORTEST_PAUSE_SECONDS:
            self._next()
        else:
            self._loop.call_later(pause, self._next, context=Context())

    def _hand_out_flashes(self) -> None:
        flashes, self._flashes = self._flashes, []
        for overtaken in (True, False):
            found = [(top, each) for top, each in flashes if (top < self.log.top) is overtaken]
            if found:
                flash = Flash(Slice([each for _, each in found], 0), self.log, found[0][0])
                for cursor in self.cursors:
                    cursor.reader.flash(flash)

    def _next(self) -> None:
        self._busy = False
        if self._flushed is not None:
            self._flushed.set_result(None)
            self._flushed = None
        if self._dirty:
            self.advanced()


class Throttle:
    """Flushes a cursor at most once in an interval."""

    __slots__ = ("_cursor", "_handle", "_interval_seconds", "_last_at", "_loop")

    def __init__(
        self, cursor: Cursor, interval_seconds: float, told_at: float, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._cursor = cursor
        self._interval_seconds = interval_seconds
        self._loop = loop
        # The values it begins with are a pass of their own.
        self._last_at = loop.time() if cursor.ready else told_at
        self._handle: asyncio.TimerHandle | None = None
        if cursor.behind and not cursor.ready:
            self.flush()

    def flush(self) -> None:
        """Flush now, or when the interval is over."""
        if self._handle is not None:
            return
        due_at = self._last_at + self._interval_seconds
        if self._loop.time() < due_at:
            self._handle = self._loop.call_at(due_at, self._flush, context=Context())
        else:  # also where it is no number: a timer with such a time would spoil the order of all of the loop's
            self._flush()

    def cancel(self) -> float:
        """Flush no more; return when it did last."""
        if self._handle is not None:
            self._handle.cancel()
        return self._last_at

    def _flush(self) -> None:
        self._handle = None
        self._last_at = self._loop.time()
        self._cursor.flush()
