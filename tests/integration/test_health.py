"""What a node says of itself to those who decide whether it gets requests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from quart import Quart

from multitransport import MultiTransport
from multitransport.quart.serving import drain_all
from multitransport.testing.proxy import FaultProxy
from multitransport.testing.server import serve
from multitransport.testing.waiting import eventually
from tests.redis_server import RedisServer

READY = (200, {"status": "ready"})
AWAY = (503, {"status": "unavailable", "reason": "Redis is away"})


class Health:
    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def now(self) -> tuple[int, Any]:
        answer = await self._client.get("/realtime/health")
        assert answer.headers["cache-control"] == "no-store"
        return answer.status_code, answer.json()

    async def becomes(self, told: tuple[int, Any], within_seconds: float = 5.0) -> None:
        async def is_so() -> bool:
            return await self.now() == told

        await eventually(is_so, within_seconds)


@asynccontextmanager
async def application(broker: str = "memory") -> AsyncIterator[Health]:
    app = Quart(__name__)
    app.secret_key = "a secret of the tests"
    MultiTransport(app, broker=broker, drain_seconds=0.2)
    async with serve(app) as url, httpx.AsyncClient(base_url=url) as client:
        yield Health(client)


async def test_a_node_alone_is_ready_until_it_drains() -> None:
    async with application() as health:
        assert await health.now() == READY
        await drain_all()
        assert await health.now() == (503, {"status": "draining"})


async def test_it_is_not_ready_before_redis_is_there_and_names_no_host() -> None:
    redis = RedisServer()
    async with application(redis.url) as health:
        await health.becomes(AWAY)
        async with redis:
            await health.becomes(READY)


async def test_it_is_not_ready_while_redis_is_gone() -> None:
    async with RedisServer() as redis, application(redis.url) as health:
        await health.becomes(READY)
        await redis.kill()
        await health.becomes(AWAY, 5.0)
        await redis.start()
        await health.becomes(READY)


async def test_it_is_not_ready_where_what_is_announced_cannot_be_heard() -> None:
    async with RedisServer() as redis, application(redis.url) as health:
        await health.becomes(READY)
        await redis.call("ACL", "SETUSER", "default", "-subscribe")
        await redis.call("CLIENT", "KILL", "TYPE", "pubsub")
        await health.becomes((503, {"status": "unavailable", "reason": "Redis will not let this node subscribe"}))
        await redis.call("ACL", "SETUSER", "default", "+subscribe")
        await health.becomes(READY)


@pytest.mark.faults
async def test_it_is_not_ready_while_redis_is_silent() -> None:
    async with RedisServer() as redis, application(redis.url) as health:
        await health.becomes(READY)
        redis.suspend()
        try:
            await health.becomes(AWAY, 5.0)
        finally:
            redis.resume()
        await health.becomes(READY)


@pytest.mark.faults
async def test_a_half_open_link_is_noticed_and_made_anew() -> None:
    async with (
        RedisServer() as redis,
        FaultProxy(redis.url) as proxy,
        application(f"redis://127.0.0.1:{proxy.port}") as health,
    ):
        await health.becomes(READY)
        proxy.black_hole = True
        await health.becomes(AWAY, 5.0)
        proxy.black_hole = False
        await health.becomes(READY)
