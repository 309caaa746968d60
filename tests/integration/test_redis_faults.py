"""Rooms in Redis while it, or the way to it, breaks: nothing is lost in silence, nothing is read twice."""

from __future__ import annotations

import asyncio

import pytest

from multitransport.brokers.redis.connections.subscription import Subscription
from multitransport.core.publication import Draft
from multitransport.errors import BrokerUnavailable
from multitransport.protocol.position import Position
from multitransport.testing.proxy import FaultProxy
from multitransport.testing.waiting import eventually
from tests.redis_nodes import KEEP, STATE, Node, Talk, Witness, nodes, talk, values
from tests.redis_server import RedisServer


async def all_read(witness: Witness, talked: Talk) -> None:
    """Everything confirmed was read once, and nobody was told of a loss."""
    last = max(position.offset for position in talked.taken.values())
    await eventually(lambda: witness.position.offset >= last)
    assert not witness.gaps
    assert not witness.holes
    assert len(set(witness.data)) == len(witness.data)
    assert set(talked.taken) <= set(witness.data)
    assert set(witness.data) <= set(talked.taken) | set(talked.failed)


async def ready(*members: Node) -> None:
    await eventually(lambda: all(node.broker.fault is None for node in members), 10.0)


async def test_without_a_fault() -> None:
    async with RedisServer() as redis, nodes(redis.url, redis.url) as pair:
        witnesses = [await node.watch("a") for node in pair]
        async with talk(pair) as talked:
            await talked.more(300)
        for witness in witnesses:
            await all_read(witness, talked)
        await ready(*pair)
        assert talked.failed == []


@pytest.mark.parametrize("kind", ["pubsub", "normal"])
async def test_killed_connections(kind: str) -> None:
    async with RedisServer() as redis, nodes(redis.url, redis.url) as pair:
        witnesses = [await node.watch("a") for node in pair]
        async with talk(pair) as talked:
            for _ in range(5):
                await talked.more(40)
                await redis.call("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
            await talked.more(40)
        for witness in witnesses:
            await all_read(witness, talked)
        assert talked.failed == []


async def test_redis_is_killed_and_keeps_its_log() -> None:
    async with RedisServer(keep=True) as redis, nodes(redis.url, redis.url) as pair:
        witnesses = [await node.watch("a") for node in pair]
        state = await pair[0].watch("s", STATE)
        async with talk(pair) as talked:
            for n in range(3):
                await talked.more(40)
                await pair[1].put("s", "k", b"%d" % n)
                await eventually(lambda: values(state.log) == {"k": n})  # noqa: B023
                await redis.kill()
                await eventually(lambda: all(node.broker.fault for node in pair))
                await redis.start()
                await ready(*pair)
            await talked.more(40)
        for witness in witnesses:
            await all_read(witness, talked)
        await pair[1].put("s", "k", b"9")
        await eventually(lambda: values(state.log) == {"k": 9})
        assert state.gaps == []


async def test_redis_is_killed_and_loses_all() -> None:
    async with RedisServer() as redis, nodes(redis.url, redis.url) as pair:
        witnesses = [await node.watch("a") for node in pair]
        state = await pair[0].watch("s", STATE)
        await pair[1].put("s", "k", b"1")
        async with talk(pair) as talked:
            await talked.more(40)
            await redis.kill()
            await redis.start()
            await talked.more(40)
        await told_once(witnesses, talked)
        await eventually(lambda: len(state.gaps) == 1 and values(state.log) == {})


async def told_once(witnesses: list[Witness], talked: Talk) -> None:
    """Everybody was told of one loss, and reads all that was said since."""
    [epoch] = {position.epoch for position in list(talked.taken.values())[-20:]}
    after = {data for data, position in talked.taken.items() if position.epoch == epoch}
    for witness in witnesses:
        await eventually(lambda: after <= set(witness.data))  # noqa: B023
        assert [gap.epoch for gap in witness.gaps] == [epoch]
        assert witness.holes == []
        # What Redis announced, lost and was given again, is again in another epoch.
        assert len({(epoch, data) for epoch, _, data in witness.read}) == len(witness.read)


async def test_redis_loses_its_last_entries() -> None:
    async with RedisServer(keep=True) as redis, nodes(redis.url, redis.url) as pair:
        witnesses = [await node.watch("a") for node in pair]
        async with talk(pair[:1]) as talked:
            await talked.more(20)
            saved = redis.saved()
            await talked.more(20)
            await redis.kill()
            redis.restore(saved)
            await redis.start()
            await talked.more(40)
        await told_once(witnesses, talked)
        lost = set(talked.taken) - set(witnesses[0].data)
        assert not lost, "what the nodes had is not lost to their readers"


async def test_redis_loses_its_last_entries_and_nobody_publishes() -> None:
    async with RedisServer(keep=True) as redis, nodes(redis.url) as [node]:
        witness = await node.watch("a")
        state = await node.watch("s", STATE)
        await node.say("a", b"1")
        await node.put("s", "k", b"1")
        saved = redis.saved()
        former = await node.say("a", b"2")
        await node.put("s", "k", b"2")
        await eventually(lambda: (witness.data, values(state.log)) == ([b"1", b"2"], {"k": 2}))
        await redis.kill()
        redis.restore(saved)
        await redis.start()
        await eventually(lambda: len(witness.gaps) == len(state.gaps) == 1)
        assert witness.log.epoch != former.epoch
        assert values(state.log) == {"k": 1}
        position = await node.say("a", b"2'")
        assert position == Position(witness.log.epoch, 2)


@pytest.mark.parametrize("publishes", [False, True])
@pytest.mark.parametrize("loses", [False, True])
async def test_whoever_was_away_while_redis_began_anew_and_no_node_followed_the_room(
    loses: bool, publishes: bool
) -> None:
    """Nobody can tell whether its offset still means the same: it does not count as such."""
    async with RedisServer(keep=True) as redis, nodes(redis.url) as [node]:
        await node.say("a", b"1")
        saved = redis.saved()
        former = await node.say("a", b"2")
        await redis.kill()
        if loses:
            redis.restore(saved)
        await redis.start()
        if publishes:
            position = await node.say("a", b"2'")
            assert position.epoch != former.epoch
        log = await node.broker.subscribe("a", KEEP, former)
        assert not log.recover(former).recovered
        position = await node.say("a", b"4")
        assert (await node.broker.subscribe("a", KEEP, position)).recover(position).recovered


async def test_a_node_that_knows_the_room_vouches_for_it_to_others() -> None:
    async with RedisServer(keep=True) as redis, nodes(redis.url, redis.url) as (one, other):
        witness = await one.watch("a")
        position = [await one.say("a", b"%d" % n) for n in range(3)][1]
        await eventually(lambda: len(witness.data) == 3)
        await redis.kill()
        await redis.start()
        late = await other.watch("a", after=position)
        await eventually(lambda: late.data == [b"2"])
        assert (late.gaps, witness.gaps) == ([], [])


async def test_flushall() -> None:
    async with RedisServer() as redis, nodes(redis.url, redis.url) as pair:
        witnesses = [await node.watch("a") for node in pair]
        async with talk(pair) as talked:
            await talked.more(40)
            await redis.call("FLUSHALL")
            await talked.more(40)
        await told_once(witnesses, talked)


async def test_flushall_in_silence_is_noticed_too() -> None:
    async with RedisServer() as redis, nodes(redis.url) as [node]:
        witness = await node.watch("a")
        await node.say("a", b"1")
        await eventually(lambda: witness.data == [b"1"])
        await redis.call("FLUSHALL")
        await eventually(lambda: len(witness.gaps) == 1)


async def test_a_half_open_link() -> None:
    async with (
        RedisServer() as redis,
        FaultProxy(redis.url) as proxy,
        nodes(f"redis://127.0.0.1:{proxy.port}", redis.url) as (one, other),
    ):
        witness = await one.watch("a")
        async with talk([other]) as talked:
            await talked.more(20)
            proxy.black_hole = True
            await eventually(lambda: one.broker.fault, 10.0)
            with pytest.raises(BrokerUnavailable):
                await one.say("a", b'"never"')
            await talked.more(20)
            proxy.black_hole = False
            await ready(one)
            await talked.more(20)
        await all_read(witness, talked)


async def test_a_last_message_that_was_never_heard_is_found() -> None:
    """Redis announces to nobody for a while, and says so to nobody."""
    async with RedisServer() as redis, nodes(redis.url) as [node]:
        witness = await node.watch("a")
        position = await node.say("a", b"1")
        await eventually(lambda: witness.data == [b"1"])
        connections = node.broker._subscription.connections
        subscription = node.broker._subscription
        assert isinstance(subscription, Subscription)
        assert subscription._connection is not None
        # What a proxy, or a detached replica, does: the connection answers, and nothing is announced on it.
        subscription._connection.send("UNSUBSCRIBE", "multitransport:0:room:{.a}")
        await eventually(lambda: _nobody_listens(redis))
        await node.say("a", b"2")
        await eventually(lambda: witness.data == [b"1", b"2"])
        await eventually(lambda: subscription.connections > connections)
        await node.say("a", b"3")
        await eventually(lambda: witness.data == [b"1", b"2", b"3"], 0.4)
        assert (witness.gaps, witness.log.epoch) == ([], position.epoch)


async def _nobody_listens(redis: RedisServer) -> bool:
    return not await redis.call("PUBSUB", "CHANNELS", "*:room:*")


async def test_one_huge_publication() -> None:
    async with RedisServer() as redis:
        await redis.call("CONFIG", "SET", "client-output-buffer-limit", "pubsub 1mb 1mb 1")
        async with nodes(redis.url, redis.url) as pair:
            witnesses = [await node.watch("a") for node in pair]
            async with talk(pair) as talked:
                await talked.more(20)
                huge = b'"%s"' % (b"x" * (8 << 20))
                talked.taken[huge] = await pair[0].say("a", huge)
                await talked.more(20)
            for witness in witnesses:
                await all_read(witness, talked)
            assert all(node.broker._subscription.connections > 1 for node in pair)


async def test_publishing_while_redis_is_away_fails_in_time_and_the_rest_is_taken_once() -> None:
    async with RedisServer(keep=True) as redis, nodes(redis.url) as [node]:
        witness = await node.watch("a")
        await node.say("a", b"0")
        await redis.kill()
        started = asyncio.get_running_loop().time()
        with pytest.raises(BrokerUnavailable, match="did not confirm"):
            await node.say("a", b'"lost"')
        assert 1.5 < asyncio.get_running_loop().time() - started < 6.0
        saying = asyncio.create_task(node.say("a", b"1"))
        await asyncio.sleep(0.3)
        await redis.start()
        await saying
        await eventually(lambda: witness.data == [b"0", b"1"])


async def test_what_waits_for_redis_is_bounded() -> None:
    async with RedisServer() as redis, nodes(redis.url) as [node]:
        await redis.kill()
        big = b'"%s"' % (b"x" * (6 << 20))
        waiting = [asyncio.create_task(node.say("a", big)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(BrokerUnavailable, match="wait for Redis already"):
            await node.say("a", big)
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert all(isinstance(result, BrokerUnavailable) for result in results)


async def test_volatile_publications_fail_while_redis_is_away_and_never_pile_up() -> None:
    async with RedisServer() as redis, nodes(redis.url) as [node]:
        await ready(node)
        redis.suspend()
        big = Draft("v", b'"%s"' % (b"x" * (6 << 20)))
        waiting = [asyncio.create_task(node.broker.flash("a", big)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(BrokerUnavailable, match="wait for Redis already"):
            await node.broker.flash("a", big)
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert all(isinstance(result, BrokerUnavailable) for result in results)
        with pytest.raises(BrokerUnavailable):
            await node.broker.flash("a", Draft("v", b"1"))
        redis.resume()
        await ready(node)
        await node.broker.flash("a", Draft("v", b"1"))


async def test_a_frozen_redis() -> None:
    async with RedisServer() as redis, nodes(redis.url, redis.url) as pair:
        witnesses = [await node.watch("a") for node in pair]
        async with talk(pair) as talked:
            await talked.more(20)
            redis.suspend()
            await eventually(lambda: all(node.broker.fault for node in pair), 10.0)
            redis.resume()
            await ready(*pair)
            await talked.more(40)
        for witness in witnesses:
            await all_read(witness, talked)


async def test_a_broker_starts_before_redis_does() -> None:
    async with RedisServer() as redis:
        await redis.kill()
        async with nodes(redis.url) as [node]:
            await eventually(lambda: "127.0.0.1" in (node.broker.fault or ""))
            await redis.start()
            await ready(node)
            assert (await node.say("a", b"1")).offset == 1
        assert node.broker.fault == "not started"


async def test_what_an_inbox_was_not_told_makes_nobody_doubt_what_it_hears() -> None:
    async with RedisServer() as redis, nodes(redis.url, redis.url) as (one, other):
        witness = await one.watch("@session/x")
        await other.broker.publish("@session/x", Draft("said", b"1"), KEEP, other.broker.node)
        await eventually(lambda: witness.data == [b"1"])
        await one.say("a", b"2")
        assert one.broker._subscription.connections == 1
