from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio

from multitransport.brokers.base import SessionStore
from multitransport.brokers.redis import RedisBroker
from multitransport.brokers.redis.sessions.store import RedisSessionStore
from multitransport.testing.contracts import SessionStoreContract
from tests.redis_cluster import RedisCluster
from tests.redis_server import RedisServer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def redis() -> AsyncIterator[str]:
    async with RedisServer() as server:
        yield server.url


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster() -> AsyncIterator[str]:
    async with RedisCluster() as servers:
        yield servers.url


class _RedisContract(SessionStoreContract):
    url: str

    @asynccontextmanager
    async def open_store(self) -> AsyncIterator[SessionStore]:
        broker = RedisBroker(self.url, prefix=secrets.token_hex(8))
        await broker.start(lambda room: None, lambda room, draft: None)
        yield RedisSessionStore(broker, ["secret"])
        await broker.stop()

    async def pass_time(self, seconds: float) -> None:
        # What a node takes for the time of Redis may be late by as much as an answer takes.
        await asyncio.sleep(seconds + 0.05)


class TestRedisSessionStore(_RedisContract):
    @pytest.fixture(autouse=True)
    def at(self, redis: str) -> None:
        self.url = redis


@pytest.mark.faults
class TestRedisClusterSessionStore(_RedisContract):
    @pytest.fixture(autouse=True)
    def at(self, cluster: str) -> None:
        self.url = cluster
