"""What waits for the end of what runs now, so that all it brings goes out in one write."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextvars import Context

__all__ = ["Turn"]

logger = logging.getLogger("multitransport")


class Turn:
    """Flushes what has news when what runs now is done, in one callback of the loop for all that has some in one turn.

    Rooms come first: what they bring leaves in one write with what their readers were woken for.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._rooms: list[Callable[[], None]] = []
        self._others: list[Callable[[], None]] = []

    def flush(self, flush: Callable[[], None], *, room: bool = False) -> None:
        """Call ``flush``; ``room``: it is that of a room."""
        if not self._others and not self._rooms:
            # What is flushed serves many: it must not inherit the context of whoever publishes.
            self._loop.call_soon(self._end, context=Context())
        (self._rooms if room else self._others).append(flush)

    def _end(self) -> None:
        flushes = [*self._rooms, *self._others]
        self._rooms.clear()
        self._others.clear()
        for flush in flushes:
            try:
                flush()
            except Exception:
                logger.exception("writing what is new has failed")  # and costs the others nothing
