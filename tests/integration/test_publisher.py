"""Publishing from outside of an application, over a real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from multitransport import (
    BrokerUnavailable,
    ConfigurationError,
    MultiTransportError,
    Position,
    Publisher,
    Refuse,
    RoomFull,
)
from multitransport.brokers.redis.rooms.declared import DeclaredRoom
from multitransport.core.log import Retention
from multitransport.testing.proxy import FaultProxy
from multitransport.testing.server import free_port
from multitransport.testing.waiting import eventually
from tests.outside import ROOMS, declare_rooms
from tests.redis_nodes import Node, nodes, values
from tests.redis_server import RedisServer

CHAT = ROOMS[0].retention
LOAD = ROOMS[2].retention


@pytest_asyncio.fixture
async def redis() -> AsyncIterator[RedisServer]:
    async with RedisServer() as server:
        await declare_rooms(server.url)
        yield server


@pytest_asyncio.fixture
async def node(redis: RedisServer) -> AsyncIterator[Node]:
    async with nodes(redis.url) as [made]:
        yield made


@pytest_asyncio.fixture
async def publisher(redis: RedisServer) -> AsyncIterator[Publisher]:
    async with Publisher(redis.url) as made:
        yield made


# What is published


async def test_what_is_published_outside_a_node_reads(node: Node, publisher: Publisher) -> None:
    witness = await node.watch("chat/a", CHAT)
    positions = [await publisher.publish("chat/a", "said", {"n": n}) for n in range(3)]
    await eventually(lambda: len(witness.read) == 3)
    assert witness.data == [b'{"n":0}', b'{"n":1}', b'{"n":2}']
    assert positions == [Position(witness.log.epoch, n) for n in (1, 2, 3)]


async def test_a_node_and_a_publisher_share_the_offsets(node: Node, publisher: Publisher) -> None:
    witness = await node.watch("chat/a", CHAT)
    for n in range(4):
        await (publisher.publish("chat/a", "said", n) if n % 2 else node.say("chat/a", b"%d" % n, CHAT))
    await eventually(lambda: len(witness.read) == 4)
    assert (witness.data, witness.holes) == ([b"0", b"1", b"2", b"3"], [])


async def test_several_rooms_have_a_position_each(node: Node, publisher: Publisher) -> None:
    await publisher.publish("chat/a", "said", 0)
    first, second = await publisher.publish(["chat/a", "chat/b"], "said", 1)
    assert first is not None
    assert second is not None
    assert (first.offset, second.offset) == (2, 1)


async def test_bytes_and_options_arrive(node: Node, publisher: Publisher) -> None:
    log = (await node.watch("chat/a", CHAT)).log
    await publisher.publish("chat/a", "said", b"\x00\xff", exclude="s1")
    await eventually(lambda: log.top == 1)
    found = log.get(1)
    assert found is not None
    assert (found.data, found.draft.binary, found.draft.exclude) == (b"\x00\xff", True, "s1")


async def test_a_state_room_takes_keys_and_their_end(node: Node, publisher: Publisher) -> None:
    log = (await node.watch("load/1", LOAD)).log
    await publisher.publish("load/1", "load", 0.5, key="cpu")
    await publisher.publish("load/1", "load", 0.1, key="disk")
    await publisher.publish("load/1", "load", key="cpu", deleted=True)
    await eventually(lambda: values(log) == {"disk": 0.1})


async def test_what_is_volatile_is_told_and_not_kept(node: Node, publisher: Publisher) -> None:
    log = (await node.watch("chat/a", CHAT)).log
    nowhere: Position | None = await publisher.publish("chat/a", "typing", [1], volatile=True)
    await eventually(lambda: node.flashed == [("chat/a", b"[1]")])
    assert (nowhere, log.top) == (None, 0)


async def test_the_same_id_is_the_same_publication_from_any_publisher(redis: RedisServer, publisher: Publisher) -> None:
    first = await publisher.publish("chat/a", "said", 1, id="order 7")
    async with Publisher(redis.url) as other:
        assert await other.publish("chat/a", "said", 1, id="order 7") == first
        assert (await other.publish("chat/a", "said", 2)).offset == 2


async def test_a_prefix_is_another_deployment(redis: RedisServer, publisher: Publisher) -> None:
    async with Publisher(redis.url, prefix="other") as other:
        with pytest.raises(Refuse, match="no application has run yet"):
            await other.publish("chat/a", "said", 1)
        await declare_rooms(redis.url, prefix="other")
        await eventually(lambda: _publishes(other, "chat/a"))
    assert (await publisher.publish("chat/a", "said", 1)).offset == 1


async def _publishes(publisher: Publisher, room: str) -> bool:
    try:
        await publisher.publish(room, "said", 1)
    except Refuse:
        return False
    return True


# What is refused


@pytest.mark.parametrize(
    ("room", "code", "message"),
    [
        ("nowhere", "unknown_room", "no room is declared that 'nowhere' fits"),
        ("chat/a/b", "unknown_room", "fits"),
        ("load/007", "bad_room", "another spelling"),
        ("@presence/hall", "bad_room", "the server's own"),
        ("@user/ann", "bad_room", "declare a room such as"),
        ("@session/s1", "bad_room", "declare a room such as"),
        ("", "bad_room", "empty"),
    ],
)
async def test_a_room_nobody_declared_is_refused(
    redis: RedisServer, publisher: Publisher, room: str, code: str, message: str
) -> None:
    before = set(await redis.keys())
    for rooms in (room, ["chat/a", room]):
        with pytest.raises(Refuse, match=message) as refused:
            await publisher.publish(rooms, "said", 1)
        assert refused.value.code == code
    assert set(await redis.keys()) == before, "a refused publication leaves nothing"


async def test_what_cannot_be_published_is_refused_before_anything_is(redis: RedisServer, publisher: Publisher) -> None:
    before = set(await redis.keys())
    with pytest.raises(ValueError, match="a publication has a key in a state room, and only there"):
        await publisher.publish("load/1", "load", 1)
    with pytest.raises(ValueError, match="a publication has a key"):
        await publisher.publish("chat/a", "said", 1, key="k")
    with pytest.raises(ValueError, match="event is 1 to"):
        await publisher.publish("chat/a", "", 1)
    with pytest.raises(TypeError, match="unsupported"):
        await publisher.publish("chat/a", "said", object())
    with pytest.raises(TypeError, match="a room is a string"):
        await publisher.publish(7, "said", 1)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="the id of a session"):
        await publisher.publish("chat/a", "said", 1, exclude=object())  # type: ignore[call-overload]
    assert set(await redis.keys()) == before


async def test_a_full_state_room_says_so(publisher: Publisher) -> None:
    for key in "ab":
        await publisher.publish("load/1", "load", 1, key=key)
    with pytest.raises(RoomFull):
        await publisher.publish("load/1", "load", 1, key="c")


async def test_a_publisher_is_entered_once() -> None:
    publisher = Publisher("redis://127.0.0.1:1")
    with pytest.raises(MultiTransportError, match="enter the Publisher first"):
        await publisher.publish("chat/a", "said", 1)
    async with publisher:
        with pytest.raises(MultiTransportError, match="in use already"):
            await publisher.__aenter__()
        with pytest.raises(MultiTransportError, match="another event loop"):
            await asyncio.to_thread(asyncio.run, publisher.publish("chat/a", "said", 1))


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("memory", {}),
        ("http://h", {}),
        ("redis://h/one", {}),
        ("redis://h", {"prefix": "a b"}),
        ("redis://h", {"timeout_seconds": 0}),
    ],
)
def test_what_cannot_be_meant_is_said_when_it_is_made(url: str, options: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        Publisher(url, **options)  # type: ignore[arg-type]


# What is declared


async def test_a_room_that_is_declared_later_is_known_soon(redis: RedisServer, publisher: Publisher) -> None:
    await publisher.publish("chat/a", "said", 1)
    with pytest.raises(Refuse):
        await publisher.publish("new", "said", 1)
    await declare_rooms(redis.url, [*ROOMS, DeclaredRoom("new", Retention())])
    await eventually(lambda: _publishes(publisher, "new"))


async def test_during_a_deploy_the_rooms_of_both_versions_are_known_and_the_newer_one_decides(
    redis: RedisServer,
) -> None:
    await declare_rooms(redis.url, [DeclaredRoom("chat/<name>", Retention(keys=3)), DeclaredRoom("new", Retention())])
    await declare_rooms(redis.url)  # a node of the old version says it again
    async with Publisher(redis.url) as publisher:
        await publisher.publish("new", "said", 1)
        await publisher.publish("load/1", "load", 1, key="cpu")
        await publisher.publish("chat/a", "said", 1, key="k")


async def test_what_no_node_says_any_more_is_forgotten(redis: RedisServer) -> None:
    key = "multitransport:declared:{.rooms}"
    [digest, value] = await redis.call("HGETALL", key)
    head, _, said = value.partition(b"\n")
    since = int(head.split()[0])
    await redis.call("HSET", key, digest, b"%d %d\n%b" % (since, since - 61_000, said))
    await declare_rooms(redis.url, [DeclaredRoom("new", Retention())])
    assert digest not in await redis.call("HKEYS", key)
    async with Publisher(redis.url) as publisher:
        await publisher.publish("new", "said", 1)
        with pytest.raises(Refuse):
            await publisher.publish("chat/a", "said", 1)


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"\xff\n[1,[]]",
        b"1 1\nnonsense",
        b"1 1\n[2,[]]",
        b'1 1\n[1,[{"rule":"a","retention":{"count":-1}}]]',
        b'1 1\n[1,[{"rule":"<","retention":{}}]]',
        b'1 1\n[1,[{"rule":7,"retention":{}}]]',
        b"1 1\n" + b"[" * 100_000,
    ],
)
async def test_what_is_not_a_declaration_is_left_out(redis: RedisServer, said: bytes) -> None:
    await redis.call("HSET", "multitransport:declared:{.rooms}", "other", said)
    async with Publisher(redis.url) as publisher:
        await publisher.publish("chat/a", "said", 1)
        with pytest.raises(Refuse):
            await publisher.publish("a", "said", 1)


async def test_where_redis_lost_what_was_declared_a_publisher_remembers(
    redis: RedisServer, publisher: Publisher
) -> None:
    await publisher.publish("chat/a", "said", 1)
    await redis.call("FLUSHALL")
    with pytest.raises(Refuse, match="'nowhere' fits"):
        await publisher.publish("nowhere", "said", 1)  # which has it look again
    assert (await publisher.publish("chat/a", "said", 1)).offset == 1


async def test_what_is_declared_does_not_stay_for_ever(redis: RedisServer) -> None:
    [(key, left)] = (await redis.keys()).items()
    assert key == "multitransport:declared:{.rooms}"
    assert 0 < left <= 7 * 86_400_000


# Redis away


async def test_redis_away_is_said_in_time() -> None:
    loop = asyncio.get_running_loop()
    async with Publisher(f"redis://:secret@127.0.0.1:{free_port()}", timeout_seconds=0.3) as publisher:
        begun = loop.time()
        with pytest.raises(BrokerUnavailable, match=r"within 0\.3 s: .*redis://127\.0\.0\.1:") as unavailable:
            await publisher.publish("chat/a", "said", 1)
        assert 0.3 <= loop.time() - begun < 1.5
    assert "secret" not in str(unavailable.value)


async def test_a_silent_redis_is_said_in_time_and_is_used_again(redis: RedisServer) -> None:
    loop = asyncio.get_running_loop()
    async with FaultProxy(redis.url) as proxy:
        url = f"redis://127.0.0.1:{proxy.port}"
        async with Publisher(url, timeout_seconds=0.5) as publisher:
            await publisher.publish("chat/a", "said", 1)
            proxy.black_hole = True
            for volatile in (False, True):
                begun = loop.time()
                with pytest.raises(BrokerUnavailable):
                    await publisher.publish("chat/a", "said", 2, volatile=volatile)
                assert 0.5 <= loop.time() - begun < 1.5
            proxy.black_hole = False
            proxy.cut()
            await eventually(lambda: _is_taken(publisher), 10.0)


async def _is_taken(publisher: Publisher) -> bool:
    try:
        await publisher.publish("chat/a", "said", 3, id="once")
    except BrokerUnavailable:
        return False
    return True


async def test_a_publication_whose_answer_was_lost_is_repeated_and_appears_once(redis: RedisServer, node: Node) -> None:
    witness = await node.watch("chat/a", CHAT)
    async with FaultProxy(redis.url) as proxy, Publisher(f"redis://127.0.0.1:{proxy.port}") as publisher:
        await publisher.publish("chat/a", "said", 0)
        for n in range(1, 11):
            proxy.cut_after(1, "down")  # the answer is cut, the message was carried out
            assert (await publisher.publish("chat/a", "said", n)).offset == n + 1
        assert proxy.cuts == 10
    await eventually(lambda: len(witness.read) == 11)
    assert witness.data == [b"%d" % n for n in range(11)]


@pytest.mark.faults
async def test_a_room_in_doubt_that_no_node_knows_begins_anew_after_a_restart() -> None:
    async with RedisServer(keep=True) as redis:
        await declare_rooms(redis.url)
        async with Publisher(redis.url, timeout_seconds=10.0) as publisher:
            before = await publisher.publish("chat/a", "said", 1)
            await redis.kill()
            await redis.start()
            after = await publisher.publish("chat/a", "said", 2)
    assert (after.epoch == before.epoch, after.offset) == (False, 2)


async def test_a_publisher_has_one_connection_and_ends_it(redis: RedisServer) -> None:
    async with Publisher(redis.url) as publisher:
        await publisher.publish("chat/a", "said", 1)
        assert await _connections(redis) == 1
    await eventually(lambda: _has_none(redis))


async def _connections(redis: RedisServer) -> int:
    return len((await redis.call("CLIENT", "LIST")).splitlines()) - 1  # but the one that asks


async def _has_none(redis: RedisServer) -> bool:
    return await _connections(redis) == 0
