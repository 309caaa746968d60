"""An event loop whose time moves only when nothing else is left to do, so that hours pass at once and exactly."""

from __future__ import annotations

import asyncio
import selectors
from typing import Any

__all__ = ["SimulatedLoop"]


class SimulatedLoop(asyncio.SelectorEventLoop):
    """Where a real loop would sleep until its next timer, this one moves its clock there."""

    def __init__(self) -> None:
        self._now = 1000.0
        self._idle: asyncio.Future[None] | None = None
        self.faults: list[dict[str, Any]] = []
        super().__init__(_Selector(self))
        self.set_exception_handler(lambda _, context: self.faults.append(context))

    def time(self) -> float:
        return self._now

    async def settle(self) -> None:
        """Return when everything that can run without time passing has run."""
        self._idle = self.create_future()
        await self._idle

    def sleep_through(self, seconds: float | None) -> None:
        """Stand in for a sleep of the loop; None is one without end."""
        if self._idle is not None:
            self._idle.set_result(None)
            self._idle = None
        elif seconds is None:
            raise AssertionError("everything waits, and for nothing that will come")
        else:
            self._now += seconds


class _Selector(selectors.SelectSelector):
    def __init__(self, loop: SimulatedLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout != 0:
            self._loop.sleep_through(timeout)
        return ready
