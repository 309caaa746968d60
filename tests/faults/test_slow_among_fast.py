"""A client that does not read, and one that reads slowly, beside two hundred that keep up."""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path

import pytest

from multitransport.client import Gap, Publication, connect
from multitransport.testing.proxy import FaultProxy
from multitransport.testing.waiting import eventually
from tests.contracts.application import Application
from tests.contracts.raw import Stalled
from tests.contracts.served import Served, served
from tests.contracts.wires import Wire, wire

pytestmark = [pytest.mark.faults, pytest.mark.alone]

FAST = 200
COUNT = 200
DATA = "x" * (16 << 10)


async def run(way: Served, readers: list[Wire]) -> float:
    """Publish, and return how long the slowest of the readers took to have it all."""

    async def read(one: Wire) -> None:
        got = await one.publications(COUNT)
        assert [number for number, _ in got] == list(range(COUNT))

    begun = time.perf_counter()
    reading = [asyncio.create_task(read(one)) for one in readers]
    for number in range(COUNT):
        await way.application.publish("log/a", [number, DATA])
        await asyncio.sleep(0.01)
    await asyncio.gather(*reading)
    return time.perf_counter() - begun


def resident_megabytes() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) / 256


async def test_the_fast_do_not_notice() -> None:
    settings = {"stalled_seconds": 60.0, "ping_seconds": 60.0, "grace_seconds": 60.0, "hello_seconds": 60.0}
    async with served("hypercorn", Application(**settings)) as way, contextlib.AsyncExitStack() as stack:
        readers = [
            await stack.enter_async_context(wire("websocket" if number % 2 else "sse", way)) for number in range(FAST)
        ]
        for one in readers:
            await one.open(["join", 1, "log/a"], rooms={})
            await one.outcome(1)
        alone = await run(way, readers)

        proxy = await stack.enter_async_context(FaultProxy(way.url))
        slow = await stack.enter_async_context(connect(proxy.url, transports=["websocket"]))
        room = await slow.join("log/a", history=0)
        proxy.bytes_per_second = 200e3
        for transport in ("websocket", "sse"):
            stalled = Stalled(way.url)
            stack.callback(stalled.close)
            await stalled.open(transport, "log/a")
        await eventually(lambda: len(way.application.attached) == FAST + 3)
        before = resident_megabytes()
        beside = await run(way, readers)

        assert beside < 1.5 * alone + 1
        assert resident_megabytes() - before < 30
        proxy.bytes_per_second = None
        seen = lost = 0
        while seen + lost < COUNT:
            match await anext(room):
                case Publication(data=[number, _]):
                    assert number == seen + lost
                    seen += 1
                case Gap(lost=count):
                    lost += count or 0
