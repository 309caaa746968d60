"""Redis begins anew with less than it had: what it says of sessions that have ended or gone elsewhere is put right."""

from __future__ import annotations

import asyncio

from multitransport.testing.waiting import eventually
from tests.redis_server import RedisServer
from tests.redis_stores import LATER, Store, make, stores


async def roll_back(redis: RedisServer, saved: bytes) -> None:
    await redis.kill()
    redis.restore(saved)
    await redis.start()


async def end(store: Store, session_id: str) -> bool:
    is_ended = await store.end(session_id)
    await store.remove(session_id)
    return is_ended


async def test_a_session_whose_end_was_lost_is_ended_again() -> None:
    async with RedisServer(keep=True) as redis, stores(redis.url, redis.url) as (one, other):
        ids = {f"s{n}" for n in range(150)}
        await asyncio.gather(*(make(one, each, "ann") for each in ids), make(one, "s"))
        saved = redis.saved()
        await asyncio.gather(*(end(one, each) for each in ids))
        await roll_back(redis, saved)
        adopted = await one.adopt_all(0.05)
        assert ({record.session_id for record in adopted}, {record.node for record in adopted}) == (ids, {one.node})
        assert await other.adopt(LATER) == []
        assert set(await eventually(one.expired)) <= ids
        assert all(await asyncio.gather(*(end(one, each) for each in ids)))
        assert [await one.of_user("ann"), await one.owner("s1"), await one.owner("s")] == [[], None, one.node]
        assert await redis.call("ZRANGE", f"multitransport:sessions:{{.{one.node}}}", 0, -1) == [b"s"]


async def test_a_session_that_was_ending_is_ended_again_and_nobody_attaches_meanwhile() -> None:
    async with RedisServer(keep=True) as redis, stores(redis.url) as (one,):
        await make(one)
        await one.end("s1")
        saved = redis.saved()
        await one.remove("s1")
        await roll_back(redis, saved)
        [adopted] = await one.adopt_all()
        assert adopted.ending
        assert await eventually(one.expired) == ["s1"]
        assert [await one.end("s1"), await one.end("s1")] == [True, False]
        await one.remove("s1")
        assert await redis.call("EXISTS", "multitransport:session:{.s1}") == 0


async def test_the_node_a_session_went_to_keeps_it_though_that_was_lost() -> None:
    async with RedisServer(keep=True) as redis, stores(redis.url, redis.url) as (one, other):
        await make(one)
        saved = redis.saved()
        await other.attach("s1", 2)
        await one.finish("s1")
        await roll_back(redis, saved)
        assert await other.claim("s1", 2, [1], 8) == 0
        await eventually(lambda: one._speaking.doubted_at)

        async def is_compared() -> bool:
            assert await one.adopt(LATER) == []
            return one._speaking.doubted_at == 0

        await eventually(is_compared)
        assert [await each.owner("s1") for each in (one, other)] == [other.node] * 2
        assert await other.claim("s1", 2, [2], 8) == 1


async def test_a_session_whose_client_comes_back_while_it_is_found_does_not_expire() -> None:
    async with RedisServer(keep=True) as redis, stores(redis.url) as (one,):
        await make(one)
        saved = redis.saved()
        await end(one, "s1")
        await roll_back(redis, saved)
        await asyncio.gather(one.attach("s1", 2), one.take("s1", one.node, 0.05))
        assert await redis.call("HGET", "multitransport:session:{.s1}", "x") is None
        assert one._speaking.expires == {}
        assert await one.claim("s1", 2, [1], 8) == 0


async def test_a_session_that_ends_here_is_not_found_here() -> None:
    async with RedisServer() as redis, stores(redis.url, redis.url) as (one, other):
        await make(one)
        await one.end("s1")
        assert await one.take("s1", one.node, LATER) is None
        await one.remove("s1")
        assert [await other.owner("s1"), one._speaking.mirrors] == [None, {}]
