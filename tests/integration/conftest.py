"""What the tests of rooms in Redis begin with."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest_asyncio

from tests.integration.moving import Place
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
    async with AsyncExitStack() as stack:
        places = [Place(number, redis.url) for number in range(3)]
        for place in places:
            await stack.enter_async_context(place.open())
        yield places
