from __future__ import annotations

import asyncio
import logging

import pytest
import uvloop

from multitransport.node.timers import Timers
from tests.simulated import simulated, simulated_loop


class Clock:
    """Notes when it was called back, in seconds since it was made."""

    def __init__(self, resolution_seconds: float = 0.25) -> None:
        self.loop = simulated_loop()
        self.start = self.loop.time()
        self.timers = Timers(self.loop, resolution_seconds)
        self.called: list[tuple[float, str]] = []

    def call(self, after: float, name: str) -> None:
        self.timers.call_at(self.start + after, lambda: self.called.append((self.loop.time() - self.start, name)))


@simulated
async def test_callbacks_come_at_their_time_or_up_to_one_resolution_later() -> None:
    clock = Clock()
    for after in (0.0, 0.1, 0.25, 3.3, 59.99):
        clock.call(after, "")
    await asyncio.sleep(100)
    assert [at for at, _ in clock.called] == [0.0, 0.25, 0.25, 3.5, 60.0]


@simulated
async def test_an_earlier_deadline_is_met_though_a_later_one_is_waited_for() -> None:
    clock = Clock()
    clock.call(50.0, "late")
    await asyncio.sleep(1)
    clock.call(2.0, "early")
    await asyncio.sleep(100)
    assert clock.called == [(2.0, "early"), (50.0, "late")]


@simulated
async def test_all_deadlines_share_one_timer_of_the_loop() -> None:
    clock = Clock()
    for n in range(1000):
        clock.call(1 + n % 7, "")
    assert len([handle for handle in clock.loop._scheduled if not handle.cancelled()]) == 1  # type: ignore[attr-defined]
    await asyncio.sleep(100)
    assert len(clock.called) == 1000


@simulated
async def test_what_is_cancelled_is_not_called() -> None:
    clock = Clock()
    entry = clock.timers.call_at(clock.start + 1, lambda: clock.called.append((0.0, "cancelled")))
    clock.call(2.0, "other")
    entry.cancel()
    await asyncio.sleep(5)
    assert clock.called == [(2.0, "other")]


@simulated
async def test_a_callback_may_ask_for_the_next() -> None:
    clock = Clock()

    def again() -> None:
        clock.called.append((clock.loop.time() - clock.start, "again"))
        if len(clock.called) < 3:
            clock.timers.call_at(clock.loop.time() + 10, again)

    clock.timers.call_at(clock.start, again)
    await asyncio.sleep(60)
    assert [at for at, _ in clock.called] == [0.0, 10.0, 20.0]


@simulated
async def test_one_that_fails_costs_the_others_nothing(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    clock.call(1.0, "before")
    clock.timers.call_at(clock.start + 1, lambda: 1 / 0)  # type: ignore[arg-type]
    clock.call(1.0, "beside")
    clock.call(2.0, "after")
    with caplog.at_level(logging.ERROR, "multitransport"):
        await asyncio.sleep(5)
    assert [name for _, name in clock.called] == ["before", "beside", "after"]
    [record] = caplog.records
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError


@simulated
async def test_after_the_stop_nothing_is_called() -> None:
    clock = Clock()
    clock.call(1.0, "")
    clock.timers.stop()
    clock.timers.stop()
    await asyncio.sleep(5)
    assert clock.called == []


def test_a_time_that_has_come_is_taken_by_uvloop_too() -> None:
    """It has handles of another kind for that."""

    async def both() -> None:
        loop = asyncio.get_running_loop()
        timers, called = Timers(loop, 0.25), [asyncio.Event(), asyncio.Event()]
        for event in called:
            timers.call_at(loop.time() - 1, event.set)
        async with asyncio.timeout(5):
            for event in called:
                await event.wait()
        timers.stop()

    uvloop.run(both())
