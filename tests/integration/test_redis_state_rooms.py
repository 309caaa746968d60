"""State rooms in Redis, between nodes."""

from __future__ import annotations

import asyncio

import pytest

from multitransport.brokers.redis import RedisBroker
from multitransport.core.log import Retention
from multitransport.core.publication import Draft
from multitransport.errors import RoomFull
from multitransport.node.hub import Hub
from multitransport.protocol.position import Position
from multitransport.testing.waiting import eventually
from tests.redis_nodes import FAST, KEEP, STATE, Node, Witness, values
from tests.redis_server import RedisServer


async def test_a_state_room_is_the_same_on_every_node(pair: list[Node]) -> None:
    live = (await pair[0].watch("s", STATE)).log
    for key, data in [("a", b"1"), ("b", b"2"), ("a", b"3"), ("c", b"4"), ("b", None)]:
        await pair[1].put("s", key, data)
    await eventually(lambda: live.top == 5)
    read = (await pair[1].watch("s", STATE)).log
    assert values(live) == values(read) == {"a": 3, "c": 4}
    assert live.position == read.position
    for log in (live, read):
        assert [each.draft.key for each in log.slice(3, 1 << 20).publications] == ["c", "b"]


async def test_a_state_room_is_read_whole_also_for_who_has_its_newest_value(pair: list[Node]) -> None:
    positions = [await pair[0].put("s", key, b"1") for key in "ab"]
    log = await pair[1].broker.subscribe("s", STATE, positions[-1])
    assert values(log) == {"a": 1, "b": 1}


async def test_who_has_no_place_in_the_log_gets_all_there_is(pair: list[Node]) -> None:
    last = [await pair[0].say("a", b"%d" % n) for n in range(5)][-1]
    log = await pair[1].broker.subscribe("a", KEEP, last)
    for lost in (Position(last.epoch, 9), Position("other", 2)):
        log = await pair[1].broker.subscribe("a", KEEP, lost)
        assert log.recover(lost) == (0, False, None)


async def test_a_hub_tells_its_readers_of_another_epoch(redis: RedisServer) -> None:
    broker = RedisBroker(redis.url, timing=FAST)
    hub = Hub(broker, asyncio.get_running_loop())
    await hub.start()
    log, recovery = await hub.open("a", KEEP, None, 0)
    witness = Witness(log, recovery.offset)
    hub.join(witness.reader, log, recovery.offset)
    await hub.publish("a", Draft("e", b"1"), KEEP)
    await eventually(lambda: witness.data == [b"1"])
    await redis.call("FLUSHALL")
    await hub.publish("a", Draft("e", b"2"), KEEP)
    await eventually(lambda: witness.data == [b"1", b"2"])
    assert [(gap.epoch, gap.offset) for gap in witness.gaps] == [(log.epoch, 0)]
    await hub.flash("a", Draft("v", b"3"))
    await eventually(lambda: witness.data[2:] == [b"3"])
    await hub.stop()


async def test_a_full_state_room_takes_no_other_key(pair: list[Node]) -> None:
    few = Retention(seconds=60.0, bytes=10_000, keys=2)
    await pair[0].put("s", "a", b"1", few)
    await pair[0].put("s", "b", b"1", few)
    with pytest.raises(RoomFull, match="2 keys"):
        await pair[1].put("s", "c", b"1", few)
    await pair[1].put("s", "b", b"2", few)
    await pair[1].put("s", "a", None, few)
    position = await pair[1].put("s", "c", b"1", few)
    log = (await pair[0].watch("s", few)).log
    assert (values(log), log.base, position.offset) == ({"b": 2, "c": 1}, 4, 5)


async def test_a_state_room_takes_no_more_bytes_than_it_may(pair: list[Node]) -> None:
    small = Retention(seconds=60.0, bytes=1000, keys=100)
    await pair[0].put("s", "a", b'"%s"' % (b"x" * 600), small)
    with pytest.raises(RoomFull, match="1000 bytes"):
        await pair[0].put("s", "b", b'"%s"' % (b"x" * 600), small)
    await pair[0].put("s", "a", b"1", small)
    assert (await pair[0].put("s", "b", b'"%s"' % (b"x" * 600), small)).offset == 3


async def test_what_a_state_room_forgets_early_it_forgets_everywhere(pair: list[Node]) -> None:
    few = Retention(seconds=60.0, bytes=10_000, keys=2)
    live = (await pair[0].watch("s", few)).log
    for key, data in [("a", b"1"), ("a", None), ("b", b"2"), ("c", b"3")]:
        await pair[1].put("s", key, data, few)
    await eventually(lambda: live.top == 4)
    assert (live.base, len(live)) == (2, 2)


async def test_a_deletion_is_forgotten_in_time(pair: list[Node]) -> None:
    brief = Retention(seconds=0.1, bytes=10_000, keys=10)
    await pair[0].put("s", "a", b"1", brief)
    await pair[0].put("s", "a", None, brief)
    await asyncio.sleep(0.15)
    await pair[0].put("s", "b", b"2", brief)
    log = (await pair[1].watch("s", brief)).log
    assert (log.base, log.top, len(log)) == (2, 3, 1)


async def test_a_state_room_needs_a_key(pair: list[Node]) -> None:
    with pytest.raises(ValueError, match="needs a key"):
        await pair[0].say("s", b"1", STATE)
