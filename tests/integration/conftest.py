"""What the tests of rooms in Redis begin with."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.integration.moving import Place, three_places
from tests.redis_nodes import Node, nodes
from tests.redis_server import RedisServer


@pytest_asyncio.fixture
async def redis() -> AsyncIterator[RedisServer]:
    async with RedisServer() as server:
        yield server


@pytest_asyncio.fixture
async def pair(redis: RedisServer) -> AsyncIterator[list[Node]]:
    async with nodes(redis.url, redis.url) as made:
        yield made


@pytest_asyncio.fixture
async def places(redis: RedisServer) -> AsyncIterator[list[Place]]:
    async with three_places(redis.url) as places:
        yield places
