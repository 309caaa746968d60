"""Sessions in a Redis that has lost what it had, or the newest part of it: their nodes put them back."""

from __future__ import annotations

import pytest
from msgspec import structs

from multitransport.brokers.base import StaleAttach
from multitransport.core.session import SessionRecord
from multitransport.errors import BrokerUnavailable
from multitransport.protocol.position import Position
from multitransport.testing.waiting import eventually
from tests.redis_server import RedisServer
from tests.redis_stores import BRIEF, LATER, cut_off, frozen, make, stores


async def test_what_redis_lost_is_put_back() -> None:
    async with RedisServer() as redis, stores(redis.url, redis.url) as (one, other):
        records = [await make(one, f"s{n}", "ann") for n in range(60)]
        record = records[0]
        record.data = {"cart": [1]}
        await one.join("s0", "a", Position("e", 1))
        await one.claim("s0", 1, [1, 2], 8)
        await one.commit("s0", 2, b"two", 100)
        await one.detach("s1", 1, LATER)
        await redis.call("FLUSHALL")
        await one.commit("s0", 1, b"one", 100)

        async def are_back() -> bool:
            return len(await other.of_user("ann")) == 60

        await eventually(are_back, 10.0)
        record.inbox.early = None
        assert [await other.find(f"s{n}") for n in range(60)] == records
        assert (record.inbox.processed, record.data, one.losses, other.losses) == (2, {"cart": [1]}, 0, 0)
        assert int(await redis.call("HGET", "multitransport:session:{.s1}", "x")) == one._speaking.expires["s1"]
        kept = await other.create(SessionRecord("s60", "new of s7", b"", "ann", 0), LATER)
        assert kept.session_id == "s7"
        assert (await other.attach("s7", 2)).former == one.node


async def test_a_session_that_redis_lost_is_not_gone_while_its_node_may_put_it_back() -> None:
    async with RedisServer() as redis, frozen(redis) as (proxy, (one, other)):
        record = await make(one)
        await cut_off(proxy)
        await redis.call("FLUSHALL")
        with pytest.raises(BrokerUnavailable, match="put back"):
            await other.find("s1")
        await proxy.accept()

        async def found(session_id: str) -> list[SessionRecord | None]:
            try:
                return [await other.find(session_id)]
            except BrokerUnavailable:
                return []

        assert await eventually(lambda: found("s1")) == [record]
        assert await eventually(lambda: found("s2")) == [None]


async def test_a_node_that_redis_forgot_may_finish_what_it_has_begun() -> None:
    async with RedisServer() as redis, frozen(redis) as (proxy, (one, other)):
        await make(one)
        await one.claim("s1", 1, [1], 8)
        record, _ = await other.attach("s1", 2)
        await cut_off(proxy)
        await redis.call("FLUSHALL")
        await other.settle("s1")
        assert record.holders == {1: one.node}
        await proxy.accept()
        await one.commit("s1", 1, b"one", 100)
        await one.finish("s1")
        await other.settle("s1")
        assert (record.holders or None, record.inbox.outcomes) == (None, {1: b"one"})


async def test_what_somebody_else_ended_is_not_put_back() -> None:
    async with RedisServer() as redis, stores(redis.url, redis.url) as (one, other):
        await make(one)
        await other.take("s1", one.node, LATER)
        await other.end("s1")
        await other.remove("s1")
        with pytest.raises(StaleAttach):
            await one.claim("s1", 1, [1], 8)
        await one.save("s1")
        assert (await one.find("s1"), await other.find("s1")) == (None, None)


@pytest.mark.parametrize("first", ["the node itself", "another node"])
async def test_after_a_restart_that_lost_the_newest_part_the_node_that_speaks_knows_it(first: str) -> None:
    async with RedisServer(keep=True) as redis, stores(redis.url, redis.url) as (one, other):
        record = await make(one)
        await one.claim("s1", 1, [1], 8)
        saved = redis.saved()
        await one.commit("s1", 1, b"one", 100)
        await one.claim("s1", 1, [2], 8)
        await one.commit("s1", 2, b"two", 100)
        await one.join("s1", "a", Position("e", 1))
        await redis.kill()
        redis.restore(saved)
        await redis.start()
        if first == "another node":
            moved, former = await other.attach("s1", 2)
            assert (former, moved.holders) == (one.node, None)
            assert (moved.rooms, moved.inbox) == (record.rooms, record.inbox)
        else:
            assert await one.claim("s1", 1, [3], 8) == 2
            assert (found := await other.find("s1")) is not None
            assert structs.replace(found, holders=None) == record


async def test_where_nobody_can_vouch_the_client_need_not_wait_for_long() -> None:
    async with RedisServer(keep=True) as redis, frozen(redis) as (proxy, (one, other)):
        await make(one)
        await cut_off(proxy)
        await redis.kill()
        await redis.start()
        assert (await other.attach("s1", 2)).former == one.node


@pytest.mark.parametrize("first", ["the node itself", "the node it had left", "another node"])
async def test_after_a_restart_that_lost_the_last_move_the_node_it_went_to_speaks_for_it(first: str) -> None:
    timing = structs.replace(BRIEF, lease_seconds=30.0)
    async with RedisServer(keep=True) as redis, stores(*[redis.url] * 3, timing=timing) as (one, other, third):
        await make(one)
        saved = redis.saved()
        record, _ = await other.attach("s1", 2)
        await one.finish("s1")
        await other.claim("s1", 2, [1], 8)
        await redis.kill()
        redis.restore(saved)
        await redis.start()
        if first != "the node itself":
            moved, former = await (third if first == "another node" else one).attach("s1", 3)
            assert (former, moved.inbox.claimed) == (other.node, 1)
        else:
            assert await other.claim("s1", 2, [2], 8) == 1
            assert (found := await third.find("s1")) is not None
            assert structs.replace(found, holders=record.holders) == record


async def test_after_a_restart_that_lost_the_last_move_the_node_it_had_left_does_not_take_it_back() -> None:
    async with RedisServer(keep=True) as redis, stores(redis.url, redis.url) as (one, other):
        await make(one)
        saved = redis.saved()
        await other.attach("s1", 2)
        await one.finish("s1")
        await redis.kill()
        redis.restore(saved)
        await redis.start()
        assert await one.take("s1", one.node, LATER) is None
        assert await other.claim("s1", 2, [1], 8) == 0


async def test_a_node_that_did_not_know_that_the_session_had_gone_does_not_get_it_back() -> None:
    async with RedisServer(keep=True) as redis, frozen(redis) as (proxy, (other, one)):
        await make(one)
        saved = redis.saved()
        await other.attach("s1", 2)
        await other.claim("s1", 2, [1], 8)
        await cut_off(proxy)
        await redis.kill()
        redis.restore(saved)
        await redis.start()
        assert await one.claim("s1", 1, [1], 8) == 0
        await proxy.accept()
        assert await other.owner("s1") == other.node
        assert await other.claim("s1", 2, [2], 8) == 1
        with pytest.raises(StaleAttach):
            await one.claim("s1", 1, [2], 8)
