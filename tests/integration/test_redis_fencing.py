"""What a node publishes counts only while its lease lasts, by the clock of Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import pytest
import pytest_asyncio

from multitransport.brokers.redis import RedisBroker
from multitransport.brokers.redis.keys import Keys
from multitransport.core.publication import Draft
from multitransport.errors import BrokerUnavailable
from multitransport.testing.proxy import FaultProxy
from multitransport.testing.waiting import eventually
from tests.redis_nodes import FAST, KEEP, STATE, Node
from tests.redis_server import RedisServer


class Leased(Node):
    """A node whose lease ends when it is told to. 0: it has none."""

    until = 0

    def __init__(self, broker: RedisBroker) -> None:
        super().__init__(broker)
        broker.until = self._ends

    def _ends(self) -> int:
        return self.until


async def redis_ms(redis: RedisServer) -> int:
    seconds, micros = await redis.call("TIME")
    return int(seconds) * 1000 + int(micros) // 1000


@pytest_asyncio.fixture
async def redis() -> AsyncIterator[RedisServer]:
    async with RedisServer() as server:
        yield server


@pytest_asyncio.fixture
async def node(redis: RedisServer) -> AsyncIterator[Leased]:
    made = Leased(RedisBroker(redis.url, timing=FAST))
    await made.broker.start(made.advanced, made.noticed)
    yield made
    await made.broker.stop()


async def publish(node: Leased, kind: str, n: int) -> int:
    if kind == "log":
        return (await node.say("a", b"%d" % n, KEEP)).offset
    return (await node.put("b", str(n), b"%d" % n, STATE)).offset


KINDS = pytest.mark.parametrize("kind", ["log", "state"])


@KINDS
async def test_a_lease_that_lasts_and_none_at_all_are_as_good(node: Leased, redis: RedisServer, kind: str) -> None:
    assert await publish(node, kind, 1) == 1
    node.until = await redis_ms(redis) + 60_000
    assert await publish(node, kind, 2) == 2


@KINDS
async def test_what_is_published_after_the_lease_is_not_taken(node: Leased, redis: RedisServer, kind: str) -> None:
    node.until = await redis_ms(redis) - 1
    with pytest.raises(BrokerUnavailable, match="lease of this node is over"):
        await publish(node, kind, 1)
    assert await redis.keys() == {}, "what is refused creates nothing"


@KINDS
async def test_what_waits_for_a_renewed_lease_is_taken_then_once(node: Leased, redis: RedisServer, kind: str) -> None:
    await publish(node, kind, 1)
    node.until = await redis_ms(redis) - 1
    waiting = [asyncio.create_task(publish(node, kind, n)) for n in range(2, 5)]
    done, _ = await asyncio.wait(waiting, timeout=0.2)
    assert not done
    node.until = await redis_ms(redis) + 60_000
    assert await asyncio.gather(*waiting) == [2, 3, 4]


async def test_what_no_log_keeps_is_not_announced_after_the_lease(node: Leased, redis: RedisServer) -> None:
    await node.watch("a")
    node.until = await redis_ms(redis) - 1
    with pytest.raises(BrokerUnavailable, match="lease of this node is over"):
        await node.broker.flash("a", Draft("v", b"1"))
    node.until = await redis_ms(redis) + 60_000
    await node.broker.flash("a", Draft("v", b"2"))
    await eventually(lambda: node.flashed == [("a", b"2")])


async def test_who_gave_up_meanwhile_is_not_published_after_all(node: Leased, redis: RedisServer) -> None:
    node.until = await redis_ms(redis) - 1
    waiting = asyncio.create_task(node.say("a", b"1"))
    await asyncio.wait([waiting], timeout=0.1)
    waiting.cancel()
    await asyncio.wait([waiting])
    node.until = 0
    assert (await node.say("a", b"2")).offset == 1


async def test_a_repeat_of_what_was_taken_before_the_lease_ended_has_its_answer(redis: RedisServer) -> None:
    async with FaultProxy(redis.url) as proxy:
        node = Leased(RedisBroker(f"redis://127.0.0.1:{proxy.port}", timing=FAST))
        await node.broker.start(node.advanced, node.noticed)
        try:
            assert await publish(node, "log", 1) == 1
            node.until = await redis_ms(redis) + 60_000
            proxy.latency_seconds = 0.15
            waiting = asyncio.create_task(publish(node, "log", 2))
            await eventually(partial(_length, redis, 2))
            proxy.cut()
            node.until = 1
            proxy.latency_seconds = 0.0
            assert await waiting == 2
            assert await _length(redis, 2)
        finally:
            await node.broker.stop()


async def _length(redis: RedisServer, count: int) -> bool:
    return bool(await redis.call("XLEN", Keys("multitransport", 0).log("a")) == count)
