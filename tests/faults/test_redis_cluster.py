"""Rooms in a cluster: they are spread over its nodes, and their slots move while they are talked in."""

from __future__ import annotations

import pytest

from multitransport.brokers.redis.connections.cluster import slot_of
from multitransport.core.publication import Draft
from multitransport.testing.waiting import eventually
from tests.faults.test_redis_storm import judge
from tests.redis_cluster import RedisCluster
from tests.redis_nodes import STATE, nodes, talk, values

pytestmark = pytest.mark.faults


async def test_rooms_are_spread_over_the_nodes_of_a_cluster() -> None:
    async with RedisCluster() as cluster, nodes(cluster.url, cluster.url) as (one, other):
        rooms = ["a", "b", "c", "d", "ä}{", "{x}y"]
        witnesses = {room: await other.watch(room) for room in rooms}
        board = await other.watch("board", STATE)
        for room in rooms:
            await one.say(room, b"1")
            await one.say(room, b"2", id="twice")
            await one.say(room, b"2", id="twice")
        await one.put("board", "k", b"1")
        await eventually(lambda: all(witness.data == [b"1", b"2"] for witness in witnesses.values()))
        await eventually(lambda: values(board.log) == {"k": 1})
        for room in rooms:
            await one.broker.flash(room, Draft("v", b"3"))
        await eventually(lambda: len(other.flashed) == len(rooms))
        used = [await server.call("DBSIZE") for server in cluster.servers]
        assert sum(1 for count in used if count) > 1
        assert (one.broker.fault, other.broker.fault) == (None, None)


async def test_a_slot_moves_while_its_room_is_talked_in() -> None:
    async with RedisCluster() as cluster, nodes(cluster.url, cluster.url) as members:
        witnesses = [await node.watch("a") for node in members]
        slot = slot_of(b"{.a}")
        async with talk(members) as talked:
            for _ in range(4):
                await talked.more(40)
                await cluster.move(slot, (await cluster.owner(slot) + 1) % 3)
            await talked.more(40)
        last = max(position.offset for position in talked.taken.values())
        for witness in witnesses:
            await eventually(lambda: witness.position.offset >= last)  # noqa: B023
            assert not witness.holes
            assert set(talked.taken) <= set(witness.data)
            assert len(set(witness.data)) == len(witness.data)
            print(witness.gaps)
        assert talked.failed == []


async def test_a_node_of_the_cluster_dies_and_its_replica_takes_over() -> None:
    room = next(name for name in map(str, range(100)) if slot_of(f"{{.{name}}}".encode()) < 5461)
    async with RedisCluster() as cluster, nodes(cluster.url, cluster.url) as members:
        witnesses = [await node.watch(room) for node in members]
        async with talk(members, room) as talked:
            await talked.more(40)
            await cluster.servers[0].kill()
            await eventually(lambda: all(node.broker.fault for node in members), 5.0)
            await eventually(lambda: all(node.broker.fault is None for node in members), 30.0)
            await talked.more(40, 20.0)
        await judge(witnesses, talked, members)
