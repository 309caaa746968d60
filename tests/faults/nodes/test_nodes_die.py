"""Nodes are killed, stopped and frozen under load: nobody loses anything, and no visitor is seen to leave who stays."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from tests.cluster import cluster
from tests.faults.nodes.load import load, stage
from tests.redis_server import RedisServer

pytestmark = [pytest.mark.faults, pytest.mark.alone]

NODES = 3
LEAVERS = 9
FROZEN_SECONDS = 10.0


async def test_no_fault(tmp_path: Path) -> None:
    async with RedisServer() as redis, stage([redis.url] * NODES, tmp_path) as visitors:
        await visitors.abandon(LEAVERS)
        await visitors.more(100)
        await visitors.judge(lossless=True, unknown_allowed=False)
        assert visitors.failed == []
        assert visitors.longest_absence < 3.0


async def test_networks_break_so_that_sessions_go_from_node_to_node(tmp_path: Path) -> None:
    chance = random.Random(1)
    async with RedisServer() as redis, stage([redis.url] * NODES, tmp_path) as visitors:
        await visitors.abandon(LEAVERS)
        # Once each: who is cut again and again waits longer and longer before coming back.
        for visitor in chance.sample(visitors.staying, len(visitors.staying)):
            await visitor.client.cut()
            await asyncio.sleep(0.02)
        await visitors.judge(lossless=True, unknown_allowed=False)


async def test_a_node_is_killed(tmp_path: Path) -> None:
    async with RedisServer() as redis, stage([redis.url] * NODES, tmp_path) as visitors:
        # A third of them went at the very moment when their node did, and nobody but the others can know.
        await asyncio.gather(visitors.cluster.nodes[1].kill(), visitors.abandon(LEAVERS))
        await visitors.more(200, 60.0)
        await visitors.cluster.nodes[1].start()
        await visitors.cluster.ready(1)
        await visitors.more(60)
        await visitors.judge(lossless=True, unknown_allowed=True)
        assert visitors.longest_absence < 8.0


async def test_each_node_is_stopped_and_started_in_turn(tmp_path: Path) -> None:
    async with RedisServer() as redis, stage([redis.url] * NODES, tmp_path) as visitors:
        await visitors.abandon(LEAVERS)
        for number, node in enumerate(visitors.cluster.nodes):
            assert await node.terminate(15.0) == 0
            await visitors.more(40, 60.0)
            await node.start()
            await visitors.cluster.ready(number)
            await visitors.more(40, 60.0)
        await visitors.judge(lossless=True, unknown_allowed=False)
        assert visitors.longest_absence < 6.0


async def test_few_visitors_notice_nothing_of_nodes_that_are_stopped(tmp_path: Path) -> None:
    """Without the crowd that keeps two cores busy: nobody is ever without a line."""
    async with (
        RedisServer() as redis,
        cluster([redis.url] * NODES, tmp_path) as nodes,
        load(nodes, 24, rooms=2) as visitors,
    ):
        visitors.start(publications=40.0, requests=40.0)
        await visitors.more(40)
        for number, node in enumerate(nodes.nodes):
            assert await node.terminate(15.0) == 0
            await visitors.more(40)
            await node.start()
            await nodes.ready(number)
            await visitors.more(220)  # longer than nginx leaves it out
        await visitors.judge(lossless=True, unknown_allowed=False)
        assert visitors.longest_absence == 0.0


async def test_a_node_is_frozen_for_longer_than_its_lease(tmp_path: Path) -> None:
    """It wakes up with requests half done, and may not go on with what others have taken over."""
    patient = {"presence_seconds": 25.0, "resume_seconds": 30.0}
    async with RedisServer() as redis, stage([redis.url] * NODES, tmp_path, **patient) as visitors:
        await visitors.abandon(LEAVERS)
        guest = await visitors.somebody_on(1)
        visitors.cluster.nodes[1].suspend()
        # Its node cannot be asked to end it.
        await visitors.cluster.disconnect(0, guest.session_id)
        guest.abandoned = True
        await asyncio.sleep(FROZEN_SECONDS)
        visitors.cluster.nodes[1].resume()
        await visitors.cluster.ready(1)
        await visitors.more(100, 60.0)
        await visitors.judge(lossless=True, unknown_allowed=True)
        assert guest.client.status == "closed"
