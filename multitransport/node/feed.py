"""One room on this node: its readers, and the pace at which they are told of news."""

from __future__ import annotations

import asyncio
import logging
from contextvars import Context

from multitransport.core.log import Log
from multitransport.core.reader import Cursor

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

    __slots__ = ("_busy", "_dirty", "_flushed", "_loop", "_offered", "_offered_bytes", "cursors", "log")

    def __init__(self, log: Log, loop: asyncio.AbstractEventLoop) -> None:
        self.log = log
        # In the order they came, which is about how they lie in memory: a set's order would cost cache misses.
        self.cursors: dict[Cursor, None] = {}
        self._loop = loop
        self._busy = False
        self._dirty = False
        self._offered = log.top
        self._offered_bytes = log.written
        self._flushed: asyncio.Future[None] | None = None

    def advanced(self) -> None:
        """Tell the readers, now or when the pace allows."""
        if self._busy:
            self._dirty = True
        elif self.cursors:
            # Once whoever publishes is done: what it publishes in one go leaves in one write.
            self._busy = True
            # A flush serves all readers: it must not inherit the context of whoever publishes.
            self._loop.call_soon(self._flush, context=Context())
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

    def _half_unoffered(self) -> bool:
        log, retention = self.log, self.log.retention
        behind = 2 * (log.top - self._offered) >= retention.count
        return behind or 2 * (log.written - self._offered_bytes) >= retention.bytes

    def _flush(self) -> None:
        self._dirty = False
        started = self._loop.time()
        offered, offered_bytes = self.log.top, self.log.written
        for cursor in tuple(self.cursors):
            try:
                cursor.flush()
            except Exception:
                logger.exception("a reader of %r failed", self.log.room)  # and costs the others nothing
        self._offered, self._offered_bytes = offered, offered_bytes
        pause = _PAUSE_RATIO * (self._loop.time() - started)
        if pause < _SHORTEST_PAUSE_SECONDS:
            self._next()
        else:
            self._loop.call_later(pause, self._next, context=Context())

    def _next(self) -> None:
        self._busy = False
        if self._flushed is not None:
            self._flushed.set_result(None)
            self._flushed = None
        if self._dirty:
            self.advanced()
