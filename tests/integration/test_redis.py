"""Rooms in a real Redis: what two nodes see of them, and what is in Redis."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from multitransport.brokers.base import TooManyRooms
from multitransport.brokers.redis import RedisBroker
from multitransport.brokers.redis.rooms.announcements import encode_body
from multitransport.core.log import Retention
from multitransport.core.publication import Draft
from multitransport.errors import BrokerUnavailable, ConfigurationError
from multitransport.protocol.position import Position
from multitransport.testing.proxy import FaultProxy
from multitransport.testing.server import free_port
from multitransport.testing.waiting import eventually
from tests.redis_nodes import FAST, KEEP, STATE, Node, nodes
from tests.redis_server import RedisServer

# Two nodes


async def test_what_one_node_publishes_the_other_reads_in_the_same_order(pair: list[Node]) -> None:
    witnesses = [await node.watch("a") for node in pair]
    await asyncio.gather(*(node.say("a", b"%d" % n) for n in range(200) for node in pair))
    await eventually(lambda: all(len(witness.read) == 400 for witness in witnesses))
    assert witnesses[0].read == witnesses[1].read
    assert [offset for _, offset, _ in witnesses[0].read] == list(range(1, 401))
    assert sorted(witnesses[0].data) == sorted(b"%d" % n for n in range(200) for _ in pair)
    assert witnesses[0].gaps == witnesses[1].gaps == []


async def test_one_publisher_is_read_in_its_order(pair: list[Node]) -> None:
    witness = await pair[1].watch("a")
    await asyncio.gather(*(pair[0].say("a", b"%d" % n) for n in range(500)))
    await eventually(lambda: len(witness.read) == 500)
    assert witness.data == [b"%d" % n for n in range(500)]


async def test_who_moves_to_the_other_node_goes_on_where_it_was(pair: list[Node]) -> None:
    witness = await pair[0].watch("a")
    for n in range(5):
        await pair[0].say("a", b"%d" % n)
    await eventually(lambda: len(witness.read) == 5)
    await pair[1].say("a", b"5")
    moved = await pair[1].watch("a", after=Position(witness.log.epoch, 3))
    await eventually(lambda: moved.data == [b"3", b"4", b"5"])
    assert moved.gaps == []


async def test_a_position_ahead_of_a_lagging_tail_is_waited_for(redis: RedisServer) -> None:
    async with FaultProxy(redis.url) as proxy, nodes(redis.url, f"redis://127.0.0.1:{proxy.port}") as (one, other):
        log = (await other.watch("a")).log
        proxy.latency_seconds = 0.08
        position = [await one.say("a", b"%d" % n) for n in range(3)][-1]
        assert log.top < 3, "it was to lag"
        log = await other.broker.subscribe("a", KEEP, position)
        assert log.recover(position).recovered


async def test_volatile_publications_reach_other_nodes_and_no_log(pair: list[Node]) -> None:
    log = (await pair[1].watch("a")).log
    await pair[0].broker.flash("a", Draft("cursor", b"[1,2]", exclude="s1"))
    await eventually(lambda: pair[1].flashed == [("a", b"[1,2]")])
    assert (log.top, pair[0].flashed) == (0, [])


async def test_bytes_and_all_options_arrive(pair: list[Node]) -> None:
    log = (await pair[1].watch("ä}{")).log
    draft = Draft("e", b"\x00\xff\n", binary=True, source="s1", exclude="s2", ask="a1")
    await pair[0].broker.publish("ä}{", draft, KEEP)
    await eventually(lambda: log.top == 1)
    found = log.get(1)
    assert found is not None
    taken = found.draft
    assert (taken.data, taken.binary, taken.source, taken.exclude, taken.ask) == (b"\x00\xff\n", True, "s1", "s2", "a1")


# Once


async def test_the_same_id_is_the_same_publication_on_any_node(pair: list[Node]) -> None:
    first = await pair[0].say("a", b"1", id="order 7")
    await pair[0].say("a", b"2")
    again = await asyncio.gather(*(node.say("a", b"1", id="order 7") for node in pair))
    assert again == [first, first]
    assert (await pair[1].say("b", b"1", id="order 7")).offset == 1
    assert (await pair[1].say("a", b"3")).offset == 3


async def test_a_publication_whose_answer_was_lost_is_repeated_and_appears_once(redis: RedisServer) -> None:
    async with FaultProxy(redis.url) as proxy, nodes(f"redis://127.0.0.1:{proxy.port}", redis.url) as (one, other):
        witness = await other.watch("a")
        await one.say("a", b"0")
        for n in range(1, 21):
            proxy.cut_after(1, "down")  # the answer is cut, the message was carried out
            await asyncio.gather(*(one.say(room, b"%d" % n) for room in ("a", "a", "b")))
        await eventually(lambda: len(witness.read) == 41)
        assert proxy.cuts >= 20
        assert witness.data == [b"0", *(b"%d" % n for n in range(1, 21) for _ in "12")]


async def test_a_message_that_comes_late_and_again_is_refused(redis: RedisServer) -> None:
    async with nodes(redis.url) as [node]:
        seen: list[tuple[Any, ...]] = []
        line = node.broker._line
        run_script = line.run_script

        async def noted(*message: Any) -> Any:
            seen.append(message)
            return await run_script(*message)

        line.run_script = noted  # type: ignore[assignment, method-assign]
        await node.say("a", b"1")
        assert (await run_script(*seen[0]))[1] == b"1"
        await node.say("a", b"2")
        with pytest.raises(Exception, match="STALE"):
            await run_script(*seen[0])
        assert (await node.say("a", b"3")).offset == 3


# Reading


async def test_two_thousand_resuming_sessions_cost_a_few_reads(pair: list[Node]) -> None:
    positions = [await pair[0].say("a", b"%d" % n) for n in range(50)]
    logs = await asyncio.gather(
        *(pair[1].broker.subscribe("a", KEEP, positions[n % 50], n % 7) for n in range(2000)),
    )
    assert all(log is logs[0] for log in logs)
    assert all(logs[0].recover(position).recovered for position in positions)
    assert pair[1].broker.reads <= 3
    # One from another time, again and again, costs little: nothing is read twice.
    for _ in range(5):
        await pair[1].broker.subscribe("a", KEEP, Position("other", 3))
    assert logs[0].base == 0


async def test_a_followed_room_is_joined_while_redis_is_away(redis: RedisServer) -> None:
    async with nodes(redis.url) as [node]:
        position = await node.say("a", b"1")
        await node.watch("a", after=Position(position.epoch, 0))
        await redis.kill()
        log = await node.broker.subscribe("a", KEEP, Position(position.epoch, 0))
        assert log.recover(Position(position.epoch, 0)).recovered
        with pytest.raises(BrokerUnavailable):
            await node.broker.subscribe("b", KEEP)


async def test_readers_of_a_log_that_was_cut_away_are_told(redis: RedisServer) -> None:
    async with FaultProxy(redis.url) as proxy, nodes(f"redis://127.0.0.1:{proxy.port}", redis.url) as (one, other):
        few = Retention(count=5)
        witness = await one.watch("a", few)
        await other.say("a", b"0", few)
        await eventually(lambda: witness.data == [b"0"])
        await proxy.refuse()
        proxy.cut()
        for n in range(1, 30):
            await other.say("a", b"%d" % n, few)
        await proxy.accept()
        await eventually(lambda: witness.data[-1:] == [b"29"])
        assert len(witness.gaps) == 1
        assert witness.gaps[0].offset == 30 - (len(witness.data) - 1)


async def test_rooms_are_let_go_of_after_a_while(pair: list[Node], redis: RedisServer) -> None:
    await pair[0].broker.subscribe("a", KEEP)
    await pair[0].broker.subscribe("b", KEEP)
    await pair[0].broker.unsubscribe("a")
    await pair[0].broker.sweep()
    [channel] = [each.decode() for each in await redis.call("PUBSUB", "CHANNELS", "*:room:*")]
    assert channel == "multitransport:0:room:{.b}"


async def test_no_more_rooms_are_followed_than_allowed(redis: RedisServer) -> None:
    broker = RedisBroker(redis.url, max_rooms=2, timing=FAST)
    await broker.start(lambda room: None, lambda room, draft: None)
    for room in ("a", "b"):
        await broker.subscribe(room, KEEP)
    with pytest.raises(TooManyRooms):
        await broker.subscribe("c", KEEP)
    await broker.unsubscribe("a")
    await broker.subscribe("c", KEEP)
    await broker.stop()


# What is in Redis


async def test_every_key_has_its_time(pair: list[Node], redis: RedisServer) -> None:
    await pair[0].say("a", b"1", id="once")
    await pair[0].put("s", "k", b"1")
    await pair[0].put("s", "k", None)
    await pair[1].watch("nobody published")
    await pair[1].watch("no state", STATE)
    keys = await redis.keys()
    assert len(keys) == 3 + 3 + 2
    assert all(0 < left <= 86_400_000 for left in keys.values()), keys
    assert all(left <= 60_000 for key, left in keys.items() if ":log:" in key or ":once:" in key)


async def test_no_key_outlives_its_time(redis: RedisServer) -> None:
    brief = Retention(count=100, seconds=0.3, bytes=1 << 20)
    timing = msgspec.structs.replace(FAST, idle_seconds=0.9, state_seconds=1.2)
    async with nodes(redis.url, timing=timing) as [node]:
        former = await node.say("a", b"1", brief, id="once")
        await node.put("s", "k", b"1")
        followed = (await node.watch("followed", brief)).log
        await eventually(lambda: _rooms_left(redis, {"followed"}), 10.0)
        assert (await node.say("followed", b"1", brief)).epoch == followed.epoch, "its epoch was kept for its readers"
        assert (await node.say("a", b"2", brief)).epoch != former.epoch
    await eventually(lambda: _rooms_left(redis, set()), 10.0)


async def _rooms_left(redis: RedisServer, rooms: set[str]) -> bool:
    return {key.partition("{.")[2].partition("}")[0] for key in await redis.keys()} == rooms


async def test_who_waits_is_told_when_the_broker_stops(redis: RedisServer) -> None:
    async with nodes(redis.url) as [node]:
        await node.say("a", b"1")
        redis.suspend()
        waiting = [asyncio.create_task(node.say("a", b"2")), asyncio.create_task(node.say("a", b"3"))]
        waiting.append(asyncio.create_task(node.broker.subscribe("b", KEEP)))  # type: ignore[arg-type]
        await asyncio.sleep(0.05)
    redis.resume()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result) for result in results] == [BrokerUnavailable] * 3


async def test_a_forgotten_room_leaves_nothing_and_begins_anew(pair: list[Node], redis: RedisServer) -> None:
    witness = await pair[1].watch("a")
    former = await pair[0].say("a", b"1")
    await pair[0].broker.forget("a")
    position = await pair[0].say("a", b"2")
    assert (position.epoch != former.epoch, position.offset) == (True, 1)
    await eventually(lambda: witness.data == [b"1", b"2"])
    assert len(witness.gaps) == 1
    await pair[0].broker.forget("b")
    assert not [key for key in await redis.keys() if "{.b}" in key]


async def test_a_log_in_redis_is_bounded(pair: list[Node], redis: RedisServer) -> None:
    few = Retention(count=100, seconds=60.0, bytes=1 << 20)
    for _ in range(5):
        await asyncio.gather(*(pair[0].say("a", b"%d" % n, few) for n in range(100)))
    assert 100 <= await redis.call("XLEN", "multitransport:log:{.a}") <= 107
    small = Retention(count=10_000, seconds=60.0, bytes=10_000)
    for _ in range(50):
        await pair[0].say("b", b'"%s"' % (b"x" * 1000), small)
    assert 8 <= await redis.call("XLEN", "multitransport:log:{.b}") <= 11
    brief = Retention(count=10_000, seconds=0.2, bytes=1 << 20)
    clock, said = asyncio.get_running_loop().time, list[tuple[float, float]]()
    for n in range(30):
        before = clock()
        await pair[0].say("c", b"%d" % n, brief)
        said.append((before, clock()))
        await asyncio.sleep(0.02)
    began, ended = said[-1]
    least = sum(ended - each <= 0.2 for each, _ in said)
    most = sum(began - each <= 0.2 * 17 / 16 + 0.01 for _, each in said)
    assert most < 30
    assert least <= await redis.call("XLEN", "multitransport:log:{.c}") <= most
    assert int(await redis.call("HGET", "multitransport:meta:{.c}", "s")) < most * 40


async def test_deployments_do_not_hear_each_other(redis: RedisServer) -> None:
    urls = (redis.url, redis.url.replace("/0", "/1"))
    async with nodes(*urls) as (one, other), nodes(redis.url, prefix="else") as [third]:
        witnesses = [await node.watch("a") for node in (one, other, third)]
        await one.say("a", b"1")
        await eventually(lambda: witnesses[0].data == [b"1"])
        assert (witnesses[1].data, witnesses[2].data) == ([], [])
        assert (other.broker.refused, third.broker.refused) == (0, 0)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"2[]\n",
        b"1\n",
        b'1["pub","a","e",1,"i"]\n',
        b'1["pub","a","e",-1,"i",0]\n',
        b'1["other","a"]\n',
        b'1["pub","b","e",1,"i",0]\n' + encode_body(Draft("e", b"1")),
        b'1["pub","a","e",1,"i",0]\n',
        b'1["pub","a","e",1,"i",0]\n' + encode_body(Draft("e", b"{")),
        b'1["pub","a","e",1,"i",0]\n' + encode_body(Draft("e", b"[1,\n2]")),
        b'1["pub","a","e",1,"i",0]\n' + encode_body(Draft("e", b'"\xff"')),
        b'1["flash","a"]\n\xc1',
        b'1["flash"]\n' + encode_body(Draft("e", b"1")),
        b"\x80\x04pickle",
        b"1" + b"[" * 5000,
    ],
)
async def test_what_is_malformed_is_refused_and_counted(
    pair: list[Node], redis: RedisServer, message: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    witness = await pair[0].watch("a")
    await redis.call("PUBLISH", "multitransport:0:room:{.a}", message)
    await eventually(lambda: pair[0].broker.refused == 1)
    await pair[1].say("a", b"1")
    await eventually(lambda: witness.data == [b"1"])
    # A machine that stands still for half a second has more to say.
    told = [record for record in caplog.records if record.msg.startswith("refused")]
    assert (witness.gaps, pair[0].flashed, len(told)) == ([], [], 1)


# Where Redis is


@pytest.mark.parametrize(
    "url", ["http://localhost", "redis://localhost/x", "redis://localhost?db=1&x=1", "localhost", "redis://[::1"]
)
def test_a_url_that_is_no_redis_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError):
        RedisBroker(url)


def test_a_prefix_that_could_be_another_key_is_refused() -> None:
    with pytest.raises(ConfigurationError):
        RedisBroker("redis://localhost", prefix="{a}:")


async def test_a_password_and_a_socket() -> None:
    async with RedisServer("--unixsocket", "redis.sock") as server:
        await server.call("CONFIG", "SET", "requirepass", "pässword")
        authority = f"redis://:p%C3%A4ssword@127.0.0.1:{server.port}/2"
        socket = f"unix://:p%C3%A4ssword@{server.directory}/redis.sock?db=2"
        async with nodes(authority, socket, server.url) as (one, other, wrong):
            witness = await other.watch("a")
            await one.say("a", b"1")
            await eventually(lambda: witness.data == [b"1"])
            await eventually(lambda: "NOAUTH" in (wrong.broker.fault or ""))
            assert "p%C3" not in (wrong.broker.fault or "")


async def test_a_connection_by_tls(tmp_path: Path) -> None:
    make = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1")
    names = ("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem")
    await asyncio.to_thread(subprocess.run, [*make, *names], cwd=tmp_path, check=True, capture_output=True)
    port = free_port()
    files = ("--tls-cert-file", f"{tmp_path}/cert.pem", "--tls-key-file", f"{tmp_path}/key.pem")
    secure = ("--tls-port", str(port), *files, "--tls-ca-cert-file", f"{tmp_path}/cert.pem", "--tls-auth-clients", "no")
    async with RedisServer(*secure) as server:
        trusting = f"rediss://127.0.0.1:{port}?ca_certs={tmp_path}/cert.pem"
        async with nodes(trusting, server.url, f"rediss://127.0.0.1:{port}") as (one, other, wrong):
            witness = await one.watch("a")
            await other.say("a", b'"%s"' % (b"x" * 300_000))
            await eventually(lambda: len(witness.data) == 1)
            await eventually(lambda: "certificate" in (wrong.broker.fault or ""))


async def test_what_sentinels_say_is_where_redis_is(redis: RedisServer) -> None:
    nobody = free_port()
    conf = f"sentinel monitor group 127.0.0.1 {redis.port} 1\n"
    async with RedisServer(sentinel=conf) as sentinel:
        hosts = f"127.0.0.1:{nobody},127.0.0.1:{sentinel.port}"
        async with nodes(f"redis+sentinel://{hosts}/group/3", f"redis+sentinel://{hosts}/none") as (one, wrong):
            assert (await one.say("a", b"1")).offset == 1
            await eventually(lambda: "knows no master" in (wrong.broker.fault or ""))
        assert await redis.call("DBSIZE") == 0, "it is in another database"
