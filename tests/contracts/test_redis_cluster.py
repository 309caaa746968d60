from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio

from multitransport.brokers.base import Broker
from multitransport.brokers.redis import RedisBroker
from multitransport.testing.contracts import BrokerContract
from tests.redis_cluster import RedisCluster


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def url() -> AsyncIterator[str]:
    """One cluster for all of these tests: it takes seconds until it is one."""
    async with RedisCluster() as cluster:
        yield cluster.url


@pytest.mark.faults
class TestRedisClusterBroker(BrokerContract):
    @pytest.fixture(autouse=True)
    def redis(self, url: str) -> None:
        self.url = url

    @asynccontextmanager
    async def open_broker(self) -> AsyncIterator[Broker]:
        yield RedisBroker(self.url, prefix=secrets.token_hex(4))

    async def pass_time(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
