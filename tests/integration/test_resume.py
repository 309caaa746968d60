"""A session goes on wherever its transport ended, over the same transport or another: nothing lost, nothing twice."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import AsyncIterator, Iterator

import pytest

from multitransport.testing.proxy import FaultProxy
from multitransport.testing.waiting import eventually
from tests.contracts.application import Application
from tests.contracts.served import Served, served
from tests.contracts.wires import TRANSPORTS, Closed, Wire, message_of, wire

PAIRS = list(itertools.product(TRANSPORTS, TRANSPORTS))

pytestmark = pytest.mark.parametrize(("former", "later"), PAIRS, ids=str)


@pytest.fixture(autouse=True)
def _nothing_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


@contextlib.asynccontextmanager
async def two(former: str, later: str, **settings: float) -> AsyncIterator[tuple[Application, Wire, Wire]]:
    """Give a session in a room, on its first transport, and the wire that is to take it over."""
    async with (
        served("hypercorn", Application(**settings)) as way,
        wire(former, way) as one,
        wire(later, way) as other,
    ):
        await one.open(["join", 1, "log/a"])
        await one.outcome(1)
        yield way.application, one, other


async def test_before_any_publication_was_received(former: str, later: str) -> None:
    async with two(former, later) as (application, one, other):
        await one.drop()
        await application.publish("log/a", 1, 2)
        assert (await other.takes_over(one).open())["resumed"]
        await application.publish("log/a", 3)
        assert await other.publications(3) == [1, 2, 3]


async def test_behind_what_was_received(former: str, later: str) -> None:
    async with two(former, later) as (application, one, other):
        await application.publish("log/a", 1, 2)
        assert await one.publications(2) == [1, 2]
        await one.drop()
        await application.publish("log/a", 3)
        await other.takes_over(one).open()
        await application.publish("log/a", 4)
        assert await other.publications(2) == [3, 4]


async def test_twice_in_a_row(former: str, later: str) -> None:
    async with two(former, later) as (application, one, other):
        await application.publish("log/a", 1)
        await other.takes_over(one).open()
        await application.publish("log/a", 2)
        one.attach = other.attach  # as if the second had brought nothing
        await one.open()
        await application.publish("log/a", 3)
        assert await one.publications(3) == [1, 2, 3]
        assert len(application.node.sessions) == 1


async def test_while_a_publication_is_in_flight(former: str, later: str) -> None:
    async with two(former, later) as (application, one, other):
        for number in range(20):
            waiting = await one.held("pub")
            await application.publish("log/a", number)
            # The one in flight may have arrived or not; only the client knows.
            for _ in range(number):
                await asyncio.sleep(0)
            await one.drop()
            waiting.cancel()
            got = [frame[4] for frame in one.seen if frame[0] == "pub"]
            await asyncio.gather(waiting, return_exceptions=True)
            if not waiting.cancelled() and waiting.exception() is None:
                got.append(waiting.result()[4])
            await other.takes_over(one).open()
            if not got:
                assert await other.publications(1) == [number]
            one, other = other, one
            one.seen.clear()
        await application.publish("log/a", "last")
        assert await one.publications(1) == ["last"]


async def test_while_a_reply_is_in_flight(former: str, later: str) -> None:
    async with two(former, later) as (application, one, other):
        await one.say(["send", 2, "wait", "once"], ["send", 3, "echo", "behind it"])
        await eventually(lambda: next(iter(application.node.sessions.values())).record.inbox.claimed == 3)
        await one.drop()
        welcome = await other.takes_over(one).open()
        assert welcome["seq"] == 3
        waiting = await other.held("reply")
        application.gate.set()
        assert await waiting == ["reply", 2, "once"]
        assert await other.outcome(3) == ["reply", 3, "behind it"]
        assert application.ran == ["once", "behind it"]


async def test_a_reply_that_came_to_nobody_is_repeated(former: str, later: str) -> None:
    async with two(former, later) as (application, one, other):
        await one.say(["send", 2, "wait", "once"])
        await one.drop()
        application.gate.set()
        await eventually(lambda: application.ran == ["once"])
        other.takes_over(one)
        await other.open(["send", 2, "wait", "once"])
        assert await other.outcome(2) == ["reply", 2, "once"]
        assert application.ran == ["once"]


async def test_before_the_old_transport_is_noticed_dead(former: str, later: str) -> None:
    settings = {"close_seconds": 0.2, "poll_seconds": 30.0}
    async with two(former, later, **settings) as (application, direct, other), FaultProxy(direct.served.url) as proxy:
        dead = Served(application, proxy.url, None)
        async with dead.http, wire(former, dead) as one:
            await one.takes_over(direct).open()
            waiting = await one.held("pub")
            proxy.black_hole = True
            await application.publish("log/a", "into the hole")
            await other.takes_over(one).open()
            assert await other.publications(1) == ["into the hole"]
            # Of the old one nothing is left, though its client never answered.
            await eventually(lambda: len(application.node._attachments) == (1 if later != "poll" else 0))
            waiting.cancel()


async def test_with_the_first_answer_lost(former: str, later: str) -> None:
    async with served("hypercorn", Application()) as way, wire(former, way) as one, wire(later, way) as other:
        await way.application.publish("log/a", 1)
        one.attach = 1
        beginning = asyncio.create_task(one.begin(first_message(one)))
        await eventually(lambda: way.application.node.sessions)
        beginning.cancel()
        await asyncio.gather(beginning, return_exceptions=True)
        await one.drop()
        (session,) = way.application.node.sessions
        other.new, other.attach = one.new, one.attach
        welcome = await other.open(["send", 1, "note", "once"], rooms={"log/a": {"history": 1}})
        assert (welcome["session"], welcome["resumed"], welcome["seq"]) == (session, True, 1)
        assert await other.publications(1) == [1]
        await other.say(["send", 2, "note", "and then"])
        await eventually(lambda: way.application.ran == ["once", "and then"])


def first_message(one: Wire) -> bytes:
    """Return a hello that joins, and a frame behind it."""
    return message_of(one.hello(rooms={"log/a": {"history": 1}}), ["send", 1, "note", "once"])


async def test_a_delayed_older_attach_changes_nothing(former: str, later: str) -> None:
    async with two(former, later) as (application, one, other):
        await one.drop()
        await other.takes_over(one).open()
        waiting = await other.held("pub")
        one.attach = 0
        with pytest.raises(Closed) as closed:
            await one.open()
        assert closed.value.code == 3006
        await application.publish("log/a", 1)
        assert (await waiting)[4] == 1
