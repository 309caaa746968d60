"""Redis is killed, robbed, frozen and cut off under load: nothing is lost in silence, and where nothing was, nobody is
told so.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from multitransport.client import Gap
from multitransport.testing.proxy import FaultProxy
from multitransport.testing.waiting import eventually
from tests.faults.nodes.load import Load, stage
from tests.redis_server import RedisServer

pytestmark = [pytest.mark.faults, pytest.mark.alone]

NODES = 3
LEAVERS = 9


def told_of_an_epoch(visitors: Load) -> bool:
    """Tell whether everybody who stays was told, in each room, that its log is another one."""
    return all(
        any(isinstance(item, Gap) and item.position.epoch != reading.start.epoch for item in reading.items)
        for visitor in visitors.staying
        for reading in visitor.readings
    )


async def test_redis_is_killed_and_keeps_its_log(tmp_path: Path) -> None:
    async with RedisServer(keep=True) as redis, stage([redis.url] * NODES, tmp_path) as visitors:
        await visitors.abandon(LEAVERS)
        await redis.kill()
        await asyncio.sleep(1.0)
        await redis.start()
        await visitors.cluster.ready()
        await visitors.more(100)
        await visitors.judge(lossless=True, unknown_allowed=False)


async def test_redis_is_killed_and_loses_all(tmp_path: Path) -> None:
    async with RedisServer(keep=True) as redis, stage([redis.url] * NODES, tmp_path) as visitors:
        await redis.kill()
        redis.restore(b"")
        await redis.start()
        await visitors.cluster.ready()
        await visitors.more(100)
        await visitors.abandon(LEAVERS)
        await visitors.judge(lossless=False, unknown_allowed=False)
        assert told_of_an_epoch(visitors)


async def test_redis_is_killed_and_loses_its_last_second(tmp_path: Path) -> None:
    async with RedisServer(keep=True) as redis, stage([redis.url] * NODES, tmp_path) as visitors:
        await visitors.abandon(LEAVERS)
        saved = redis.saved()
        await visitors.more(20)
        await redis.kill()
        redis.restore(saved)
        await redis.start()
        await visitors.cluster.ready()
        await visitors.more(100)
        await visitors.judge(lossless=False, unknown_allowed=False)
        assert told_of_an_epoch(visitors)


async def test_redis_is_emptied(tmp_path: Path) -> None:
    async with RedisServer() as redis, stage([redis.url] * NODES, tmp_path) as visitors:
        await redis.call("FLUSHALL")
        await visitors.more(100)
        await visitors.abandon(LEAVERS)
        await visitors.judge(lossless=False, unknown_allowed=False)
        assert told_of_an_epoch(visitors)


async def test_all_subscriptions_are_cut(tmp_path: Path) -> None:
    async with RedisServer() as redis, stage([redis.url] * NODES, tmp_path) as visitors:
        await visitors.abandon(LEAVERS)
        for _ in range(3):
            assert await redis.call("CLIENT", "KILL", "TYPE", "pubsub") >= NODES
            await visitors.more(40)
        await visitors.judge(lossless=True, unknown_allowed=False)


async def test_redis_stands_still_for_eight_seconds(tmp_path: Path) -> None:
    """For less than a lease lasts."""
    patient = {"lease_seconds": 12.0, "presence_seconds": 25.0, "resume_seconds": 30.0}
    async with RedisServer() as redis, stage([redis.url] * NODES, tmp_path, **patient) as visitors:
        await visitors.abandon(LEAVERS)
        redis.suspend()
        for node in range(NODES):
            await eventually(lambda: _is_ill(visitors, node), 5.0)  # noqa: B023
        await asyncio.sleep(7.0)
        redis.resume()
        await visitors.cluster.ready(within_seconds=10.0)
        await visitors.more(100)
        await visitors.judge(lossless=True, unknown_allowed=False)


async def _is_ill(visitors: Load, node: int) -> bool:
    return await visitors.cluster.health(node) != "ready"


async def test_the_link_of_one_node_to_redis_is_half_open(tmp_path: Path) -> None:
    patient = {"presence_seconds": 25.0, "resume_seconds": 30.0}
    async with RedisServer() as redis, FaultProxy(redis.url) as proxy:
        way = f"redis://127.0.0.1:{proxy.port}/0"
        async with stage([way, redis.url, redis.url], tmp_path, **patient) as visitors:
            await visitors.abandon(LEAVERS)
            proxy.black_hole = True
            await eventually(lambda: _is_ill(visitors, 0), 5.0)
            await asyncio.sleep(6.0)
            proxy.black_hole = False
            await visitors.cluster.ready()
            await visitors.more(100)
            await visitors.judge(lossless=True, unknown_allowed=True)


async def test_one_huge_publication_overflows_every_subscription(tmp_path: Path) -> None:
    async with RedisServer() as redis, stage([redis.url] * NODES, tmp_path) as visitors:
        await redis.call("CONFIG", "SET", "client-output-buffer-limit", "pubsub 1mb 1mb 1")
        await asyncio.gather(*(visitor.join("room/huge") for visitor in visitors.visitors[:6]))
        assert await visitors.publish("room/huge", 0, "huge", pad="x" * (8 << 20))
        assert await visitors.publish("room/huge", 1, "after it")
        await visitors.more(60)
        visitors.rooms.append("room/huge")
        await visitors.judge(lossless=True, unknown_allowed=False)
