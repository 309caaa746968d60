"""A client that reads slowly loses what it cannot take, is told how much, and costs nobody else anything; one that does
not read at all is let go of.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator

import pytest

from multitransport.client import Gap, Publication
from multitransport.testing.proxy import FaultProxy
from multitransport.testing.waiting import eventually
from tests.contracts.application import Application
from tests.contracts.raw import Stalled
from tests.contracts.served import Served, served
from tests.contracts.wires import wire

LARGE = "x" * (1 << 16)
QUICK = {"stalled_seconds": 0.5, "close_seconds": 0.2}


@pytest.fixture(autouse=True)
def _nothing_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


@contextlib.asynccontextmanager
async def stalled(way: Served, transport: str) -> AsyncIterator[Stalled]:
    one = Stalled(way.url)
    await one.open(transport, "log/a")
    try:
        await eventually(lambda: way.application.node._attachments)
        yield one
    finally:
        one.close()


@pytest.mark.parametrize("transport", ["websocket", "sse", "room"])
@pytest.mark.parametrize("server", ["hypercorn", "uvicorn"])
async def test_a_client_that_does_not_read_is_reset(server: str, transport: str) -> None:
    async with served(server, Application(**QUICK)) as way:
        async with stalled(way, transport) as one:
            for _ in range(150):
                await way.application.publish("log/a", LARGE)
                await asyncio.sleep(0)
            await eventually(lambda: not way.application.node._attachments)
            assert await one.is_reset()
        sessions = list(way.application.node.sessions.values())
        assert [client.transport for client in sessions] == ([] if transport == "room" else [None])
        assert way.application.disconnected == [], "it may come back"


async def test_a_poll_that_nobody_reads_is_reset() -> None:
    async with served("hypercorn", Application(**QUICK)) as way:
        await way.application.publish("log/a", LARGE * 150)
        one = Stalled(way.url)
        await one.open("poll", "log/a", wait=0)
        await eventually(lambda: way.application.node._attachments)
        await eventually(lambda: not way.application.node._attachments)
        assert await one.is_reset()
        one.close()


async def test_what_it_missed_is_counted_when_it_comes_back() -> None:
    async with served("hypercorn", Application(**QUICK)) as way:
        async with stalled(way, "websocket") as one:
            for number in range(150):
                await way.application.publish("log/a", [number, LARGE])
                await asyncio.sleep(0)
            await eventually(lambda: not way.application.node._attachments)
        async with wire("sse", way) as again:
            again.new, again.attach = one.new, 1
            again.positions = {}
            assert (await again.open())["resumed"]
            joined = await again.rejoined()
            assert not joined[4]["recovered"]
            first = joined[4]["lost"]
            assert [data[0] for data in await again.publications(150 - first)] == list(range(first, 150))


@pytest.mark.parametrize("transport", ["websocket", "sse", "poll"])
async def test_a_slow_reader_skips_with_counted_gaps_and_ends_up_to_date(transport: str) -> None:
    async with (
        served("hypercorn", Application()) as way,
        FaultProxy(way.url) as proxy,
        Served(way.application, proxy.url, None).client(transport) as client,
    ):
        room = await client.join("short/a")
        proxy.bytes_per_second = 40e6
        for number in range(400):
            await way.application.publish("short/a", [number, LARGE])
            await asyncio.sleep(0)
        seen = lost = 0
        while seen + lost < 400:
            match await anext(room):
                case Publication(data=[number, _]):
                    assert number == seen + lost
                    seen += 1
                case Gap(lost=count):
                    lost += count or 0
        assert lost > 0


async def test_the_others_do_not_wait_for_it() -> None:
    async with (
        served("hypercorn", Application(stalled_seconds=30.0)) as way,
        stalled(way, "websocket"),
        stalled(way, "sse"),
        wire("websocket", way) as fast,
        wire("sse", way) as faster,
    ):
        for one in (fast, faster):
            await one.open(["join", 1, "log/a"])
            await one.outcome(1)
        for number in range(150):
            await way.application.publish("log/a", [number, LARGE])
            for one in (fast, faster):
                (data,) = await one.publications(1)
                assert data[0] == number
        blocked = [one for one in way.application.node._attachments if one.heartbeat.writing_since < float("inf")]
        assert len(blocked) == 2
