"""A node goes while it carries out frames of a session: who waits for it learns that within seconds. One that was only
out of hearing is waited for, and one that was taken for gone may not say another thing of it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import pytest

from multitransport.node import watches
from multitransport.testing.proxy import FaultProxy
from multitransport.testing.server import ServerProcess
from multitransport.testing.waiting import eventually
from tests.integration.moving import Frame, Place, Visitor
from tests.redis_server import RedisServer

LEASE_SECONDS = 15.0
SOON = 8.0
"""Within this time, which is well below the lease, a killed node is known to be gone."""


class Killable:
    """A node in a process of its own."""

    def __init__(self, number: int, broker: str, notes: Path) -> None:
        self.notes = notes
        environment = {
            "MULTITRANSPORT_BROKER": broker,
            "MULTITRANSPORT_LEASE_SECONDS": str(LEASE_SECONDS),
            "NODE": str(number),
            "NOTES": str(notes),
        }
        self.process = ServerProcess("tests.faults.nodes.app:app", environment=environment)
        self.http = httpx.AsyncClient(base_url=f"{self.process.url}/realtime")

    async def runs(self, *ids: str) -> None:
        """Return when handlers have begun with these, and with nothing else."""
        await eventually(lambda: self._ran() == [*ids], 5.0)

    def _ran(self) -> list[str]:
        return [json.loads(line)["id"] for line in self.notes.read_text(encoding="utf-8").splitlines()]


@asynccontextmanager
async def processes(folder: Path) -> AsyncIterator[list[Killable]]:
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(RedisServer())
        notes = folder / "notes"
        notes.touch()
        made = [Killable(number, redis.url, notes) for number in range(2)]
        for each in made:
            await stack.enter_async_context(each.process)
            await stack.enter_async_context(each.http)
        yield made


def outcomes(visitor: Visitor) -> set[str]:
    """Return every different thing a visitor was told of the frames it has sent."""
    return {json.dumps(frame) for frame in visitor.heard if frame[0] in ("reply", "error")}


@pytest.mark.faults
async def test_what_runs_at_a_node_that_is_killed_is_answered_within_seconds(tmp_path: Path) -> None:
    async with processes(tmp_path) as (one, other):
        visitor, again = Visitor(), Visitor()
        under_way: list[Frame] = [
            visitor.frame("send", "work", {"id": "a", "seconds": 60.0}),
            visitor.frame("send", "where", None),
        ]
        repeatable = again.frame("send", "work again", {"id": "b", "seconds": 1.0})
        await visitor.poll(one, *under_way)
        await again.poll(one, repeatable)
        await one.runs("a", "b")
        await one.process.kill()
        began = asyncio.get_running_loop().time()
        await visitor.poll(other, *under_way, visitor.frame("send", "where", None))
        await again.poll(other, repeatable)
        assert (await visitor.until(other, "error", 1, seconds=SOON))[2] == "outcome_unknown"
        assert asyncio.get_running_loop().time() - began < SOON
        assert (await visitor.until(other, "error", 2))[2] == "outcome_unknown"
        assert await visitor.until(other, "reply", 3) == ["reply", 3, "1"]
        assert await again.until(other, "reply", 1) == ["reply", 1, "b"]
        assert len(outcomes(visitor)) == 3


@pytest.mark.faults
async def test_a_node_that_is_frozen_is_waited_for(tmp_path: Path) -> None:
    """Its connections stand, and Redis cannot tell it from one that has much to do."""
    async with processes(tmp_path) as (one, other):
        visitor = Visitor()
        work = visitor.frame("send", "work", {"id": "a", "seconds": 1.0})
        await visitor.poll(one, work)
        await one.runs("a")
        one.process.suspend()
        await visitor.poll(other, work)
        await asyncio.sleep(SOON)
        assert outcomes(visitor) == set()
        one.process.resume()
        assert await visitor.until(other, "reply", 1) == ["reply", 1, "a"]
        assert len(outcomes(visitor)) == 1


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have nodes look after each other more often."""
    monkeypatch.setattr(watches, "_LOOK_SECONDS", 0.2)


@asynccontextmanager
async def places(cut_off: int) -> AsyncIterator[tuple[list[Place], FaultProxy, RedisServer]]:
    """Give three nodes, and a proxy that is in the way of one of them, which has a user of its own in Redis."""
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(RedisServer())
        proxy = await stack.enter_async_context(FaultProxy(redis.url))
        await redis.call("ACL", "SETUSER", "other", "on", ">secret", "~*", "&*", "+@all")
        through = f"redis://other:secret@127.0.0.1:{proxy.port}/0"
        made = [Place(number, through if number == cut_off else redis.url, lease_seconds=6.0) for number in range(3)]
        for place in made:
            await stack.enter_async_context(place.open())
        yield made, proxy, redis


async def begun(visitor: Visitor, place: Place) -> Frame:
    """Have a handler begin at a node, and return the frame that did it."""
    slow = visitor.frame("send", "slow", 1)
    await visitor.poll(place, slow)
    await eventually(lambda: place.ran == [["begin", 1]])
    return slow


def no_longer_at(visitor: Visitor, place: Place) -> bool:
    return visitor.session not in place.node.sessions and visitor.session not in place.node._moves._leaving


@pytest.mark.usefixtures("hurried")
async def test_a_node_that_comes_back_after_it_was_taken_for_gone_says_nothing_else() -> None:
    async with places(cut_off=0) as ((one, other, third), proxy, _):
        visitor = Visitor()
        slow = await begun(visitor, one)
        node = one.node._store.node
        held = asyncio.create_task(visitor.poll(one, wait=20.0))
        await eventually(lambda: one.node.sessions[visitor.session].record.attach == 2)
        await proxy.refuse()
        proxy.cut()
        note = visitor.frame("send", "note", 2)
        await visitor.poll(other, slow, note)
        assert (await visitor.until(other, "error", 1))[2] == "outcome_unknown"
        assert await visitor.until(other, "reply", 2) == ["reply", 2, 1]
        one.gate.set()
        await eventually(lambda: one.ran[-1] == ["end", 1])
        await proxy.accept()
        assert "reply" not in [frame[0] for frame in await held]
        await eventually(lambda: no_longer_at(visitor, one))
        data = visitor.frame("send", "data", None)
        await visitor.poll(one, data)
        assert (await visitor.until(third, "reply", 3))[2] == {"came": 0, "noted": 2}
        assert (one.node._store.node, len(outcomes(visitor))) == (node, 3), "it need not have lost its lease for that"


@pytest.mark.usefixtures("hurried")
async def test_a_node_that_is_out_of_hearing_but_lives_is_waited_for() -> None:
    """It cannot subscribe, and renews its lease all the same."""
    async with places(cut_off=0) as ((one, other, third), _, redis):
        visitor = Visitor()
        slow = await begun(visitor, one)

        await redis.call("ACL", "SETUSER", "other", "-subscribe")
        await redis.call("CLIENT", "KILL", "TYPE", "pubsub")
        await eventually(lambda: one.node._broker.fault)
        await visitor.poll(other, slow, visitor.frame("send", "note", 2))
        assert await other.node._peers.tell(one.node._store.node, "settle", "") is False
        await asyncio.sleep(1.5)  # nothing can be waited for: nothing must happen
        assert (outcomes(visitor), other.ran) == (set(), [])
        one.gate.set()
        assert await visitor.until(third, "reply", 1) == ["reply", 1, 0]
        assert await visitor.until(third, "reply", 2) == ["reply", 2, 1]
        assert len(outcomes(visitor)) == 2


@pytest.mark.usefixtures("hurried")
async def test_who_passed_a_session_on_waits_for_what_runs_where_it_came_from() -> None:
    """Its client is back there, and what it repeated on its way will be answered there."""
    async with places(cut_off=2) as ((one, other, _), _, _):
        visitor = Visitor()
        slow = await begun(visitor, one)
        note = visitor.frame("send", "note", 2)
        await visitor.poll(other, slow, note)
        await visitor.poll(one, slow, note)
        await asyncio.sleep(0.5)  # nothing can be waited for: nothing must happen
        assert (outcomes(visitor), other.ran) == (set(), [])
        one.gate.set()
        assert await visitor.until(one, "reply", 1) == ["reply", 1, 0]
        assert await visitor.until(one, "reply", 2) == ["reply", 2, 1]
        await eventually(lambda: no_longer_at(visitor, other))
        assert len(outcomes(visitor)) == 2


@pytest.mark.usefixtures("hurried")
async def test_a_session_that_was_elsewhere_without_having_been_missed_is_told_what_is_unknown() -> None:
    async with places(cut_off=1) as ((one, other, _), proxy, _):
        visitor = Visitor()
        await visitor.poll(one)
        one.node._peers.serve(fence=deaf)
        slow = await begun(visitor, other)
        await visitor.poll(one)
        await proxy.refuse()
        proxy.cut()
        await visitor.poll(one, slow)
        assert (await visitor.until(one, "error", 1))[2] == "outcome_unknown"
        await proxy.accept()
        other.gate.set()
        await eventually(lambda: no_longer_at(visitor, other))
        assert len(outcomes(visitor)) == 1


async def deaf(*_: object) -> None:
    """Hear nothing of what another node says."""
