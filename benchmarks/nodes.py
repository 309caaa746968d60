"""What several nodes behind an nginx do with a Redis between them: how long publications take across nodes, what one
costs Redis, and how long a killed node's sessions are away.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

from tests.cluster import Cluster, cluster
from tests.faults.nodes.load import Load, Visitor, load
from tests.redis_server import RedisServer

__all__ = ["measure_nodes"]

NODES = 3
READERS = 30
"""Few enough that the process they are in is not what takes time."""

VISITORS = 300
PUBLICATIONS = 20.0
READ_SECONDS = 10.0
PUBLISHED = 500
KILLS = 3
MOST_SECONDS = 30.0
_EVERY_SECONDS = 0.005


async def measure_nodes() -> None:
    """Print one line for each figure."""
    print(f"\n{NODES} nodes behind nginx, one Redis", flush=True)
    async with _running(READERS) as (_, visitors):
        await _ages(visitors)
    async with _running(0) as (redis, visitors):
        await _commands(redis, visitors.cluster)
    aways = [await _resumed_after_kill() for _ in range(KILLS)]
    told = ", ".join(f"{seconds:.2f}" for seconds in aways)
    print(f"{'from kill -9 to the last resumed session':44}{told:>24} s, {VISITORS} visitors", flush=True)


@contextlib.asynccontextmanager
async def _running(count: int) -> AsyncIterator[tuple[RedisServer, Load]]:
    with tempfile.TemporaryDirectory() as folder:
        async with (
            RedisServer(keep=True) as redis,
            cluster(
                [redis.url] * NODES, Path(folder), ping_seconds=25.0, grace_seconds=10.0, poll_seconds=25.0
            ) as nodes,
            load(nodes, max(count, 1)) as visitors,
        ):
            yield redis, visitors


async def _ages(visitors: Load) -> None:
    visitors.start(PUBLICATIONS, 0.001)
    await asyncio.sleep(READ_SECONDS)
    await visitors.stop()
    for transport in ("websocket", "sse", "poll"):
        ages = sorted(age for one in visitors.visitors if one.name.startswith(transport) for age in one.ages)
        name = f"from publish to receipt, {transport}"
        half, most = (1e3 * ages[len(ages) * share // 100] for share in (50, 99))
        print(f"{name:44}{half:12.1f}{most:12.1f} ms, p50 and p99 of {len(ages):,}", flush=True)


async def _commands(redis: RedisServer, nodes: Cluster) -> None:
    """Publish one after the other, so that no two share a message."""
    await redis.call("CONFIG", "RESETSTAT")
    started = time.perf_counter()
    for number in range(PUBLISHED):
        await nodes.publish(number % NODES, "room/0", {"serial": number, "at": 0.0})
    seconds = time.perf_counter() - started
    counts = await _calls(redis)
    await redis.call("CONFIG", "RESETSTAT")
    await asyncio.sleep(seconds)
    idle = await _calls(redis)
    spent = {name: (count - idle.get(name, 0)) / PUBLISHED for name, count in counts.items()}
    told = ", ".join(f"{name} {count:.2f}" for name, count in sorted(spent.items()) if count >= 0.05)
    print(f"{'commands to Redis and in it, a publication':44}{told}", flush=True)


async def _calls(redis: RedisServer) -> dict[str, int]:
    lines = (await redis.call("INFO", "commandstats")).decode().splitlines()
    stats = [line.removeprefix("cmdstat_").partition(":calls=") for line in lines if line.startswith("cmdstat_")]
    return {name: int(rest.partition(",")[0]) for name, _, rest in stats}


async def _resumed_after_kill() -> float:
    async with _running(VISITORS) as (_, visitors):
        visitors.start(PUBLICATIONS, 0.001)
        await visitors.more(int(PUBLICATIONS))
        places = await asyncio.gather(*(one.client.request("where") for one in visitors.visitors))
        there = [one for one, node in zip(visitors.visitors, places, strict=True) if node == "1"]
        # A poll is another connection each time: only who has a stream loses it for sure.
        on_streams = [one for one in there if one.client.transport in ("websocket", "sse")]
        before = {one: one.client.reconnects for one in on_streams}
        started = time.perf_counter()
        await visitors.cluster.nodes[1].kill()
        async with asyncio.timeout(MOST_SECONDS):
            while any(not _is_back(one, before[one]) for one in on_streams):  # noqa: ASYNC110 - no event tells of all
                await asyncio.sleep(_EVERY_SECONDS)
        return time.perf_counter() - started


def _is_back(visitor: Visitor, reconnects: int) -> bool:
    return visitor.client.reconnects > reconnects and visitor.client.status == "connected"
