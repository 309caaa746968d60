"""What Redis will not do, and how nodes say so."""

from __future__ import annotations

import asyncio

import pytest
from msgspec import structs

from multitransport.errors import BrokerUnavailable
from multitransport.protocol.position import Position
from multitransport.testing.server import free_port
from multitransport.testing.waiting import eventually
from tests.redis_nodes import FAST, Node, nodes
from tests.redis_server import RedisServer


async def ready(*members: Node) -> None:
    await eventually(lambda: all(node.broker.fault is None for node in members), 10.0)


@pytest.mark.parametrize("room", ["known", "new"])
async def test_a_full_redis_refuses_and_loses_nothing(room: str) -> None:
    async with RedisServer() as redis, nodes(redis.url) as (node,):
        before = [await node.say("known", b'"%d"' % n) for n in range(20)][-1]
        await node.put("known too", "k", b"1")
        used = (await redis.call("INFO", "memory")).decode().partition("used_memory:")[2].split()[0]
        await redis.call("CONFIG", "SET", "maxmemory", str(int(used) // 2))
        with pytest.raises(BrokerUnavailable, match="OOM"):
            await node.say(room, b'"refused"')
        with pytest.raises(BrokerUnavailable, match="OOM"):
            await node.put(f"{room} too", "k", b"2")
        await redis.call("CONFIG", "SET", "maxmemory", "0")
        assert await node.say("known", b'"taken"') == Position(before.epoch, before.offset + 1)
        assert (await node.put("known too", "k", b"3")).offset == 2
        assert await redis.call("XLEN", "multitransport:log:{.known}") == 21


async def test_a_user_without_channels_is_told_so_and_goes_on_once_it_has_them(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with RedisServer() as redis:
        await redis.call("ACL", "SETUSER", "app", "on", ">pw", "~*", "+@all", "resetchannels")
        async with nodes(redis.url.replace("//", "//app:pw@"), redis.url) as (node, other):
            await eventually(lambda: "NOPERM" in (node.broker.fault or ""))
            with pytest.raises(BrokerUnavailable, match="NOPERM"):
                await node.watch("a")
            told = [record.getMessage() for record in caplog.records if "NOPERM" in record.getMessage()]
            assert len(told) == 1
            await redis.call("ACL", "SETUSER", "app", "allchannels")
            await ready(node)
            witness = await node.watch("a")
            await other.say("a", b"1")
            await eventually(lambda: witness.data == [b"1"])


@pytest.mark.parametrize("host", ["redis..internal", "a" * 64])
async def test_a_host_that_no_resolver_takes_is_a_fault_like_others(host: str) -> None:
    async with nodes(f"redis://{host}") as (node,):
        await eventually(lambda: host in (node.broker.fault or ""))
        assert (node.broker.fault or "").startswith("Redis is away: ")


async def test_a_cluster_that_cannot_be_reached_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    async with nodes(f"redis+cluster://127.0.0.1:{free_port()}") as (node,):
        await eventually(lambda: caplog.records)
        with pytest.raises(BrokerUnavailable, match="the cluster is away"):
            await node.say("a", b"1")
    assert [record.getMessage().count("the cluster is away") for record in caplog.records] == [1]


async def test_a_redis_that_became_a_replica_is_away_until_it_is_the_master_again() -> None:
    async with RedisServer() as redis, nodes(redis.url) as (node,):
        await node.say("a", b"1")
        await redis.call("REPLICAOF", "127.0.0.1", str(free_port()))
        with pytest.raises(BrokerUnavailable, match="replica"):
            await node.say("a", b"2")
        for _ in range(50):
            assert "replica" in (node.broker.fault or "")
            await asyncio.sleep(0.01)
        await redis.call("REPLICAOF", "NO", "ONE")
        await ready(node)
        await node.say("a", b"3")


async def test_a_publication_larger_than_what_may_wait_is_taken_by_itself() -> None:
    async with (
        RedisServer() as redis,
        nodes(redis.url, timing=structs.replace(FAST, max_waiting_bytes=10_000)) as (node,),
    ):
        assert (await node.say("a", b'"%s"' % (b"x" * 20_000))).offset == 1
        await redis.kill()
        results = await asyncio.gather(
            *(node.say("a", b'"%s"' % (b"x" * 6_000)) for _ in range(2)), return_exceptions=True
        )
        assert "bytes wait for Redis already" in str(results[1])
