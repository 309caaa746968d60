"""Two nodes behind an nginx, one of which is killed: in short what the tests under faults ask of three."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster import cluster
from tests.faults.nodes.load import load
from tests.redis_server import RedisServer


@pytest.mark.timeout(120)
async def test_a_killed_node_loses_nobody(tmp_path: Path) -> None:
    async with (
        RedisServer() as redis,
        cluster([redis.url] * 2, tmp_path) as nodes,
        load(nodes, 24, rooms=2) as visitors,
    ):
        visitors.start(publications=40.0, requests=40.0)
        await visitors.more(20)
        await nodes.nodes[0].kill()
        await visitors.more(40)
        await visitors.judge(lossless=True, unknown_allowed=True)
        assert visitors.longest_absence < 10.0
