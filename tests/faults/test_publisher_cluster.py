"""Publishing from outside over a cluster whose slots move."""

from __future__ import annotations

import pytest

from multitransport import Publisher, Refuse
from multitransport.brokers.redis.connections.cluster import slot_of
from multitransport.brokers.redis.keys import Keys
from multitransport.brokers.redis.rooms.declared import declare
from multitransport.testing.waiting import eventually
from tests.outside import ROOMS
from tests.redis_cluster import RedisCluster
from tests.redis_nodes import nodes

pytestmark = pytest.mark.faults


async def test_publications_go_where_their_rooms_have_moved() -> None:
    retention = ROOMS[0].retention
    async with RedisCluster() as cluster, nodes(cluster.url) as [node], Publisher(cluster.url) as publisher:
        await declare(node.broker.line, Keys("multitransport", 0), ROOMS)
        rooms = [f"chat/{n}" for n in range(6)]
        witnesses = [await node.watch(room, retention) for room in rooms]
        for turn in range(4):
            await publisher.publish(rooms, "said", turn)
            for tag in (b"{.rooms}", b"{.chat/0}"):
                slot = slot_of(tag)
                await cluster.move(slot, (await cluster.owner(slot) + 1) % 3)
            with pytest.raises(Refuse):
                await publisher.publish("nowhere", "said")  # which reads again what is declared, if a second is over
        await eventually(lambda: all(witness.data == [b"0", b"1", b"2", b"3"] for witness in witnesses), 20.0)
        assert [witness.holes + witness.gaps for witness in witnesses] == [[]] * len(rooms)
