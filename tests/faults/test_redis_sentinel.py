"""The master dies, and the Sentinels make its replica the master."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from multitransport.brokers.redis.connections.connection import ConnectionLost
from multitransport.testing.waiting import eventually
from tests.faults.test_redis_storm import judge
from tests.redis_nodes import nodes, talk
from tests.redis_server import RedisServer

pytestmark = pytest.mark.faults

CONFIGURATION = """\
sentinel monitor group 127.0.0.1 {port} 1
sentinel down-after-milliseconds group 500
sentinel failover-timeout group 3000
"""


@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_a_failover(how: str) -> None:
    async with (
        RedisServer() as master,
        RedisServer("--replicaof", f"127.0.0.1 {master.port}") as replica,
        RedisServer(sentinel=CONFIGURATION.format(port=master.port)) as sentinel,
    ):
        await eventually(lambda: _in_step(replica), 20.0)
        await eventually(lambda: _knows_the_replica(sentinel), 30.0)
        url = f"redis+sentinel://127.0.0.1:{sentinel.port}/group"
        async with nodes(url, url) as members:
            witnesses = [await node.watch("a") for node in members]
            async with talk(members) as talked:
                await talked.more(50)
                if how == "killed":
                    await master.kill()
                else:
                    master.suspend()
                await eventually(lambda: _is_master(replica), 30.0)
                await eventually(lambda: all(node.broker.fault is None for node in members), 10.0)
                await talked.more(50, 20.0)
                if how == "frozen":
                    master.resume()
                    await asyncio.sleep(1.0)
                    await talked.more(50, 20.0)
            await judge(witnesses, talked, members)


async def _in_step(replica: RedisServer) -> bool:
    return b"master_link_status:up" in await replica.call("INFO", "replication")


async def _is_master(replica: RedisServer) -> bool:
    # A Sentinel cuts every connection of a Redis whose part it changes, also one that is only being made.
    with contextlib.suppress(ConnectionLost, OSError):
        return b"role:master" in await replica.call("INFO", "replication")
    return False


async def _knows_the_replica(sentinel: RedisServer) -> bool:
    return len(await sentinel.call("SENTINEL", "REPLICAS", "group")) == 1
