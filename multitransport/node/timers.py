"""One timer wheel of a node, turned by its event loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from multitransport.core.wheel import Entry, Wheel

__all__ = ["Timers"]


logger = logging.getLogger("multitransport")


class Timers:
    """Calls back at times of the loop's clock, with one timer of the loop for all of them."""

    def __init__(self, loop: asyncio.AbstractEventLoop, resolution_seconds: float) -> None:
        self._loop = loop
        self._wheel: Wheel[Callable[[], None]] = Wheel(resolution_seconds)
        self._handle: asyncio.TimerHandle | None = None
        self._armed_at = 0.0

    def call_at(self, at: float, callback: Callable[[], None]) -> Entry[Callable[[], None]]:
        """Call back at this time or up to one resolution later."""
        entry = self._wheel.add(at, callback)
        next_at = self._wheel.next_at()
        if self._handle is None or (next_at is not None and next_at < self._armed_at):
            self._arm(next_at)
        return entry

    def stop(self) -> None:
        """Call back no more."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _arm(self, at: float | None) -> None:
        self.stop()
        if at is not None:
            # Kept here too: what uvloop returns for a time that has come does not know its own.
            self._armed_at = at
            self._handle = self._loop.call_at(at, self._turn)

    def _turn(self) -> None:
        self._handle = None
        try:
            for callback in self._wheel.due(self._loop.time()):
                self._call(callback)
        finally:
            self._arm(self._wheel.next_at())

    @staticmethod
    def _call(callback: Callable[[], None]) -> None:
        try:
            callback()
        except Exception:
            logger.exception("what a timer called has failed")
