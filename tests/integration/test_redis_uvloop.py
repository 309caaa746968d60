"""The broker on the event loop that `multitransport run` takes where it is installed."""

from __future__ import annotations

import uvloop

from multitransport.testing.waiting import eventually
from tests.redis_nodes import nodes
from tests.redis_server import RedisServer


async def talk() -> list[bytes]:
    async with RedisServer() as redis, nodes(redis.url, redis.url) as (one, other):
        heard = await other.watch("a")
        await one.say("a", b"1")
        await eventually(lambda: heard.data)
        return heard.data


def test_two_nodes_on_uvloop_hear_each_other() -> None:
    assert uvloop.run(talk()) == [b"1"]
