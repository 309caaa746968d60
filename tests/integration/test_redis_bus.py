"""What nodes say to each other over a real Redis."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from multitransport.brokers.base import NodeUnreachable
from multitransport.brokers.redis import bus as bus_module
from multitransport.brokers.redis.envelopes import MAGIC, Ask, Seal, Tell
from multitransport.brokers.redis.keys import Keys
from multitransport.testing.proxy import FaultProxy
from multitransport.testing.server import free_port
from multitransport.testing.waiting import eventually
from tests.redis_buses import Member, members
from tests.redis_server import RedisServer


@pytest_asyncio.fixture
async def redis() -> AsyncIterator[RedisServer]:
    async with RedisServer() as server:
        yield server


@pytest_asyncio.fixture
async def three(redis: RedisServer) -> AsyncIterator[list[Member]]:
    async with members(redis.url, ["k"], ["k"], ["k"]) as made:
        yield made


async def test_each_is_answered_by_the_one_it_asked(three: list[Member]) -> None:
    pairs = [(one, other) for one in three for other in three for _ in range(20)]
    answers = await asyncio.gather(*(one.bus.ask(other.node, n, 5.0) for n, (one, other) in enumerate(pairs)))
    assert answers == [[other.node, n] for n, (_, other) in enumerate(pairs)]


async def test_data_of_json_and_bytes_comes_through(three: list[Member]) -> None:
    message = {"a": [1, -2.5, None, True, "ä\n"], "b": b"\x00\xff", "c": 2**53}
    for other in three:
        assert await three[0].bus.ask(other.node, message, 5.0) == [other.node, message]


async def test_what_is_told_arrives_once_also_at_oneself(three: list[Member]) -> None:
    for other in three:
        await asyncio.gather(other.broker.hears(), three[0].broker.hears())
        assert await three[0].bus.tell(other.node, "news") is True
        await eventually(partial(_heard, other, ["news"]))


def _heard(member: Member, messages: list[Any]) -> bool:
    return member.heard == messages


async def test_a_node_with_another_lease_is_the_same_node_on_the_bus(three: list[Member]) -> None:
    assert await three[0].bus.ask(f"{three[1].node}.7", 1, 5.0) == [three[1].node, 1]
    assert await three[0].bus.ask(f"{three[0].node}.7", 1, 5.0) == [three[0].node, 1]


async def test_a_node_that_is_gone_is_unreachable_at_once(three: list[Member]) -> None:
    await three[1].bus.ask(three[0].node, 1, 5.0)
    async with asyncio.timeout(5.0):
        with pytest.raises(NodeUnreachable, match="does not listen"):
            await three[1].bus.ask("nobody.1", 1, 60.0)
    assert await three[1].bus.tell("nobody.1", 1) is False


async def test_a_node_that_does_not_answer_is_unreachable_in_time(three: list[Member]) -> None:
    for other in three[:2]:
        other.go_on.clear()
        with pytest.raises(NodeUnreachable, match=r"did not answer within 0\.2 s"):
            await three[0].bus.ask(other.node, "ponder", 0.2)
        other.go_on.set()
    assert await three[0].bus.ask(three[1].node, 1, 5.0) == [three[1].node, 1], "late answers harm nobody"


async def test_a_handler_that_fails_is_logged_and_the_asker_hears_of_it(
    three: list[Member], caplog: pytest.LogCaptureFixture
) -> None:
    for other in three[:2]:
        caplog.clear()
        with pytest.raises(NodeUnreachable, match="failed"):
            await three[0].bus.ask(other.node, "fail", 60.0)
        assert "as it was told" in caplog.text
    with pytest.raises(NodeUnreachable, match="failed"):
        await three[0].bus.ask(three[1].node, "unspeakable", 60.0)


async def test_a_large_message_fits_and_one_that_is_too_large_is_refused(redis: RedisServer) -> None:
    async with members(redis.url, ["k"], ["k"], max_bytes=1 << 20) as (one, other):
        whole = "x" * ((1 << 20) - 200)
        assert await one.bus.ask(other.node, whole, 5.0) == [other.node, whole]
        for send in (one.bus.ask(other.node, "x" * (1 << 20), 5.0), one.bus.tell(other.node, "x" * (1 << 20))):
            with pytest.raises(ValueError, match="1048576 bytes at most"):
                await send
        with pytest.raises(NodeUnreachable, match="failed"):
            await one.bus.ask(other.node, ["long", 1 << 20], 60.0)


async def test_a_message_of_a_client_fits_whatever_it_holds(three: list[Member]) -> None:
    message = list(range(200_000))
    assert await three[0].bus.ask(three[1].node, message, 5.0) == [three[1].node, message]
    assert await three[0].bus.ask(three[1].node, b"x" * (5 << 20), 5.0) == [three[1].node, b"x" * (5 << 20)]


async def test_asks_that_wait_are_bounded(three: list[Member], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus_module, "MAX_ASKED", 3)
    three[1].go_on.clear()
    waiting = [asyncio.create_task(three[0].bus.ask(three[1].node, n, 5.0)) for n in range(3)]
    await eventually(lambda: len(three[1].heard) == 3)
    with pytest.raises(NodeUnreachable, match="3 asks wait"):
        await three[0].bus.ask(three[1].node, 3, 5.0)
    three[1].go_on.set()
    assert await asyncio.gather(*waiting) == [[three[1].node, n] for n in range(3)]


async def test_what_waits_for_redis_is_bounded(redis: RedisServer) -> None:
    async with members(redis.url, ["k"], ["k"]) as (one, other):
        assert await one.bus.ask(other.node, 1, 5.0) == [other.node, 1]
        one.broker.timing = msgspec.structs.replace(one.broker.timing, max_waiting_bytes=1000)
        redis.suspend()
        waiting = asyncio.create_task(one.bus.ask(other.node, "x" * 700, 5.0))
        await asyncio.wait([waiting], timeout=0.05)
        with pytest.raises(NodeUnreachable, match="bytes of messages between nodes wait for Redis"):
            await one.bus.ask(other.node, "x" * 700, 5.0)
        redis.resume()
        assert await waiting == [other.node, "x" * 700]
        assert await one.bus.ask(other.node, "x" * 700, 5.0) == [other.node, "x" * 700]


async def test_what_is_handled_at_a_time_is_bounded(
    three: list[Member], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(bus_module, "MAX_HANDLED", 2)
    three[1].go_on.clear()
    waiting = [asyncio.create_task(three[0].bus.ask(three[1].node, n, 5.0)) for n in range(2)]
    await eventually(lambda: len(three[1].heard) == 2)
    with pytest.raises(NodeUnreachable, match="did not answer"):
        await three[0].bus.ask(three[1].node, 2, 0.2)
    assert "is dropped" in caplog.text
    three[1].go_on.set()
    await asyncio.gather(*waiting)
    assert await three[0].bus.ask(three[1].node, 3, 5.0) == [three[1].node, 3]


async def test_stopping_ends_what_is_handled_and_what_is_asked(three: list[Member]) -> None:
    three[1].go_on.clear()
    asked = asyncio.create_task(three[1].bus.ask(three[1].node, "own", 60.0))
    other = asyncio.create_task(three[0].bus.ask(three[1].node, "other", 60.0))
    await eventually(lambda: len(three[1].heard) == 2)
    await three[1].bus.stop()
    assert sorted(three[1].cancelled) == ["other", "own"]
    with pytest.raises(NodeUnreachable, match="stopped"):
        await asked
    await three[0].bus.stop()
    with pytest.raises(NodeUnreachable, match="stopped"):
        await other


async def test_a_node_whose_bus_was_stopped_is_not_answered_by_itself(three: list[Member]) -> None:
    await three[0].bus.stop()
    async with asyncio.timeout(5):
        with pytest.raises(NodeUnreachable):
            await three[0].bus.ask(three[0].node, "anyone?", 60.0)


# What is not ours


async def test_what_another_key_signed_is_refused_and_counted(
    redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with members(redis.url, ["k"], ["another"]) as (one, other):
        with pytest.raises(NodeUnreachable):
            await other.bus.ask(one.node, "steal", 0.3)
        assert one.heard == []
        assert one.bus.refused == 1
        assert "secret keys" in caplog.text


async def test_keys_are_rotated_without_a_break(redis: RedisServer) -> None:
    async with members(redis.url, ["old"], ["old", "new"], ["old", "new"]) as (before, one, other):
        assert await one.bus.ask(other.node, 1, 5.0) == [other.node, 1]
        with pytest.raises(NodeUnreachable):
            await one.bus.ask(before.node, 1, 0.2)  # it signs with a key that this one does not have yet
        async with members(redis.url, ["new", "old"]) as (half,):
            assert await half.bus.ask(one.node, 2, 5.0) == [one.node, 2]
            assert await half.bus.ask(before.node, 2, 5.0) == [before.node, 2]


async def test_whatever_comes_on_the_channel_is_refused_unless_it_is_ours(
    three: list[Member], redis: RedisServer
) -> None:
    one, other, _ = three
    await one.broker.hears()
    channel = one.broker.own_channel
    seal = Seal(["k"])
    good = seal.close(channel, Tell(1, "n", "good"))
    bad = [
        b"",
        MAGIC,
        b"bus2" + good[4:],
        good[:-1],
        good[:8] + b"x" + good[9:],
        seal.close(other.broker.own_channel, Tell(1, "n", "of another node")),
        Seal(["x"]).close(channel, Tell(1, "n", "of another key")),
        seal.close(channel, Ask(1, "a node:{.with}", "braces")),
        b"\x80",
    ]
    for message in bad:
        assert await redis.call("PUBLISH", channel, message) == 1
    await redis.call("PUBLISH", channel, good)
    await eventually(lambda: one.heard == ["good"])
    assert one.bus.refused == len(bad)


async def test_what_is_repeated_is_handled_once(three: list[Member], redis: RedisServer) -> None:
    one = three[0]
    await one.broker.hears()
    channel, seal = one.broker.own_channel, Seal(["k"])
    for message_id in (1, 2, 1, 4, 3, 4, 2, 3):
        await redis.call("PUBLISH", channel, seal.close(channel, Tell(message_id, "n", message_id)))
    await redis.call("PUBLISH", channel, seal.close(channel, Tell(1, "another", "end")))
    await eventually(lambda: "end" in one.heard)
    assert one.heard == [1, 2, 4, 3, "end"]


async def test_another_deployment_and_another_database_hear_nothing(redis: RedisServer) -> None:
    async with (
        members(redis.url, ["k"]) as (one,),
        members(redis.url, ["k"], prefix="b") as (other,),
        members(redis.url.replace("/0", "/1"), ["k"]) as (third,),
    ):
        for foreign in (other, third):
            with pytest.raises(NodeUnreachable, match="does not listen"):
                await one.bus.ask(foreign.node, 1, 5.0)
    assert Keys("a", 0).node_channel("n") != Keys("a", 1).node_channel("n")


# While Redis is away


async def test_what_is_asked_before_redis_is_there_is_answered_when_it_is() -> None:
    server = RedisServer()
    async with members(server.url, ["k"], ["k"]) as (one, other):
        with pytest.raises(NodeUnreachable, match=r"within 0\.2 s: .*127\.0\.0\.1"):
            await one.bus.ask(other.node, 1, 0.2)
        async with server:
            await asyncio.gather(one.broker.hears(), other.broker.hears())
            assert await one.bus.ask(other.node, 2, 5.0) == [other.node, 2]


async def test_a_node_whose_subscription_was_cut_is_not_taken_for_gone(three: list[Member], redis: RedisServer) -> None:
    one, other, _ = three
    for n in range(10):
        await asyncio.gather(one.broker.hears(), other.broker.hears())
        await redis.call("CLIENT", "KILL", "TYPE", "pubsub")
        assert await one.bus.ask(other.node, n, 5.0) == [other.node, n]


@pytest.mark.parametrize("arrived", [False, True])
async def test_an_ask_whose_connection_was_cut_is_said_again_and_handled_once(
    redis: RedisServer, arrived: bool
) -> None:
    async with (
        FaultProxy(redis.url) as proxy,
        members(redis.url, ["k"]) as (other,),
        members(f"redis://127.0.0.1:{proxy.port}", ["k"]) as (one,),
    ):
        await asyncio.gather(one.broker.hears(), other.broker.hears())
        other.go_on.clear()
        proxy.latency_seconds, sent = 0.1 if arrived else 2.0, proxy.bytes_up
        asked = asyncio.create_task(one.bus.ask(other.node, "once", 5.0))
        if arrived:
            await eventually(lambda: other.heard == ["once"])  # and Redis has not said so yet
        else:
            await asyncio.wait([asked], timeout=0.05)
            assert proxy.bytes_up == sent
        proxy.cut()
        proxy.latency_seconds = 0.0
        await one.broker.hears()
        other.go_on.set()
        assert await asked == [other.node, "once"]
        assert other.heard == ["once"]


async def test_a_bus_without_redis_raises_and_forgets(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        async with members(f"redis://127.0.0.1:{free_port()}", ["k"]) as (one,):
            one.broker.timing = msgspec.structs.replace(one.broker.timing, publish_seconds=0.2)
            assert await one.bus.tell("nobody", 1) is True, "who knows"
    assert "was not told" in caplog.text
