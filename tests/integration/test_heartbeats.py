"""Who is gone is found in time, on every transport, and leaves nothing behind; who is there stays."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from multitransport.testing.proxy import FaultProxy
from multitransport.testing.waiting import eventually
from tests.contracts.application import Application
from tests.contracts.served import Served, served
from tests.contracts.wires import TRANSPORTS, Wire, message_of, wire

STREAMS = ("websocket", "sse")
PING_SECONDS = 0.3
GRACE_SECONDS = 0.4
SLACK_SECONDS = 2.0
FAST = {"ping_seconds": PING_SECONDS, "grace_seconds": GRACE_SECONDS, "close_seconds": 0.2, "poll_seconds": 0.3}


@pytest.fixture(autouse=True)
def _nothing_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


@contextlib.asynccontextmanager
async def session(transport: str, **settings: Any) -> AsyncIterator[tuple[Application, Wire]]:
    """Give a confirmed session whose server is quick to miss it."""
    async with served("hypercorn", Application(**{**FAST, **settings})) as way, wire(transport, way) as one:
        await one.open(["join", 1, "log/a"])
        await one.outcome(1)
        await one.say(["pong", 0])
        yield way.application, one


def now() -> float:
    return asyncio.get_running_loop().time()


@pytest.mark.parametrize("transport", STREAMS)
async def test_a_silent_client_is_told_that_it_is_taken_for_dead(transport: str) -> None:
    async with session(transport) as (application, one):
        begun = now()
        assert (await one.next("close"))[1] == 3001
        assert GRACE_SECONDS * 0.9 < now() - begun < PING_SECONDS + GRACE_SECONDS + SLACK_SECONDS
        await eventually(lambda: not application.node._attachments)
        assert len(application.node.sessions) == 1, "it may come back"
        assert (await one.open())["resumed"]


@pytest.mark.parametrize("transport", STREAMS)
async def test_any_frame_is_a_sign_of_life(transport: str) -> None:
    async with session(transport) as (_, one):
        for sign in (["pong", 0], ["ping", 1], ["ack", 0], ["dance"]):
            await one.next("ping")
            await one.say(sign)


async def test_polls_are_not_pinged() -> None:
    async with session("poll") as (application, one):
        for _ in range(4):
            await one.receive()
        assert not [frame for frame in one.seen if frame[0] == "ping"]
        assert len(application.node.sessions) == 1


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_peer_behind_a_dead_network_is_let_go(transport: str) -> None:
    way_of_life = served("hypercorn", Application(**FAST))
    async with way_of_life as way, FaultProxy(way.url) as proxy:
        far = Served(way.application, proxy.url, None)
        async with far.http, wire(transport, far) as one:
            await one.open()
            await one.say(["pong", 0])
            waiting = await one.held("close")
            proxy.black_hole = True
            begun = now()
            await eventually(lambda: not way.application.node._attachments)
            assert now() - begun < PING_SECONDS + GRACE_SECONDS + SLACK_SECONDS
            assert way.application.disconnected == [], "it may come back"
            waiting.cancel()


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_lost_first_answer_leaves_no_ghost(transport: str) -> None:
    settings = {**FAST, "ping_seconds": 60.0, "hello_seconds": 0.4}
    async with served("hypercorn", Application(**settings)) as way, wire(transport, way) as one:
        one.attach = 1
        beginning = asyncio.create_task(one.begin(message_of(one.hello())))
        await eventually(lambda: way.application.connected)
        begun = now()
        beginning.cancel()
        await asyncio.gather(beginning, return_exceptions=True)
        await one.drop()
        await eventually(lambda: way.application.disconnected)
        assert now() - begun < settings["hello_seconds"] + SLACK_SECONDS
        assert way.application.node.sessions == {}
        assert len(way.application.disconnected) == 1


@pytest.mark.parametrize("transport", STREAMS)
async def test_who_never_says_anything_after_its_welcome_is_a_ghost(transport: str) -> None:
    settings = {**FAST, "ping_seconds": 60.0, "grace_seconds": 60.0, "hello_seconds": 0.4}
    async with served("hypercorn", Application(**settings)) as way, wire(transport, way) as one:
        session_id = (await one.open())["session"]
        assert (await one.next("close"))[1] == 3001
        await eventually(lambda: way.application.disconnected == [(session_id, "never confirmed")])
        assert way.application.node.sessions == {}


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_session_ends_when_its_client_stays_away(transport: str) -> None:
    async with session(transport, resume_seconds=0.5, ping_seconds=60.0) as (application, one):
        (session_id,) = application.node.sessions
        await one.drop()
        await eventually(lambda: not application.node._attachments)
        begun = now()
        await eventually(lambda: application.disconnected)
        assert 0.3 < now() - begun < 0.5 + SLACK_SECONDS
        assert application.node.sessions == {}
        await eventually(lambda: application.disconnected == [(session_id, "expired")])
        assert not (await one.open())["resumed"]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_who_comes_back_in_time_is_not_ended(transport: str) -> None:
    async with session(transport, resume_seconds=0.6, ping_seconds=60.0) as (application, one):
        for _ in range(3):
            await one.drop()
            await asyncio.sleep(0.3)
            assert (await one.open())["resumed"]
        assert application.disconnected == []


@pytest.mark.parametrize("transport", STREAMS)
async def test_a_client_finds_a_dead_network_and_goes_on_over_another_connection(transport: str) -> None:
    async with (
        served("hypercorn", Application(**FAST)) as way,
        FaultProxy(way.url) as proxy,
        Served(way.application, proxy.url, None).client(transport) as client,
    ):
        room = await client.join("log/a")
        await way.application.publish("log/a", 1)
        assert (await anext(room)).data == 1  # type: ignore[union-attr]
        await eventually(lambda: client.round_trip_seconds is not None)
        proxy.black_hole = True
        await way.application.publish("log/a", 2)
        await eventually(lambda: client.status != "connected")
        proxy.black_hole = False
        await way.application.publish("log/a", 3)
        assert [(await anext(room)).data for _ in range(2)] == [2, 3]  # type: ignore[union-attr]
