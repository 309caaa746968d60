"""Sessions in Redis while nodes, or Redis itself, or the way to it, are away: one node speaks for each, or none."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from msgspec import structs

from multitransport.brokers.base import LastWord, StaleAttach
from multitransport.brokers.redis.keys import Keys
from multitransport.core.session import SessionRecord
from multitransport.errors import BrokerUnavailable
from multitransport.protocol.position import Position
from multitransport.testing.waiting import eventually
from tests.redis_server import RedisServer
from tests.redis_stores import BRIEF, LATER, cut_off, frozen, gone, make, stores


async def test_a_node_that_was_frozen_for_too_long_does_nothing_more() -> None:
    async with RedisServer() as redis, frozen(redis) as (proxy, (one, other)):
        await make(one)
        await one.claim("s1", 1, [1], 8)
        former, until = one.node, one.until
        await cut_off(proxy)
        works = [
            asyncio.create_task(work)
            for work in (
                one.claim("s1", 1, [2], 8),
                one.commit("s1", 1, b"one", 100),
                one.end("s1", LastWord(4500, "never"), LATER),
            )
        ]
        await eventually(lambda: one.fault)
        [adopted] = await other.adopt_all()
        assert (adopted.session_id, adopted.node, adopted.inbox.claimed) == ("s1", other.node, 1)
        assert not any(work.done() for work in works)
        await proxy.accept()
        results = await asyncio.gather(*works, return_exceptions=True)
        assert isinstance(results[0], StaleAttach)
        assert results[1:] == [False, False]
        assert (one.losses, one.node == former, await one.owner("s1")) == (1, False, other.node)
        assert (await other.last_word("s1"), adopted.inbox.outcomes) == (None, {})
        await eventually(lambda: one.fault is None)
        assert one.until > until
        await make(one, "s2")
        assert await one.claim("s2", 1, [1], 8) == 0


async def test_a_step_that_arrives_after_the_lease_is_refused_by_redis() -> None:
    """The process stood still between its look at the lease and what it said."""
    async with RedisServer() as redis, stores(redis.url) as (one,):
        await make(one)
        one._lease.until, late = 1, one._lease.until
        assert await one.claim("s1", 1, [1], 8) == 0
        assert (one.until >= late, one.losses) == (True, 0)


async def test_who_is_late_but_was_not_missed_goes_on() -> None:
    async with RedisServer() as redis, stores(redis.url, redis.url) as (one, other):
        await make(one)
        await make(other, "s2")
        redis.suspend()
        await eventually(lambda: one.fault is not None and other.fault is not None)
        await asyncio.sleep(2 * BRIEF.lease_seconds)
        redis.resume()
        claims = await asyncio.gather(one.claim("s1", 1, [1], 8), other.claim("s2", 1, [1], 8))
        await eventually(lambda: one.fault is None and other.fault is None)
        assert [*claims, one.losses, other.losses] == [0, 0, 0, 0]
        assert (await one.adopt(LATER), await other.adopt(LATER)) == ([], [])


async def test_a_node_that_stopped_need_not_be_waited_for() -> None:
    async with RedisServer() as redis, stores(redis.url, timing=structs.replace(BRIEF, lease_seconds=60.0)) as (one,):
        await make(one)
        async with stores(redis.url) as (other,):
            node = one.node
            await one.stop()
            [adopted] = await other.adopt_all()
            assert (adopted.session_id, node in await other.nodes()) == ("s1", False)


async def test_a_store_can_be_started_again_as_another_node() -> None:
    async with RedisServer() as redis, stores(redis.url) as (one,):
        await make(one)
        node = one.node
        await one.stop()
        assert one.fault == "not started"
        await one.start(one.lost)
        [adopted] = await one.adopt_all()
        assert (adopted.session_id, one.node == node, one.losses) == ("s1", False, 0)


async def test_of_two_survivors_each_session_is_adopted_by_one() -> None:
    async with RedisServer() as redis, frozen(redis, 2) as (proxy, (one, *survivors)):
        ids = {f"s{n}" for n in range(150)}
        await asyncio.gather(*(make(one, each, "ann") for each in ids))
        await one.detach("s0", 1, 0.1)
        await cut_off(proxy)
        await gone(one, survivors[0])
        adopted: list[list[SessionRecord]] = [[], []]
        async with asyncio.timeout(10):
            while sum(map(len, adopted)) < len(ids):
                for own, more in zip(
                    adopted, await asyncio.gather(*(each.adopt(LATER) for each in survivors)), strict=True
                ):
                    own += more
        assert [await each.adopt(LATER) for each in survivors] == [[], []]
        found = [record.session_id for records in adopted for record in records]
        assert (len(found), set(found)) == (150, ids)
        for store, records in zip(survivors, adopted, strict=True):
            assert {await store.owner(record.session_id) for record in records} <= {store.node}
        expired = [await each.expired() for each in survivors]
        assert sorted(expired) == [[], ["s0"]]
        assert len(await survivors[0].of_user("ann")) == 150
        await eventually(lambda: not any(store._lease.dead for store in survivors))


async def test_adopted_sessions_that_were_attached_expire_after_their_time() -> None:
    async with RedisServer() as redis, frozen(redis) as (proxy, (one, other)):
        await make(one)
        await cut_off(proxy)
        await other.adopt_all(0.05)
        assert await eventually(other.expired) == ["s1"]
        assert await other.end("s1") is True


async def test_who_comes_back_before_it_is_adopted_is_attached_at_once() -> None:
    async with RedisServer() as redis, frozen(redis) as (proxy, (one, other)):
        await make(one)
        await one.claim("s1", 1, [1], 8)
        node = one.node
        await cut_off(proxy)
        moved, former = await other.attach("s1", 2)
        assert former == node
        await other.settle("s1")
        assert moved.holders == {1: node}
        await gone(one, other)
        await other.settle("s1", await other.gone([node]))
        assert [moved.holders, await other.adopt(LATER)] == [{1: ""}, []]
        assert await other.claim("s1", 2, [2], 8) == 1


async def test_an_end_whose_node_died_is_claimed_again_and_nobody_attaches_meanwhile() -> None:
    async with RedisServer() as redis, frozen(redis) as (proxy, (one, other)):
        await make(one, user_id="ann")
        await one.join("s1", "a", Position("e", 1))
        assert await one.end("s1", LastWord(4500, "never"), LATER)
        await cut_off(proxy)
        [adopted] = await other.adopt_all()
        assert (adopted.rooms, adopted.ending) == ({"a": Position("e", 1)}, True)
        with pytest.raises(StaleAttach):
            await other.attach("s1", 2)
        assert await eventually(other.expired) == ["s1"]
        assert [await other.end("s1") for _ in range(2)] == [True, False]
        await other.remove("s1")
        assert (await other.last_word("s1"), await other.of_user("ann")) == (LastWord(4500, "never"), [])


async def test_steps_wait_for_redis_and_questions_do_not() -> None:
    timing = structs.replace(BRIEF, publish_seconds=0.3)
    async with RedisServer(keep=True) as redis, stores(redis.url, redis.url, timing=timing) as (one, other):
        await make(one)
        await redis.kill()
        works = [asyncio.create_task(one.claim("s1", 1, [n], 8)) for n in (1, 2)]
        commit = asyncio.create_task(one.commit("s1", 1, b"one", 100))
        for asked in (other.find("s1"), other.of_user("ann"), other.attach("s1", 2), make(other, "s2")):
            with pytest.raises(BrokerUnavailable, match="Redis did not answer within"):
                await asked
        await eventually(lambda: one.fault)
        await redis.start()
        assert await asyncio.gather(*works) == [0, 1]
        await commit
        assert (found := await other.find("s1"))
        assert (found.inbox.claimed, found.inbox.processed) == (2, 1)


async def test_who_comes_while_redis_is_away_leaves_nothing_behind() -> None:
    async with RedisServer() as redis, stores(redis.url) as (one,):
        await make(one)
        await redis.kill()
        await eventually(lambda: one.broker.fault)
        before = len(asyncio.all_tasks())
        coming: list[Coroutine[Any, Any, Any]] = []
        for name in (f"s{n}" for n in range(20)):
            coming += (make(one, name), one.attach(name, 1), one.take(name, "another.1", LATER))
        results = await asyncio.gather(*coming, return_exceptions=True)
        assert {type(result) for result in results} == {BrokerUnavailable}
        await eventually(lambda: len(asyncio.all_tasks()) <= before + 5)  # a few of the store's own may have begun


async def test_with_killed_connections_everything_is_done_once() -> None:
    async with RedisServer() as redis, stores(redis.url, redis.url) as (one, other):
        records = [await make(one if n % 2 else other, f"s{n}") for n in range(20)]

        async def use(n: int) -> None:
            for seq in range(1, 31):
                store = one if n % 2 else other
                assert await store.claim(f"s{n}", 1, [seq], 8) == seq - 1
                assert await store.commit(f"s{n}", seq, b"%d" % seq, 1000)
                await store.settle(f"s{n}")
                await store.acknowledge(f"s{n}", seq - 1)

        uses = asyncio.gather(*(use(n) for n in range(20)))
        while not uses.done():
            await redis.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            await asyncio.wait([uses], timeout=0.05)
        await uses
        for n, record in enumerate(records):
            assert (record.inbox.processed, list(record.inbox.outcomes)) == (30, [30])
            assert await (other if n % 2 else one).find(f"s{n}") is not None
        assert (one.losses, other.losses) == (0, 0)


@pytest.mark.faults
async def test_of_what_is_gone_no_key_stays_longer_than_its_time() -> None:
    timing = structs.replace(BRIEF, session_seconds=2.0)
    async with RedisServer() as redis, stores(redis.url, timing=timing) as (one,):
        async with stores(redis.url, timing=timing) as (other,):
            for n in range(20):
                await make(other, f"s{n}", f"user {n % 3}")
                await other.join(f"s{n}", "a", Position("e", 1))
            await one.attach("s0", 2)
            await one.end("s0", LastWord(4500, "never"), 1.0)
            await one.remove("s0")
            await other.detach("s1", 1, 1.0)
            kept = await redis.keys()
            assert {key.split(":")[1] for key in kept} == {
                *("nodes", "dead", "registry"),
                *("session", "sessions", "new", "user", "word"),
            } - {"dead"}
            assert all(0 < left <= 3_000 for left in kept.values()), kept
            # What is attached is refreshed by its node.
            await asyncio.sleep(2.5)
            assert len([key for key in await redis.keys() if ":session:" in key]) == 19

        async def is_left() -> set[str]:
            return {key.split(":")[1] for key in await redis.keys()}

        await one.stop()

        async def nothing_is_left() -> bool:
            return await redis.keys() == {}

        await eventually(nothing_is_left, 10.0)


async def test_what_others_have_written_is_refused_and_counted() -> None:
    async with RedisServer() as redis, stores(redis.url, redis.url) as (one, other):
        names = Keys("multitransport", 0)
        for n in range(8):
            await make(one, f"s{n}", "ann")
        sealed = [await redis.call("HGET", names.session(f"s{n}"), "i") for n in range(8)]
        forged: list[tuple[str | int | bytes, ...]] = [
            ("HSET", names.session("s0"), "i", sealed[1]),
            ("HSET", names.session("s1"), "i", sealed[1][:-1] + b"x"),
            ("HSET", names.session("s2"), "i", b"2" + sealed[2][1:]),
            ("HSET", names.session("s3"), "a", "-1"),
            ("HSET", names.session("s4"), "r:a", "nowhere"),
            ("HSET", names.session("s5"), "o:1", "b\xff"),
            ("HSET", names.session("s6"), "d:x", b"\xc1"),
            ("HDEL", names.session("s7"), "i"),
        ]
        for n, command in enumerate(forged):
            await redis.call(*command)
            assert await other.find(f"s{n}") is None, command
        assert other.refused == len(forged)
        for n in (0, 1, 2, 7):
            with pytest.raises(StaleAttach):
                await other.attach(f"s{n}", 2, b"another secret")
        assert sorted(await other.of_user("ann")) == ["s3", "s4", "s5", "s6"]
        made = await other.create(SessionRecord("s8", "new of s0", b"", "ann", 0), LATER)
        assert made.session_id == "s8"
        await redis.call("SET", names.word("s9"), "f\xff")
        assert await other.last_word("s9") is None


async def test_secret_keys_can_be_changed_while_nodes_run_and_others_are_of_another_deployment() -> None:
    async with (
        RedisServer() as redis,
        stores(redis.url, secret_keys=["old"]) as (one,),
        stores(redis.url, secret_keys=["old", "new"]) as (two,),
        stores(redis.url, secret_keys=["new"]) as (three,),
        stores(redis.url, prefix="another") as (stranger,),
    ):
        await make(one)
        assert await two.find("s1") is not None
        assert (await three.find("s1"), three.refused) == (None, 1)
        await two.attach("s1", 2, b"other")
        assert await three.find("s1") is not None
        assert await one.finish("s1") == two.node
        assert (await one.find("s1"), one.refused) == (None, 1)
        assert (await stranger.find("s1"), stranger.refused) == (None, 0)
        assert await stranger.nodes() == [stranger.node]
