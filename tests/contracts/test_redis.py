from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest_asyncio

from multitransport.brokers.base import Broker
from multitransport.brokers.redis import RedisBroker
from multitransport.testing.contracts import BrokerContract
from tests.redis_server import RedisServer


class TestRedisBroker(BrokerContract):
    @pytest_asyncio.fixture(autouse=True)
    async def redis(self) -> AsyncIterator[None]:
        async with RedisServer() as self.server:
            yield

    @asynccontextmanager
    async def open_broker(self) -> AsyncIterator[Broker]:
        yield RedisBroker(self.server.url)

    async def pass_time(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
