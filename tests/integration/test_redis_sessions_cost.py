"""What sessions cost Redis: docs/discussion/redis.md names these figures."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager

from msgspec import structs

from multitransport.brokers.base import LastWord
from multitransport.brokers.redis.connections.server import Server
from multitransport.core.session import SessionRecord
from multitransport.protocol.position import Position
from tests.redis_server import RedisServer
from tests.redis_stores import BRIEF, LATER, stores

QUIET = structs.replace(BRIEF, lease_seconds=60.0, session_seconds=3600.0, probe_seconds=30.0)
"""Nothing is renewed, refreshed or probed meanwhile."""


class Monitor:
    """Hears of every command that nodes send; those within scripts are none."""

    def __init__(self) -> None:
        self._heard: asyncio.Queue[str] = asyncio.Queue()

    def hear(self, message: bytes) -> None:
        told = message.decode(errors="replace")
        if " lua]" not in told:
            self._heard.put_nowait(told)

    async def count(self, redis: RedisServer, work: Awaitable[object]) -> int:
        """Return how many commands some work sends."""
        await self._until_told(redis, "before")
        await work
        return len(await self._until_told(redis, "after"))

    async def _until_told(self, redis: RedisServer, word: str) -> list[str]:
        await redis.call("ECHO", word)
        heard = []
        while f'"ECHO" "{word}"' not in (told := await self._heard.get()):
            if '"PING"' not in told and '"INFO"' not in told:  # each call over a connection of its own begins so
                heard.append(told)
        return heard


@asynccontextmanager
async def monitored(redis: RedisServer) -> AsyncIterator[Monitor]:
    monitor = Monitor()
    connection = await Server(redis.url, 2.0).connect()
    connection.pushed = monitor.hear
    await connection.request("MONITOR")
    try:
        yield monitor
    finally:
        connection.end("heard enough")


async def test_a_step_is_one_command_or_a_few() -> None:
    async with RedisServer() as redis, stores(redis.url, redis.url, timing=QUIET) as (one, other):
        async with monitored(redis) as monitor:
            found = {}
            for _ in range(2):  # the first time the scripts themselves are sent
                record = SessionRecord("s" * 22, "n" * 22, b"s" * 32, "ann", 0)
                session_id = record.session_id
                found = {
                    name: await monitor.count(redis, work)
                    for name, work in [
                        ("create", one.create(record, LATER)),
                        ("attach", one.attach(session_id, 1)),
                        ("join", one.join(session_id, "a", Position("e", 1))),
                        ("claim", one.claim(session_id, 1, [1, 2], 8)),
                        ("commit", one.commit(session_id, 1, b"one", 100)),
                        ("acknowledge", one.acknowledge(session_id, 1)),
                        ("detach", one.detach(session_id, 1, LATER)),
                        ("find", one.find(session_id)),
                        ("find elsewhere", other.find(session_id)),
                        ("attach elsewhere", other.attach(session_id, 2)),
                        ("finish", one.finish(session_id)),
                        ("settle", other.settle(session_id)),
                        ("end", other.end(session_id, LastWord(4500, ""), LATER)),
                        ("remove", other.remove(session_id)),
                        ("last word", other.last_word(session_id)),
                    ]
                }
        several = {name: count for name, count in found.items() if count > 1}
        assert several == {"create": 4, "attach elsewhere": 3, "settle": 2, "remove": 4}
        assert {name for name, count in found.items() if count == 0} == {"acknowledge", "find"}


async def test_bytes() -> None:
    async with RedisServer() as redis, stores(redis.url, timing=QUIET) as (one,):
        before = await _used(redis)
        last = ""
        for n in range(1000):
            made = await one.create(SessionRecord(f"s{n:021}", f"n{n:021}", b"s" * 32, f"user {n}", 0), LATER)
            await one.attach(made.session_id, 1, None, b"c" * 32)
            await one.claim(made.session_id, 1, [1], 64)
            await one.commit(made.session_id, 1, b'["ack",1]', 10_000)
            last = made.session_id
        assert (await _used(redis) - before) / 1000 < 2000
        keys = one._keys
        assert await redis.call("MEMORY", "USAGE", keys.session(last)) < 1200
        for room in range(10):
            await one.join(last, f"room/{room}", Position("epoch", 12345))
        assert await redis.call("MEMORY", "USAGE", keys.session(last)) < 1200 + 10 * 150


async def _used(redis: RedisServer) -> int:
    lines = (await redis.call("INFO", "memory")).decode().splitlines()
    return next(int(line.partition(":")[2]) for line in lines if line.startswith("used_memory:"))
