"""Who holds which frame, where steps are repeated: their answers were lost, and others were at work meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest_asyncio

from multitransport.brokers.redis.sessions import attaching, holding
from tests.redis_server import RedisServer
from tests.redis_stores import Interruption, Store, make, stores


@pytest_asyncio.fixture
async def three(redis: RedisServer) -> AsyncIterator[list[Store]]:
    async with stores(redis.url, redis.url, redis.url) as opened:
        yield opened


async def test_a_node_that_did_not_hear_that_a_session_had_gone_knows_what_was_claimed_elsewhere(
    three: list[Store],
) -> None:
    one, other, _ = three
    await make(one)
    await one.claim("s1", 1, [1], 8)
    await other.attach("s1", 2)
    await other.claim("s1", 2, [2], 8)
    lost = Interruption(one, attaching._ATTACH)
    lost.let_go()
    record, former = await one.attach("s1", 3)
    assert lost.reached.is_set()
    assert (former, record.inbox.claimed, record.holders) == (other.node, 2, {1: one.node, 2: other.node})
    assert await one.claim("s1", 3, [2], 8) == 2, "else it would run here, too"


async def test_what_a_node_took_that_has_just_begun_is_not_lost_by_what_was_known_before(
    redis: RedisServer, three: list[Store]
) -> None:
    one, other, third = three
    await make(one)
    await one.claim("s1", 1, [1], 8)
    await other.attach("s1", 2)
    gone = one.node
    await one.stop()
    interrupted = Interruption(other, holding._SETTLE, unheard=True)
    settling = asyncio.create_task(other.settle("s1", await other.gone([gone])))
    await interrupted.reached.wait()
    await third.attach("s1", 3)
    await third.claim("s1", 3, [2], 8)
    interrupted.let_go()
    found = await settling
    assert found is not None
    assert found.holders == {1: "", 2: third.node}
    assert await third.commit("s1", 2, b"two", 100) is True


async def test_what_a_node_has_taken_since_it_came_back_is_not_lost_when_its_leaving_is_repeated(
    three: list[Store],
) -> None:
    one, other, _ = three
    await make(one)
    await one.claim("s1", 1, [1], 8)
    await other.attach("s1", 2)
    await one.commit("s1", 1, b"one", 100)
    lost = Interruption(one, holding._FINISH)
    finishing = asyncio.create_task(one.finish("s1"))
    await lost.reached.wait()
    coming_back = asyncio.create_task(one.attach("s1", 3))
    lost.let_go()
    assert await finishing == other.node
    await coming_back
    await one.claim("s1", 3, [2], 8)
    await other.attach("s1", 4)
    assert await one.commit("s1", 2, b"two", 100) is True


async def test_what_a_node_holds_and_never_got_can_be_sent_again(three: list[Store]) -> None:
    one, other, _ = three
    record = await make(one)
    await one.claim("s1", 1, [1, 2], 8)
    moved, _ = await other.attach("s1", 2)
    assert await one.give_back("s1", [1], begun=True) == other.node
    assert record.holders == {1: ""}
    assert await one.commit("s1", 1, b"done", 100) is False
    await other.settle("s1")
    assert moved.holders == {1: "", 2: one.node}
    assert await other.reclaim("s1", [1]) == {1: "lost"}
    assert await other.commit("s1", 1, b"unknown", 100) is True


async def test_what_was_given_back_and_begun_elsewhere_since_is_not_taken_for_unbegun(
    redis: RedisServer, three: list[Store]
) -> None:
    one, other, _ = three
    await make(one)
    await one.claim("s1", 1, [1, 2], 8)
    moved, _ = await other.attach("s1", 2)
    await one.give_back("s1", [1, 2])
    await other.settle("s1")
    assert moved.holders == {1: None, 2: None}
    # A third node has begun it, and is gone: all of that while the step is on its way.
    await redis.call("HSET", "multitransport:session:{.s1}", "f:1", "")
    assert await other.reclaim("s1", [1, 2]) == {1: "lost", 2: "unbegun"}
