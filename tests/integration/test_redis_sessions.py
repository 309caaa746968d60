"""Sessions in Redis that move between nodes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from msgspec import structs

from multitransport.brokers.base import LastWord, StaleAttach
from multitransport.core.session import SessionRecord
from multitransport.errors import BrokerUnavailable
from multitransport.protocol.binary import Blob
from multitransport.protocol.position import Position
from multitransport.testing.proxy import FaultProxy
from multitransport.testing.waiting import eventually
from tests.redis_server import RedisServer
from tests.redis_stores import BRIEF, LATER, Store, make, stores


@pytest_asyncio.fixture
async def pair(redis: RedisServer) -> AsyncIterator[list[Store]]:
    async with stores(redis.url, redis.url) as opened:
        yield opened


async def test_a_session_moves_with_all_that_is_known_of_it(pair: list[Store]) -> None:
    one, other = pair
    record = await make(one, user_id="ann")
    record.data, record.metas = {"cart": [1, {"x": None}], "größe": b"\x00"}, {"a": {"typing": True}}
    await one.join("s1", "a}b", Position("e:1", 5), unasked=True)
    await one.join("s1", "größe", Position("e", 0))
    await one.claim("s1", 1, [1, 2, 3, 4], 8)
    await one.commit("s1", 3, Blob(b"text", b"\x00\xff"), 100)
    await one.commit("s1", 1, b"one", 100)
    await one.acknowledge("s1", 1)
    await one.commit("s1", 4, b"x" * 200, 100)
    await one.save("s1")
    moved, former = await other.attach("s1", 2, b"other secret", b"credential")
    assert former == one.node
    assert (moved.attach, moved.secret_hash, moved.credential, moved.node) == (
        2,
        b"other secret",
        b"credential",
        other.node,
    )
    assert (moved.holders, moved.held_elsewhere(one.node)) == ({2: one.node}, {})
    for name in ("session_id", "new", "user_id", "rooms", "unasked", "data", "metas", "inbox"):
        assert getattr(moved, name) == getattr(record, name), name
    assert await other.find("s1") is moved
    assert (await one.owner("s1"), await one.find("s1")) == (other.node, moved)


async def test_who_spoke_before_claims_detaches_and_ends_nothing(pair: list[Store]) -> None:
    one, other = pair
    await make(one)
    await other.attach("s1", 2)
    with pytest.raises(StaleAttach):
        await one.claim("s1", 2, [1], 8)
    with pytest.raises(StaleAttach):
        await one.claim("s1", 1, [1], 8)
    await one.detach("s1", 1, 0.0)
    assert await one.end("s1") is False
    assert await other.claim("s1", 2, [1], 8) == 0
    assert (await other.expired(), await one.expired()) == ([], [])


async def test_what_was_claimed_before_is_carried_out_there(pair: list[Store]) -> None:
    one, other = pair
    record = await make(one)
    await one.claim("s1", 1, [1, 2], 8)
    moved, former = await other.attach("s1", 2)
    inbox = moved.inbox
    assert (former, moved.holders) == (one.node, {1: one.node, 2: one.node})
    record.data = {"cart": 1}
    assert await one.commit("s1", 1, b"one", 100) is True
    await one.join("s1", "a", Position("e", 1))
    await other.settle("s1")
    assert (moved.holders, inbox.processed, inbox.outcomes, moved.data) == ({2: one.node}, 1, {1: b"one"}, {"cart": 1})
    await one.commit("s1", 2, None, 100)
    assert await one.finish("s1") == other.node
    assert await one.commit("s1", 3, b"too late", 100) is False
    await other.settle("s1")
    assert (moved.holders, inbox.processed, moved.rooms) == (None, 2, {"a": Position("e", 1)})
    assert moved.inbox is inbox
    assert await other.claim("s1", 2, [3], 8) == 2


async def test_of_two_outcomes_of_one_frame_one_is_told(pair: list[Store]) -> None:
    one, other = pair
    await make(one)
    await one.claim("s1", 1, [1, 2, 3], 8)
    moved, _ = await other.attach("s1", 2)
    assert await other.commit("s1", 1, b"unknown", 100) is False, "one holds it"
    assert await other.reclaim("s1", [1]) == {}
    await one.finish("s1")
    assert await other.reclaim("s1", [1]) == {}, "it has not heard of that"
    await other.settle("s1")
    assert moved.holders == {1: "", 2: "", 3: ""}
    for seq, outcome in [(1, b"unknown"), (3, None)]:
        assert await other.reclaim("s1", [seq]) == {seq: "lost"}
        assert await other.reclaim("s1", [seq]) == {}, "it is not lost any more"
        assert await one.commit("s1", seq, b"done", 100) is False
        assert await other.commit("s1", seq, outcome, 100) is True
    assert (moved.inbox.outcomes, moved.inbox.early, moved.holders) == ({1: b"unknown"}, {3}, {2: ""})
    assert await one.commit("s1", 2, b"done", 100) is False, "what is lost is nobody's"
    assert await other.reclaim("s1", [1]) == {}


async def test_what_is_given_back_is_known_not_to_be_begun(pair: list[Store]) -> None:
    one, other = pair
    record = await make(one)
    await one.claim("s1", 1, [1, 2, 3], 8, beside=[3])
    moved, _ = await other.attach("s1", 2)
    assert await one.give_back("s1", [2]) == other.node
    assert record.holders == {2: None}
    assert await one.commit("s1", 2, b"done", 100) is False
    assert await one.commit("s1", 1, None, 100) is True
    assert record.follows == "", "nobody holds it"
    assert await other.settle("s1") is moved
    assert (moved.holders, moved.beside) == ({2: None, 3: one.node}, {3})
    assert await other.reclaim("s1", [1, 2, 3]) == {2: "unbegun"}
    assert await other.commit("s1", 2, b"two", 100) is True
    assert (moved.follows, moved.inbox.outcomes) == ("", {2: b"two"}), "nothing waits for what is beside"
    assert await one.commit("s1", 3, None, 100) is True
    found = await one.settle("s1")
    assert found is not None
    assert (found.node, found.holders, found.inbox.processed) == (other.node, None, 3)
    assert await one.settle("s2") is None


async def test_any_node_may_look_how_a_session_stands(pair: list[Store]) -> None:
    one, other = pair
    await make(one)
    await one.claim("s1", 1, [1], 8)
    found = await other.settle("s1")
    assert found is not None
    assert (found.node, found.holders) == (one.node, {1: one.node})


async def test_a_session_that_comes_back_in_the_middle_is_the_same_objects(pair: list[Store]) -> None:
    one, other = pair
    record = await make(one)
    inbox = record.inbox
    await one.claim("s1", 1, [1], 8)
    moved, _ = await other.attach("s1", 2)
    await other.join("s1", "a", Position("e", 1))
    assert await one.attach("s1", 3) == (record, other.node)
    assert (record.attach, record.rooms, record.holders) == (3, {"a": Position("e", 1)}, {1: one.node})
    await one.commit("s1", 1, b"one", 100)
    assert [await each.finish("s1") for each in (other, one)] == [one.node, one.node]
    await one.settle("s1")
    assert (record.inbox is inbox, inbox.processed, record.node) == (True, 1, one.node)
    assert record.holders is None
    assert await one.claim("s1", 3, [2], 8) == 1
    assert moved.inbox.processed == 0


async def test_a_node_that_was_told_goes_by_what_it_knew_no_more(pair: list[Store]) -> None:
    one, other = pair
    record = await make(one)
    moved, _ = await other.attach("s1", 2, b"other secret")
    assert await one.find("s1") is record
    record.node = ""
    assert (await one.find("s1"), await one.expired()) == (moved, [])
    assert await one.finish("s1") == other.node
    assert one._speaking.mirrors == {}


async def test_of_racing_nodes_one_attaches(redis: RedisServer) -> None:
    async with stores(*[redis.url] * 3) as three:
        await make(three[0])
        for attach in range(2, 10):
            results = await asyncio.gather(*(each.attach("s1", attach) for each in three), return_exceptions=True)
            assert sum(isinstance(result, StaleAttach) for result in results) == 2
            [winner] = [n for n, result in enumerate(results) if not isinstance(result, StaleAttach)]
            assert [await each.owner("s1") for each in three] == [three[winner].node] * 3


async def test_racing_nodes_make_one_session_of_one_hello(redis: RedisServer) -> None:
    async with stores(*[redis.url] * 3) as three:
        made = await asyncio.gather(
            *(each.create(SessionRecord(f"s{n}", "new", b"", "ann", 0), LATER) for n, each in enumerate(three * 3))
        )
        [session_id] = {each.session_id for each in made}
        assert await three[0].of_user("ann") == [session_id]
        assert len([key for key in await redis.keys() if ":session:" in key]) == 1


async def test_users_and_owners_are_known_everywhere(pair: list[Store]) -> None:
    one, other = pair
    await make(one, "s1", "ann")
    await make(other, "s2", "ann")
    await make(other, "s3", "bob")
    for store in pair:
        assert sorted(await store.of_user("ann")) == ["s1", "s2"]
        assert [await store.owner(each) for each in ("s1", "s2", "s4")] == [one.node, other.node, None]
        assert sorted(await store.nodes()) == sorted([one.node, other.node])
    assert (found := await one.find("s3"))
    assert (found.user_id, found.node) == ("bob", other.node)


async def test_an_end_is_told_everywhere(pair: list[Store]) -> None:
    one, other = pair
    await make(one, user_id="ann")
    assert await one.end("s1", LastWord(4000, "later"), LATER) is True
    assert (await other.find("s1"), await other.owner("s1"), await other.of_user("ann")) == (None, None, [])
    with pytest.raises(StaleAttach):
        await other.attach("s1", 2)
    assert [await each.last_word("s1") for each in pair] == [LastWord(4000, "later"), None]
    await one.remove("s1")
    made = await other.create(SessionRecord("s2", "new of s1", b"", "ann", 0), LATER)
    assert (made.session_id, await one.of_user("ann")) == ("s2", ["s2"])


async def test_a_session_of_a_node_that_does_not_answer_is_taken(pair: list[Store]) -> None:
    one, other = pair
    await make(one)
    await one.claim("s1", 1, [1], 8)
    assert await other.take("s1", "another", LATER) is None
    assert (taken := await other.take("s1", one.node, 0.05))
    assert (taken.attach, taken.node, taken.holders) == (1, other.node, {1: one.node})
    assert await other.take("s1", one.node, LATER) is None
    await one.commit("s1", 1, b"one", 100)
    with pytest.raises(StaleAttach):
        await one.claim("s1", 1, [2], 8)
    await eventually(other.expired)
    assert await other.end("s1") is True


@pytest.mark.parametrize("value", [object(), {"x": object()}, "\ud800", 1 << 70])
async def test_data_that_cannot_be_kept_is_named_and_the_rest_is_kept(
    pair: list[Store], value: object, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = pair
    record = await make(one)
    record.data, record.metas = {"good": 1, "bad": 1}, {"a": 1}
    await one.save("s1")
    record.data["good"], record.data["bad"], record.metas["a"] = 2, value, 2
    with pytest.raises(TypeError, match=r"data\['bad'\]"):
        await one.save("s1")
    await one.claim("s1", 1, [1, 2], 8)
    with caplog.at_level(logging.ERROR):
        for seq in (1, 2):
            await one.commit("s1", seq, None, 100)
    assert [each.getMessage().count("data['bad']") for each in caplog.records] == [1]
    moved, _ = await other.attach("s1", 2)
    assert (moved.data, moved.metas) == ({"good": 2, "bad": 1}, {"a": 2})


async def test_a_session_may_begin_with_a_lot_of_data(pair: list[Store]) -> None:
    one, other = pair
    data = {f"k{n}": n for n in range(9_000)}
    await one.create(SessionRecord("s1", "new of s1", b"", None, 0, data=data), LATER)
    assert (await other.attach("s1", 1)).record.data == data


async def test_what_redis_refuses_is_logged_now_and_then(
    pair: list[Store], redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    await make(pair[0])
    await redis.call("DEL", "multitransport:session:{.s1}")
    await redis.call("SET", "multitransport:session:{.s1}", "no hash")
    for _ in range(3):
        with pytest.raises(BrokerUnavailable, match="WRONGTYPE"):
            await pair[1].find("s1")
    assert [record.getMessage().count("WRONGTYPE") for record in caplog.records] == [1]


async def test_what_is_not_saved_is_written_with_the_next_step(pair: list[Store]) -> None:
    one, other = pair
    record = await make(one)
    for step, values in enumerate([{"a": 1, "b": 2}, {"b": 2, "c": 3}, {}]):
        record.data = dict(values)
        await one.claim("s1", 1, [step + 1], 8)
        await one.commit("s1", step + 1, None, 100)
        assert (found := await other.find("s1"))
        assert (found.data or {}) == values


STEPS = ["create", "attach", "claim", "commit", "join", "save", "detach", "settle", "finish", "end", "remove"]


@pytest.mark.parametrize("step", STEPS)
async def test_a_step_whose_answer_is_lost_was_taken_once(redis: RedisServer, step: str) -> None:
    async with FaultProxy(redis.url) as proxy, stores(redis.url, f"redis://127.0.0.1:{proxy.port}") as (one, other):
        await make(one)
        record, _ = await other.attach("s1", 2)
        await one.finish("s1")
        await other.claim("s1", 2, [1, 2], 8)
        record.data = {"x": 1}
        works = {
            "create": lambda: other.create(SessionRecord("s2", "new of s2", b"", None, 0), LATER),
            "attach": lambda: other.attach("s1", 3),
            "claim": lambda: other.claim("s1", 2, [3], 8),
            "commit": lambda: other.commit("s1", 1, b"one", 100),
            "join": lambda: other.join("s1", "a", Position("e", 1)),
            "save": lambda: other.save("s1"),
            "detach": lambda: other.detach("s1", 2, LATER),
            "settle": lambda: other.settle("s1"),
            "finish": lambda: other.finish("s1"),
            "end": lambda: other.end("s1", LastWord(4500, "never"), LATER),
            "remove": lambda: other.remove("s1"),
        }
        if step == "remove":
            await other.end("s1")
        proxy.cut_after(1, "down")
        result = await works[step]()  # type: ignore[no-untyped-call]
        assert proxy.cuts == 1
        await other.save("s1")
        found = await one.find("s1")
        if step in ("end", "remove"):
            assert (result, found) == (True if step == "end" else None, None)
        else:
            assert found is not None
            assert structs.replace(found, holders=record.holders) == record
        if step == "claim":
            assert (result, record.inbox.claimed) == (2, 3)
        if step == "commit":
            assert result is True


@pytest.mark.parametrize("speaks", ["another node", "this node"])
async def test_an_attach_whose_answer_came_too_late_expires(redis: RedisServer, speaks: str) -> None:
    timing = structs.replace(BRIEF, lease_seconds=60.0, probe_seconds=10.0, publish_seconds=0.5)
    async with (
        FaultProxy(redis.url) as proxy,
        stores(redis.url, f"redis://127.0.0.1:{proxy.port}", timing=timing) as (one, other),
    ):
        await make(one if speaks == "another node" else other)
        await proxy.refuse()
        proxy.cut_after(6 if speaks == "another node" else 1, "down")  # the answers to what comes before it are shorter
        with pytest.raises(BrokerUnavailable):
            await other.attach("s1", 2)
        assert await redis.call("HMGET", "multitransport:session:{.s1}", "a", "x") == [b"2", None]
        await proxy.accept()

        async def expires() -> bool:
            return bool(await redis.call("HGET", "multitransport:session:{.s1}", "x"))

        await eventually(expires)
        assert await one.owner("s1") == other.node
        former = one.node if speaks == "another node" else None
        assert [(await other.attach("s1", attach)).former for attach in (3, 4)] == [former, None]
