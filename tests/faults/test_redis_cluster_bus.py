"""What nodes say to each other over a cluster, also while their channels move."""

from __future__ import annotations

import pytest

from multitransport.brokers.base import NodeUnreachable
from multitransport.brokers.redis.connections.cluster import slot_of
from multitransport.testing.waiting import eventually
from tests.redis_buses import members
from tests.redis_cluster import RedisCluster

pytestmark = pytest.mark.faults


async def test_nodes_ask_each_other_once_wherever_their_channels_are() -> None:
    async with RedisCluster() as cluster, members(cluster.url, *[["k"]] * 4) as made:
        for member in made:
            await member.broker.hears()
        for one in made:
            for other in made:
                assert await one.bus.ask(other.node, one.node, 5.0) == [other.node, one.node]
        for member in made:
            assert sorted(member.heard) == sorted(other.node for other in made), "each once, not from every Redis"
            assert member.bus.refused == 0
        with pytest.raises(NodeUnreachable, match="does not listen"):
            await made[0].bus.ask("nobody", 1, 30.0)


async def test_a_node_whose_channel_moves_is_not_taken_for_gone() -> None:
    async with RedisCluster() as cluster, members(cluster.url, ["k"], ["k"]) as (one, other):
        slot = slot_of(other.broker.own_channel)
        for turn in range(5):
            assert await one.bus.ask(other.node, turn, 5.0) == [other.node, turn]
            await cluster.move(slot, (await cluster.owner(slot) + 1) % 3)
            assert await one.bus.ask(other.node, f"moved {turn}", 5.0) == [other.node, f"moved {turn}"]
        assert len(set(map(str, other.heard))) == len(other.heard) == 10


async def test_a_node_is_asked_again_when_its_redis_has_a_successor() -> None:
    async with RedisCluster() as cluster, members(cluster.url, *[["k"]] * 6) as made:
        for member in made:
            await member.broker.hears()
        await cluster.servers[0].kill()
        await eventually(lambda: all(member.broker.fault for member in made), 5.0)
        await eventually(lambda: all(member.broker.fault is None for member in made), 30.0)
        for other in made[1:]:
            assert await made[0].bus.ask(other.node, 1, 5.0) == [other.node, 1]
