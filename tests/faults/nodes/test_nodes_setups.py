"""The other ways to have a Redis: a group with Sentinels that fails over, and a cluster whose slots move."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from multitransport.brokers.redis.connections.cluster import slot_of
from multitransport.testing.waiting import eventually
from tests.faults.nodes.load import stage
from tests.faults.test_redis_sentinel import CONFIGURATION, _in_step, _is_master, _knows_the_replica
from tests.redis_cluster import RedisCluster
from tests.redis_server import RedisServer

pytestmark = [pytest.mark.faults, pytest.mark.alone]

NODES = 3
LEAVERS = 9
MOVED_SLOTS = 60


async def test_a_sentinel_fails_over(tmp_path: Path) -> None:
    patient = {"lease_seconds": 12.0, "presence_seconds": 25.0, "resume_seconds": 30.0}
    async with (
        RedisServer() as master,
        RedisServer("--replicaof", f"127.0.0.1 {master.port}") as replica,
        RedisServer(sentinel=CONFIGURATION.format(port=master.port)) as sentinel,
    ):
        await eventually(lambda: _in_step(replica), 20.0)
        await eventually(lambda: _knows_the_replica(sentinel), 30.0)
        url = f"redis+sentinel://127.0.0.1:{sentinel.port}/group"
        async with stage([url] * NODES, tmp_path, **patient) as visitors:
            await visitors.abandon(LEAVERS)
            await master.kill()
            await eventually(lambda: _is_master(replica), 30.0)
            await visitors.cluster.ready()
            await visitors.more(100)
            # What the master took in its last moment the replica may not have: that is a loss, which is told.
            await visitors.judge(lossless=False, unknown_allowed=False)


async def test_slots_of_a_cluster_move(tmp_path: Path) -> None:
    async with RedisCluster() as redis, stage([redis.url] * NODES, tmp_path) as visitors:
        await visitors.abandon(LEAVERS)
        keys = [key for server in redis.servers for key in await server.call("KEYS", "*")]
        kinds = {bytes(key).split(b":")[1]: key for key in keys}
        assert len(kinds) > 3, kinds
        moved = [*kinds.values(), *keys[: MOVED_SLOTS - len(kinds)]]
        for slot in {slot_of(key) for key in moved}:
            await redis.move(slot, (await redis.owner(slot) + 1) % 3)
            await asyncio.sleep(0)
        await visitors.more(60)
        await visitors.judge(lossless=True, unknown_allowed=False)
