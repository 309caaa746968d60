"""What publishing says while Redis is away, and what is left in Redis when everybody has gone."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable
from pathlib import Path

import pytest

from multitransport.errors import BrokerUnavailable
from multitransport.testing.waiting import eventually
from tests.faults.nodes.load import stage
from tests.redis_server import RedisServer

pytestmark = [pytest.mark.faults, pytest.mark.alone]

NODES = 3
PUBLISH_SECONDS = 5.0
"""How long a publication is tried."""

HOUR = 3_600_000
MOST_MILLISECONDS = {
    "meta": HOUR + 301_000,
    "log": 301_000,
    "once": 301_000,
    "state": 24 * HOUR,
    "deletions": 24 * HOUR,
    "declared": 7 * 24 * HOUR,
    "registry": HOUR,
    "dead": HOUR,
    "word": 16_000,
}
"""What may be there when all sessions are over, and for how long yet: what is of rooms, and that there were nodes."""


async def test_publishing_while_redis_is_away_fails_in_time_and_a_retry_appears_once(tmp_path: Path) -> None:
    patient = {"lease_seconds": 12.0, "presence_seconds": 25.0, "resume_seconds": 30.0}
    async with RedisServer(keep=True) as redis, stage([redis.url] * NODES, tmp_path, **patient) as visitors:
        room, loop = visitors.rooms[0], asyncio.get_running_loop()
        await redis.kill()
        started = loop.time()
        with pytest.raises(BrokerUnavailable):
            await visitors.cluster.publish(0, room, {"serial": "away", "at": 0.0}, id="away")
        assert loop.time() - started < PUBLISH_SECONDS + 2
        # One of these is under way while Redis comes back, and all of them say the same.
        retries = [asyncio.create_task(visitors.publish(room, n, "away", id="away")) for n in range(NODES)]
        await redis.start()
        assert any(await asyncio.gather(*retries))
        await eventually(lambda: visitors.publish(room, 0, "away", id="away"), 20.0)
        await visitors.cluster.ready()
        await visitors.more(60)
        await visitors.judge(lossless=True, unknown_allowed=False)


async def test_no_key_outlives_what_it_is_of(tmp_path: Path) -> None:
    async with RedisServer() as redis, stage([redis.url] * NODES, tmp_path) as visitors:
        await visitors.abandon(9)
        await visitors.judge(lossless=True, unknown_allowed=False)
        for key, left in (await redis.keys()).items():
            assert left > 0, f"{key} is kept for ever"
        sessions = {visitor.session_id for visitor in visitors.visitors}
        await asyncio.gather(*(visitor.close() for visitor in visitors.everybody))
        await eventually(lambda: sessions <= {note["session"] for note in visitors.cluster.noted("ended")}, 40.0)
        ended = [note["session"] for note in visitors.cluster.noted("ended")]
        assert len(ended) == len(set(ended)), "an end was called back twice"
        await visitors.cluster.stop()

        async def others() -> dict[str, int]:
            return {key: left for key, left in (await redis.keys()).items() if kind_of(key) not in MOST_MILLISECONDS}

        with contextlib.suppress(AssertionError):
            await eventually(lambda: _is_empty(others()), 30.0)
        assert not await others()
        states = {key.split("{")[1] for key in await redis.keys() if kind_of(key) == "state"}
        for key, left in (await redis.keys()).items():
            kind = "state" if key.split("{")[1] in states else kind_of(key)
            assert 0 < left <= MOST_MILLISECONDS[kind], (key, left)


def kind_of(key: str) -> str:
    return key.split(":")[1]


async def _is_empty(found: Awaitable[dict[str, int]]) -> bool:
    return not await found
