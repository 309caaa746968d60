"""What is in Redis that no node has written so, or that somebody has taken away."""

from __future__ import annotations

import pytest

from multitransport.errors import BrokerUnavailable
from multitransport.protocol.position import Position
from multitransport.testing.waiting import eventually
from tests.redis_nodes import KEEP, Node
from tests.redis_server import RedisServer


async def test_entries_of_something_else_are_passed_over(pair: list[Node], redis: RedisServer) -> None:
    position = await pair[0].say("a", b"1")
    await redis.call("XADD", "multitransport:log:{.a}", "2-0", "what", "ever")
    await redis.call("HSET", "multitransport:meta:{.a}", "o", "2")
    await pair[0].say("a", b"3")
    log = await pair[1].broker.subscribe("a", KEEP, Position(position.epoch, 0))
    assert (log.base, log.top, pair[1].broker.refused) == (2, 3, 1)
    assert not log.recover(Position(position.epoch, 0)).recovered


@pytest.mark.parametrize(("spoil", "left"), [("XDEL", [b"4", b"5"]), ("HSET", [])])
async def test_a_log_with_a_hole_is_read_from_behind_it(
    pair: list[Node], redis: RedisServer, spoil: str, left: list[bytes]
) -> None:
    for n in range(1, 6):
        await pair[0].say("a", b"%d" % n)
    if spoil == "XDEL":
        await redis.call("XDEL", "multitransport:log:{.a}", "3-0")
    else:
        await redis.call("HSET", "multitransport:meta:{.a}", "o", "8")
    witness = await pair[1].watch("a", history=10)
    assert witness.data == left
    position = await pair[0].say("a", b"6")
    await eventually(lambda: witness.position == position)
    assert witness.data == [*left, b"6"]


async def test_an_evicted_meta_key_ends_the_epoch(pair: list[Node], redis: RedisServer) -> None:
    former = await pair[0].say("a", b"1")
    await redis.call("DEL", "multitransport:meta:{.a}")
    position = await pair[0].say("a", b"2")
    assert (position.epoch != former.epoch, position.offset) == (True, 1)
    await pair[0].put("s", "k", b"1")
    await redis.call("DEL", "multitransport:state:{.s}")
    position = await pair[0].put("s", "k", b"2")
    assert position.offset == 1


async def test_an_error_of_redis_is_said(pair: list[Node], redis: RedisServer) -> None:
    await redis.call("SET", "multitransport:meta:{.a}", "not a hash")
    with pytest.raises(BrokerUnavailable, match="WRONGTYPE"):
        await pair[0].say("a", b"1")
    with pytest.raises(BrokerUnavailable, match="WRONGTYPE"):
        await pair[0].broker.subscribe("a", KEEP)
