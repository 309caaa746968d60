"""An event loop whose time moves only when nothing else is left to do, so that hours pass at once and exactly."""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec

__all__ = ["SimulatedLoop", "simulated", "simulated_loop"]

P = ParamSpec("P")


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

    def spend(self, seconds: float) -> None:
        """Move the clock as a callback does that takes so long."""
        self._now += seconds

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


def simulated(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run a test in a simulated loop of its own, in which nothing may be left or go wrong unseen."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        loop = SimulatedLoop()
        try:
            loop.run_until_complete(test(*args, **kwargs))
            left = asyncio.all_tasks(loop)
            assert not left, left
            assert not loop.faults, loop.faults
        finally:
            for task in asyncio.all_tasks(loop):
                task.cancel()
            loop.run_until_complete(loop.settle())
            loop.close()

    return run


def simulated_loop() -> SimulatedLoop:
    """Return the loop a simulated test runs in."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SimulatedLoop)
    return loop
