from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio

from multitransport.brokers.base import Broker
from multitransport.brokers.redis import RedisBroker
from multitransport.testing.contracts import BrokerContract
from tests.redis_cluster import RedisCluster


@pytest.mark.faults
class TestRedisClusterBroker(BrokerContract):
    @pytest_asyncio.fixture(autouse=True)
    async def redis(self) -> AsyncIterator[None]:
        async with RedisCluster() as self.cluster:
            yield

    @asynccontextmanager
    async def open_broker(self) -> AsyncIterator[Broker]:
        yield RedisBroker(self.cluster.url)

    async def pass_time(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
