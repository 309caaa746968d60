"""Sessions that go from node to node while frames of them are held, lost, given back and sent again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from multitransport.brokers.redis.sessions import holding
from multitransport.client import Client
from multitransport.client.stream import SseConnector
from multitransport.errors import BrokerUnavailable
from multitransport.node import queue, watches
from multitransport.testing.waiting import eventually
from tests.integration.moving import Place, Visitor, take_for_gone, three_places, told_to_repeat_above
from tests.redis_server import RedisServer
from tests.redis_stores import Interruption

FOREVER = 3600.0


@pytest.fixture
async def places(redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[Place]]:
    monkeypatch.setattr(watches, "_LOOK_SECONDS", 0.2)
    async with three_places(redis.url) as places:
        yield places


async def begun(visitor: Visitor, place: Place, event: str) -> Any:
    """Have a handler begin with 1 at a node, and return its frame."""
    frame = visitor.frame("send", event, 1)
    await visitor.poll(place, frame)
    await eventually(lambda: place.ran)
    return frame


async def key_of(redis: RedisServer) -> str:
    [key] = [key for key in await redis.keys() if "session:{" in key]
    return key


async def left(visitor: Visitor, place: Place) -> None:
    """Return when a node knows that a session has gone."""
    await eventually(lambda: visitor.session not in place.node.sessions)


# What is concurrent


async def test_what_is_concurrent_elsewhere_and_sent_again_on_a_stream_keeps_nothing_waiting(
    places: list[Place],
) -> None:
    visitor = Visitor()
    beside = await begun(visitor, places[0], "beside")
    async with visitor.listening(places[1]):
        await visitor.send(places[1], beside, visitor.frame("send", "note", 2))
        assert await visitor.hears("reply", 2) == ["reply", 2, 1]
        places[0].gate.set()
        assert await visitor.hears("reply", 1) == ["reply", 1, 0]
    assert (places[0].ran, places[1].ran) == ([["begin", 1], ["end", 1]], [2])


async def test_a_client_on_a_stream_goes_on_while_what_is_concurrent_runs_at_another_node(places: list[Place]) -> None:
    here = places[0]

    class Wherever(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            return await here.http._transport.handle_async_request(request)

    async with httpx.AsyncClient(transport=Wherever(), base_url="http://here/realtime") as http:
        client = Client({"sse": SseConnector(http, "http://here/realtime")})
        async with client, asyncio.timeout(10):
            beside = asyncio.create_task(client.request("beside", 1))
            await eventually(lambda: places[0].ran)
            here = places[1]
            await client.cut()
            assert await client.request("note", 2) == 1
            places[0].gate.set()
            assert await beside == 0


async def test_bye_waits_for_what_is_concurrent_at_another_node(places: list[Place]) -> None:
    visitor = Visitor()
    await begun(visitor, places[0], "beside")
    await visitor.poll(places[1], ["bye"])
    await left(visitor, places[0])
    await asyncio.sleep(0.2)  # nothing can be waited for: nothing must happen
    assert places[1].ended == []
    places[0].gate.set()
    await eventually(lambda: places[1].ended == ["bye"])
    assert places[0].ran == [["begin", 1], ["end", 1]]


async def test_an_answer_that_is_sent_again_and_again_waits_once(
    places: list[Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor = Visitor()
    await visitor.poll(places[0])
    answer = await stuck_answer(visitor, places[0], monkeypatch)
    await visitor.poll(places[1])
    await visitor.send(places[1], *[answer] * 20)
    await visitor.send(places[1], *[answer] * 20)
    client = places[1].node.sessions[visitor.session]
    assert len(client.tasks or ()) == 1
    places[0].gate.set()
    assert (await visitor.until(places[1], "error", 1))[2] == "unknown_ask"
    await eventually(lambda: not client.tasks and not client.repeating)


async def test_nothing_waits_for_an_answer_that_was_lost(places: list[Place], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "_REPEAT_SECONDS", FOREVER)
    visitor = Visitor()
    await visitor.poll(places[0])
    answer = await stuck_answer(visitor, places[0], monkeypatch)
    await visitor.poll(places[1])
    await take_for_gone(places[0], visitor, places[1])
    await visitor.send(places[1], visitor.frame("send", "note", 2))
    assert await visitor.until(places[1], "reply", 2) == ["reply", 2, 1]
    await visitor.send(places[1], answer)
    assert (await visitor.until(places[1], "error", 1))[2] == "unknown_ask"


async def stuck_answer(visitor: Visitor, place: Place, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return an answer that a node has taken and is not done with before its gate opens."""

    async def answered_late(*_: Any) -> bool:
        return not await place.gate.wait()

    monkeypatch.setattr(place.node.verbs, "answered", answered_late)
    answer = visitor.frame("answer", "x@nobody.1", 1)
    await visitor.send(place, answer)
    return answer


# What is lost


async def test_what_a_node_took_without_hearing_so_is_sent_again_when_the_session_is_back(places: list[Place]) -> None:
    visitor = Visitor()
    await begun(visitor, places[0], "slow")
    lost = Interruption(places[0].node._store, holding._CLAIM)  # type: ignore[arg-type]
    note = visitor.frame("send", "note", 2)
    sending = asyncio.create_task(visitor.send(places[0], note))
    await lost.reached.wait()
    await visitor.poll(places[1])
    await left(visitor, places[0])
    lost.let_go()
    assert (await sending)[0][:2] == ["close", 3006]
    await visitor.poll(places[0])
    await told_to_repeat_above(1, visitor, places[0])
    places[0].gate.set()
    await visitor.send(places[0], note)
    assert await visitor.until(places[0], "reply", 1) == ["reply", 1, 0]
    assert (await visitor.until(places[0], "error", 2))[2] == "outcome_unknown"
    assert await settled_at(places[0], visitor) == 2


async def settled_at(place: Place, visitor: Visitor) -> int:
    """Return up to where a session's frames are done."""
    record = place.node.sessions[visitor.session].record
    await eventually(lambda: record.inbox.processed == record.inbox.claimed)
    return record.inbox.processed


async def test_a_client_on_a_stream_comes_back_to_send_again_what_is_lost_meanwhile(places: list[Place]) -> None:
    visitor = Visitor()
    await visitor.poll(places[0])
    slow = visitor.frame("send", "slow", 1)
    async with visitor.listening(places[0], slow):
        await eventually(lambda: places[0].ran)
        # Another node, where the session was, takes this one for gone, which is back before it has lost its lease.
        await places[1].node._store.settle(visitor.session, {places[0].node._store.node})
        places[0].gate.set()
        close = await visitor.hears("close")
        assert (close[1], close[3]) == (3000, {"retry_after": 0.1})
    async with visitor.listening(places[0]) as welcome:
        assert welcome[1]["seq"] == 0
        await visitor.send(places[0], slow)
        assert (await visitor.hears("error", 1))[2] == "outcome_unknown"


async def test_what_was_lost_and_runs_again_at_another_node_still_comes_before_what_waits(
    places: list[Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "_REPEAT_SECONDS", FOREVER)
    visitor = Visitor()
    again = await begun(visitor, places[0], "again")
    await visitor.poll(places[1], visitor.frame("send", "note", 2))
    waiting = places[1].node.sessions[visitor.session]
    await visitor.poll(places[2])
    await left(visitor, places[1])
    await take_for_gone(places[0], visitor, places[2], places[1])
    await eventually(lambda: waiting.lost is not None and not places[1].node._moves._watches._watched)
    await visitor.send(places[2], again)
    await eventually(lambda: places[2].ran == [1])
    monkeypatch.setattr(queue, "_REPEAT_SECONDS", 0.0)
    waiting.stir()
    await eventually(lambda: waiting.lost is None)  # it waits no longer for the client
    assert (places[1].ran, waiting.doing) == ([], None)
    places[2].gate.set()
    assert await visitor.until(places[2], "reply", 2) == ["reply", 2, 1]


async def test_what_is_sent_again_comes_before_a_room_that_a_hello_names(
    places: list[Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "_REPEAT_SECONDS", FOREVER)
    visitor = Visitor()
    again = await begun(visitor, places[0], "again")
    places[1].gate.set()
    await visitor.poll(places[1])
    await take_for_gone(places[0], visitor, places[1])
    visitor.positions["hall"] = {}
    await visitor.poll(places[1])
    await visitor.send(places[1], again)
    assert await visitor.until(places[1], "reply", 1) == ["reply", 1, 1]
    await visitor.until(places[1], "joined", None, "hall")


async def test_what_redis_has_lost_and_the_client_has_the_outcome_of_keeps_nothing_from_being_acknowledged(
    places: list[Place], redis: RedisServer
) -> None:
    visitor = Visitor()
    await visitor.poll(places[0], visitor.frame("send", "note", 1))
    await visitor.until(places[0], "reply", 1)
    await visitor.poll(places[0])
    assert visitor.acked == 1
    await visitor.poll(places[1])
    await left(visitor, places[0])
    # Redis has lost its last second, and the node that did this then is gone.
    key = await key_of(redis)
    await redis.call("HSET", key, "p", 0, "k", 0, "f:1", places[0].node._store.node)
    await visitor.poll(places[2])
    await take_for_gone(places[0], visitor, places[2])
    await visitor.poll(places[2], visitor.frame("send", "note", 2))
    assert await visitor.until(places[2], "reply", 2) == ["reply", 2, 2]
    await visitor.until(places[2], "ack", 2)
    before = asyncio.get_running_loop().time()
    assert (await visitor.poll(places[2], wait=0.5))[0][1]["seq"] == 2
    assert asyncio.get_running_loop().time() - before >= 0.5, "it has nothing to send again"


# What is given back


async def test_a_poll_is_held_while_what_was_sent_again_waits_behind_what_runs(places: list[Place]) -> None:
    visitor = Visitor()
    await begun(visitor, places[0], "slow")
    note = visitor.frame("send", "note", 2)
    await visitor.poll(places[1], note)
    await visitor.poll(places[2])
    await left(visitor, places[1])
    await places[1].stop()
    await told_to_repeat_above(1, visitor, places[2])
    await visitor.send(places[2], note)
    before = asyncio.get_running_loop().time()
    assert (await visitor.poll(places[2], wait=0.5))[0][1]["seq"] == 2
    assert asyncio.get_running_loop().time() - before >= 0.5
    places[0].gate.set()
    assert await visitor.until(places[2], "reply", 2) == ["reply", 2, 2]


async def test_what_is_not_begun_is_given_back_also_where_its_session_goes_while_the_node_stops(
    places: list[Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor = Visitor()
    slow, note = await begun(visitor, places[0], "slow"), visitor.frame("send", "note", 2)
    await visitor.send(places[0], note)
    moves, gave_back = places[0].node._moves, asyncio.Event()
    give_back_all = moves.give_back_all

    async def noted(**which: bool) -> None:
        await give_back_all(**which)
        gave_back.set()

    monkeypatch.setattr(moves, "give_back_all", noted)
    stopping = asyncio.create_task(places[0].stop())
    await gave_back.wait()
    await visitor.poll(places[1])
    await left(visitor, places[0])
    await stopping
    await told_to_repeat_above(0, visitor, places[1])
    await visitor.send(places[1], slow, note)
    assert (await visitor.until(places[1], "error", 1))[2] == "outcome_unknown"
    assert await visitor.until(places[1], "reply", 2) == ["reply", 2, 1]
    assert (places[0].ran, places[1].ran) == ([["begin", 1]], [2])


async def test_a_node_stops_though_redis_refuses_what_it_gives_back(
    places: list[Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor = Visitor()
    await begun(visitor, places[0], "slow")
    await visitor.send(places[0], visitor.frame("send", "note", 2))
    store, refused = places[0].node._store, []

    async def refuse(session_id: str, seqs: list[int], **_: Any) -> None:
        refused.append(seqs)
        raise BrokerUnavailable("for the test")

    monkeypatch.setattr(store, "give_back", refuse)
    node = store.node
    await places[0].stop()
    assert refused == [[2]]
    assert node not in await places[1].node._store.nodes(), "it has given its lease up"


async def test_a_bye_behind_what_runs_where_a_session_was_ends_it_no_more(places: list[Place]) -> None:
    visitor = Visitor()
    await begun(visitor, places[0], "slow")
    await visitor.send(places[0], ["bye"])
    await visitor.poll(places[1])
    await left(visitor, places[0])
    await visitor.poll(places[0])
    places[0].gate.set()
    assert await visitor.until(places[0], "reply", 1) == ["reply", 1, 0]
    await visitor.send(places[0], visitor.frame("send", "note", 2))
    assert await visitor.until(places[0], "reply", 2) == ["reply", 2, 0]
    assert (places[0].ended, [place.node._moves._leaving for place in places]) == ([], [{}, {}, {}])
