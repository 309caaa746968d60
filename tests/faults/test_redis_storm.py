"""Redis and the ways to it break again and again: offsets never mean two things, and nobody loses in silence."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections.abc import Awaitable, Callable

import pytest

from multitransport.brokers.redis import Timing
from multitransport.errors import BrokerUnavailable
from multitransport.protocol.position import Position
from multitransport.testing.proxy import FaultProxy
from multitransport.testing.waiting import eventually
from tests.redis_nodes import KEEP, STATE, Node, Talk, Witness, nodes, talk, values
from tests.redis_server import RedisServer

pytestmark = pytest.mark.faults

ROOMS = ("a", "b", "c")
KEYS = ("k1", "k2", "k3", "k4")
FAULTS = 25


class Storm:
    """What may happen to Redis."""

    def __init__(self, redis: RedisServer, proxy: FaultProxy, chance: random.Random) -> None:
        self._redis = redis
        self._proxy = proxy
        self._chance = chance
        self._saved = b""
        self.happened: list[str] = []

    async def strike(self) -> None:
        faults: list[Callable[[], Awaitable[None]]] = [
            self.kill_pubsub,
            self.kill_commands,
            self.cut,
            self.swallow,
            self.freeze,
            self.restart,
            self.rob,
            self.flush,
        ]
        fault = self._chance.choice(faults)
        self.happened.append(fault.__name__)
        self._saved = self._redis.saved()
        await asyncio.sleep(self._chance.uniform(0, 0.5))
        await fault()
        await asyncio.sleep(self._chance.uniform(0, 0.5))

    async def kill_pubsub(self) -> None:
        await self._redis.call("CLIENT", "KILL", "TYPE", "pubsub")

    async def kill_commands(self) -> None:
        await self._redis.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    async def cut(self) -> None:
        self._proxy.cut_after(self._chance.randrange(1, 5000), self._chance.choice(("up", "down")))

    async def swallow(self) -> None:
        self._proxy.black_hole = True
        await asyncio.sleep(self._chance.uniform(0.1, 1.0))
        self._proxy.black_hole = False

    async def freeze(self) -> None:
        self._redis.suspend()
        await asyncio.sleep(self._chance.uniform(0.1, 1.0))
        self._redis.resume()

    async def restart(self) -> None:
        await self._redis.kill()
        await asyncio.sleep(self._chance.uniform(0, 0.3))
        await self._redis.start()

    async def rob(self) -> None:
        await self._redis.kill()
        self._redis.restore(self._saved)
        await self._redis.start()

    async def flush(self) -> None:
        await self._redis.call("FLUSHALL")


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_a_storm(seed: int) -> None:
    async with (
        RedisServer(keep=True) as redis,
        FaultProxy(redis.url) as proxy,
        nodes(redis.url, f"redis://127.0.0.1:{proxy.port}", redis.url) as members,
    ):
        watching = {room: [await node.watch(room) for node in members] for room in ROOMS}
        board = [await node.watch("board", STATE) for node in members]
        storm = Storm(redis, proxy, random.Random(seed))
        writing = asyncio.create_task(write(members))
        async with talk(members, "a") as one, talk(members, "b") as two, talk(members[1:2], "c") as three:
            talks = dict(zip(ROOMS, (one, two, three), strict=True))
            for _ in range(FAULTS):
                await storm.strike()
            await eventually(lambda: all(node.broker.fault is None for node in members), 20.0)
            for each in talks.values():
                await each.more(50, 20.0)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        for key in KEYS:
            await members[0].put("board", key, b'"final"')
        await eventually(lambda: all(values(each.log) == dict.fromkeys(KEYS, "final") for each in board), 10.0)
        assert len({each.log.position for each in board}) == 1
        for room in ROOMS:
            await judge(watching[room], talks[room], members)
        print(seed, storm.happened, {room: len(talks[room].taken) for room in ROOMS})


async def write(members: list[Node]) -> None:
    """Put and delete keys of a state room, on one node after the other."""
    for n in itertools.count():
        with contextlib.suppress(BrokerUnavailable):
            await members[n % 3].put("board", KEYS[n % 4], None if n % 5 == 0 else b"%d" % n)
        await asyncio.sleep(0.01)


async def judge(witnesses: list[Witness], talked: Talk, members: list[Node]) -> None:
    meaning = {position: data for data, position in talked.taken.items()}
    assert len(meaning) == len(talked.taken), "two publications were given the same position"
    epoch, last = max(talked.taken.values(), key=lambda position: list(talked.taken.values()).index(position))
    for witness in witnesses:
        await eventually(lambda: witness.position >= (epoch, last), 10.0)  # noqa: B023
        assert witness.holes == []
        for its_epoch, offset, data in witness.read:
            assert meaning.setdefault(Position(its_epoch, offset), data) == data, "an offset has meant two things"
        got = set(witness.data)
        epochs = [gap.epoch for gap in witness.gaps]
        for data, position in talked.taken.items():
            assert data in got or any(each != position.epoch for each in epochs), (data, position, witness.gaps)


async def test_redis_stands_still_for_eight_seconds() -> None:
    """With the times that nodes have in production."""
    async with RedisServer() as redis, nodes(redis.url, redis.url, timing=Timing()) as members:
        witnesses = [await node.watch("a") for node in members]
        loop = asyncio.get_running_loop()
        async with talk(members) as talked:
            await talked.more(50)
            redis.suspend()
            stopped = loop.time()
            await eventually(lambda: all(node.broker.fault for node in members), 5.0)
            noticed = loop.time() - stopped
            await asyncio.sleep(8 - noticed)
            redis.resume()
            resumed = loop.time()
            await eventually(lambda: all(node.broker.fault is None for node in members), 5.0)
            back = loop.time() - resumed
            await talked.more(50)
        print(f"noticed after {noticed:.1f} s, well again after {back:.1f} s")
        assert 0 < len(talked.failed) <= 8
        for witness in witnesses:
            await judge([witness], talked, members)
            assert witness.gaps == []
            assert len(witness.data) == len(set(witness.data)), "a retried publication appears once"


@pytest.mark.parametrize("fault", ["cut", "restarted"])
async def test_three_thousand_rooms_are_caught_up_with(fault: str) -> None:
    patient = Timing(publish_seconds=20.0)  # so many publications at once wait for each other
    rooms = [f"room {n}" for n in range(3000)]
    async with RedisServer(keep=True) as redis, nodes(redis.url, redis.url, timing=patient) as (one, other):
        logs = await asyncio.gather(*(one.broker.subscribe(room, KEEP) for room in rooms))
        await asyncio.gather(*(other.say(room, b"1") for room in rooms))
        await eventually(lambda: all(log.top == 1 for log in logs), 10.0)
        epochs = [log.epoch for log in logs]
        loop = asyncio.get_running_loop()
        started = loop.time()
        if fault == "cut":
            await redis.call("CLIENT", "KILL", "TYPE", "pubsub")
        else:
            await redis.kill()
            await redis.start()
        await asyncio.gather(*(other.say(room, b"2") for room in rooms))
        await eventually(lambda: all(log.top == 2 for log in logs), 20.0)
        print(f"{fault}: 3,000 rooms caught up after {loop.time() - started:.1f} s, {one.broker.reads} reads")
        assert [log.epoch for log in logs] == epochs
