from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest_asyncio

from multitransport.brokers.base import SessionStore
from multitransport.brokers.redis import RedisBroker
from multitransport.brokers.redis.sessions import RedisSessionStore
from multitransport.testing.contracts import SessionStoreContract
from tests.redis_server import RedisServer


class TestRedisSessionStore(SessionStoreContract):
    @pytest_asyncio.fixture(autouse=True)
    async def redis(self) -> AsyncIterator[None]:
        async with RedisServer() as self.server:
            yield

    @asynccontextmanager
    async def open_store(self) -> AsyncIterator[SessionStore]:
        broker = RedisBroker(self.server.url)
        await broker.start(lambda room: None, lambda room, draft: None)
        yield RedisSessionStore(broker, ["secret"])
        await broker.stop()

    async def pass_time(self, seconds: float) -> None:
        # A node's idea of the time of Redis may be late by as much as an answer takes.
        await asyncio.sleep(seconds + 0.05)
