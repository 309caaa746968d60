"""Sessions that go from node to node faster than the word of it, and faster than Redis answers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from multitransport import Session
from multitransport.brokers.redis.scripts import Script
from multitransport.brokers.redis.sessions import holding
from multitransport.node import queue
from multitransport.protocol.position import Position
from multitransport.testing.waiting import eventually
from tests.integration.moving import Place, Visitor, cut_off, told_to_repeat_above


class Late:
    """Holds back what Redis answers a node to a script."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, place: Place, script: Script) -> None:
        self.answered = asyncio.Event()
        self.answer = asyncio.Event()
        fencing = place.node._store._fencing  # type: ignore[attr-defined]
        for name in ("run", "run_free"):
            monkeypatch.setattr(fencing, name, self._late(getattr(fencing, name), script))

    def _late(self, run: Any, script: Script) -> Any:
        async def run_late(*arguments: Any) -> Any:
            found = await run(*arguments)
            if script in arguments:
                self.answered.set()
                await self.answer.wait()
            return found

        return run_late


@pytest.mark.parametrize("script", ["settle", "finish"])
async def test_a_session_that_is_back_stays_whatever_was_asked_before(
    script: str, places: list[Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor = Visitor()
    if script == "settle":
        await visitor.poll(places[0], visitor.frame("send", "slow", 1))
        await eventually(lambda: places[0].ran == [["begin", 1]])
    late = Late(monkeypatch, places[0], getattr(holding, f"_{script.upper()}"))
    await visitor.poll(places[0])
    await visitor.poll(places[1])
    asked = asyncio.create_task(places[0].node._store.settle(visitor.session)) if script == "settle" else None
    await late.answered.wait()
    follows = visitor.frame("send", "slow", 2)
    coming = asyncio.create_task(visitor.poll(places[0], follows))
    await asyncio.sleep(0.1)  # it may wait for the answer, or have come
    late.answer.set()
    await coming
    places[0].gate.set()
    assert await visitor.until(places[0], "reply", follows[1]) == ["reply", follows[1], 0]
    assert [frame for frame in visitor.heard if frame[0] == "error"] == []
    if asked is not None:
        await asked


async def test_what_a_node_that_stops_gives_back_late_is_not_lost(
    places: list[Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = places[1].node._store
    give_back = store.give_back

    async def give_back_late(*arguments: Any) -> str | None:
        await asyncio.sleep(0.2)
        return await give_back(*arguments)

    monkeypatch.setattr(store, "give_back", give_back_late)
    visitor = Visitor()
    slow, waits = visitor.frame("send", "slow", 1), visitor.frame("send", "note", 2)
    await visitor.poll(places[0], slow)
    await eventually(lambda: places[0].ran == [["begin", 1]])
    await visitor.poll(places[1], waits)
    await visitor.poll(places[2])
    await eventually(lambda: visitor.session not in places[1].node.sessions)
    await places[1].app.extensions["multitransport"].stop()
    await told_to_repeat_above(1, visitor, places[2])
    places[0].gate.set()
    await visitor.send(places[2], waits)
    assert await visitor.until(places[2], "reply", 2) == ["reply", 2, 2]


async def test_what_is_claimed_while_a_node_gives_back_does_not_overtake_that(
    places: list[Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, giving, given, claimed = places[0].node._store, asyncio.Event(), asyncio.Event(), asyncio.Event()
    give_back, claim = store.give_back, store.claim

    async def give_back_late(*arguments: Any) -> str | None:
        giving.set()
        await given.wait()
        return await give_back(*arguments)

    async def claim_answered_late(*arguments: Any) -> int:
        before = await claim(*arguments)
        await claimed.wait()
        return before

    visitor = Visitor()
    slow, waits, follows = (visitor.frame("send", event, n) for n, event in enumerate(("slow", "note", "note"), 1))
    await visitor.poll(places[0], slow, waits)
    await eventually(lambda: places[0].ran == [["begin", 1]])
    monkeypatch.setattr(store, "give_back", give_back_late)
    monkeypatch.setattr(store, "claim", claim_answered_late)
    sending = asyncio.create_task(visitor.send(places[0], follows))
    await eventually(lambda: places[0].node.sessions[visitor.session].record.inbox.claimed == 3)
    await visitor.poll(places[1])
    await eventually(lambda: visitor.session not in places[0].node.sessions)
    stopping = asyncio.create_task(places[0].app.extensions["multitransport"].stop())
    await giving.wait()
    claimed.set()
    places[0].gate.set()
    await eventually(lambda: ["end", 1] in places[0].ran)
    await asyncio.sleep(0.1)  # nothing can be waited for: nothing must happen
    given.set()
    await asyncio.gather(stopping, sending, return_exceptions=True)
    await visitor.send(places[1], waits, follows)
    assert await visitor.until(places[1], "reply", 3) == ["reply", 3, 1]
    assert (places[0].ran, places[1].ran) == ([["begin", 1], ["end", 1]], [2, 3])


async def test_a_session_that_goes_while_its_node_stops_leaves_nothing_unbegun_there(places: list[Place]) -> None:
    visitor = Visitor()
    slow, waits = visitor.frame("send", "slow", 1), visitor.frame("send", "note", 2)
    await visitor.poll(places[0], slow)
    await eventually(lambda: places[0].ran == [["begin", 1]])
    await visitor.poll(places[1], waits)
    stopping = asyncio.create_task(places[1].app.extensions["multitransport"].stop())
    await eventually(lambda: places[1].node.draining)
    await asyncio.sleep(0.1)  # it has given back what was not begun of sessions that had gone by then
    await visitor.poll(places[2])
    await stopping
    await told_to_repeat_above(1, visitor, places[2])
    places[0].gate.set()
    await visitor.send(places[2], waits)
    assert await visitor.until(places[2], "reply", 2) == ["reply", 2, 2]


async def test_a_node_that_ends_a_session_which_has_gone_keeps_nothing_of_it(
    places: list[Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lost(*_: Any) -> bool:
        return True

    visitor = Visitor()
    await visitor.poll(places[0])
    client = places[0].node.sessions[visitor.session]
    monkeypatch.setattr(places[1].node._peers, "tell", lost)
    await visitor.poll(places[1])
    places[0].node.end(client, "expired")
    store: Any = places[0].node._store
    await eventually(lambda: visitor.session not in store._speaking.mirrors)
    assert places[0].ended == []
    await visitor.poll(places[1])
    assert visitor.session in places[1].node.sessions


async def test_what_is_lost_is_waited_for_from_when_its_turn_has_come(
    places: list[Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "_REPEAT_SECONDS", 1.5)
    visitor = Visitor()
    lost, follows = visitor.frame("send", "slow", 1), visitor.frame("send", "again", 2)
    await visitor.poll(places[0], lost)
    await eventually(lambda: places[0].ran == [["begin", 1]])
    await visitor.poll(places[1], follows)
    later = visitor.frame("send", "note", 3)
    await visitor.poll(places[2], later)
    await cut_off(places[1])
    await told_to_repeat_above(1, visitor, places[2])
    await asyncio.sleep(2.0)  # longer than it would be waited for
    places[2].gate.set()
    places[0].gate.set()
    await visitor.until(places[2], "reply", 1)
    await visitor.send(places[2], follows)
    assert await visitor.until(places[2], "reply", 3) == ["reply", 3, 2]
    assert places[2].ran == [2, 3]


async def test_what_runs_beside_and_is_sent_again_elsewhere_keeps_nothing_waiting(places: list[Place]) -> None:
    visitor = Visitor()
    beside, follows = visitor.frame("send", "beside", 1), visitor.frame("send", "note", 2)
    await visitor.poll(places[0], beside)
    await eventually(lambda: places[0].ran == [["begin", 1]])
    await visitor.poll(places[1])
    await visitor.send(places[1], beside, follows)
    assert await visitor.until(places[1], "reply", 2, seconds=3.0) == ["reply", 2, 1]
    places[0].gate.set()
    assert await visitor.until(places[1], "reply", 1) == ["reply", 1, 0]


async def test_a_room_that_is_left_while_its_session_hears_of_changes_keeps_it_from_none(
    places: list[Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor = Visitor()
    await visitor.poll(places[0])
    client, store = places[0].node.sessions[visitor.session], places[0].node._store
    polling = asyncio.create_task(visitor.poll(places[0], wait=5.0))
    await eventually(lambda: client.attachment is not None)
    for room in ("hall", "slow"):
        await store.join(visitor.session, room, Position("e", 0))
    welcome, told = places[0].node._welcome, []

    async def rejoin(client: Session, attachment: object, name: str, *_: Any, **__: Any) -> None:
        told.append(name)
        for room in {"hall", "slow"} - {name}:
            await store.leave(client.session_id, room)

    monkeypatch.setattr(welcome, "rejoin", rejoin)
    await welcome.tell_changes(client, frozenset(), frozenset())
    assert {"hall", "slow"} <= set(told)
    await visitor.poll(places[0])
    await polling
