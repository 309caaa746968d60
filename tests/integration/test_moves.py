"""Sessions that go from node to node by hand: each poll and each message at the node the test chooses."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from multitransport import OutcomeUnknown
from multitransport.core.session import State
from multitransport.node import queue
from multitransport.testing.waiting import eventually
from tests.integration.moving import Place, Visitor, cut_off, settled, told_to_repeat_above
from tests.redis_server import RedisServer


async def test_each_poll_and_each_message_may_come_to_another_node(places: list[Place]) -> None:
    visitor = Visitor()
    await visitor.poll(places[0], visitor.frame("join", "hall"))
    await visitor.until(places[1], "joined", 1, "hall")
    for n in range(6):
        sent = await visitor.send(places[n % 3], visitor.frame("send", "note", n))
        assert sent[-1][0] == "ack"
        reply = await visitor.until(places[(n + 1) % 3], "reply", n + 2)
        assert reply[2] in (0, 1, 2)
        await places[n % 3].rt.publish("hall", "said", n)
        await visitor.until(places[(n + 2) % 3], "pub", "hall")
    told = [frame[4] for frame in visitor.heard if frame[:2] == ["pub", "hall"]]
    assert told == list(range(6))
    assert sorted(each for place in places for each in place.ran) == list(range(6))
    await eventually(lambda: sum(len(place.node.sessions) for place in places) == 1)
    assert not any("gap" in frame[0] for frame in visitor.heard)


async def test_what_runs_when_a_session_goes_is_told_where_it_is_and_comes_before_what_follows(
    places: list[Place],
) -> None:
    visitor = Visitor()
    await visitor.poll(places[0], visitor.frame("send", "slow", 1))
    await eventually(lambda: places[0].ran == [["begin", 1]])
    await visitor.poll(places[1], visitor.frame("send", "note", 2))
    await visitor.send(places[2], visitor.frame("send", "data", None))
    await asyncio.sleep(0.1)  # nothing can be waited for: nothing must happen
    assert places[1].ran == []
    places[0].gate.set()
    assert await visitor.until(places[2], "reply", 1) == ["reply", 1, 0]
    assert await visitor.until(places[0], "reply", 2) == ["reply", 2, 1]
    data = await visitor.until(places[2], "reply", 3)
    assert data[2] == {"came": 0, "slow": 1, "noted": 2}
    session = await settled(places, visitor)
    assert session.inbox.processed == 3


async def test_a_room_whose_check_runs_when_its_session_goes_is_joined_where_it_is(places: list[Place]) -> None:
    visitor = Visitor()
    await visitor.poll(places[0], visitor.frame("join", "slow"))
    await visitor.poll(places[1])
    places[0].gate.set()
    await visitor.until(places[1], "joined", 1, "slow")
    await places[2].rt.publish("slow", "said", "there")
    assert (await visitor.until(places[1], "pub", "slow"))[4] == "there"
    assert [frame[0] for frame in visitor.heard if frame[0] == "joined" and frame[2] == "slow"] == ["joined"]


async def test_what_a_node_took_and_did_not_finish_is_sent_again_and_has_an_outcome_though_the_node_is_gone(
    places: list[Place],
) -> None:
    visitor = Visitor()
    slow, follows = visitor.frame("send", "slow", 2), visitor.frame("send", "note", 3)
    await visitor.poll(places[0], slow)
    await eventually(lambda: places[0].ran == [["begin", 2]])
    await cut_off(places[0])
    await told_to_repeat_above(0, visitor, places[1])
    await visitor.send(places[2], slow, follows)
    assert (await visitor.until(places[1], "error", 1))[2] == "outcome_unknown"
    assert await visitor.until(places[1], "reply", 2) == ["reply", 2, 1]
    # Nothing is to be sent again any more.
    welcome, *_ = await visitor.poll(places[2])
    assert welcome[1]["seq"] == 2


@pytest.mark.parametrize("follows", ["beside the poll", "with the next poll"])
async def test_what_is_lost_with_a_node_runs_again_before_what_follows(places: list[Place], follows: str) -> None:
    visitor = Visitor()
    lost, later = visitor.frame("send", "again", 1), visitor.frame("send", "note", 2)
    await visitor.poll(places[0], lost)
    await eventually(lambda: places[0].ran == [1])
    await cut_off(places[0])
    places[1].gate.set()
    if follows == "beside the poll":
        await visitor.poll(places[1])
        await visitor.send(places[2], later)
    else:
        await visitor.poll(places[1], later)
    await visitor.poll(places[1], wait=9.0)  # it is told that it must send again
    await visitor.send(places[1], lost, later)
    assert await visitor.until(places[1], "reply", 2) == ["reply", 2, 1]
    assert places[1].ran == [1, 2]


@pytest.mark.parametrize("goes_on", [1, 2])
async def test_what_is_lost_is_not_waited_for_without_end_and_does_not_run_after_what_follows_it(
    places: list[Place], monkeypatch: pytest.MonkeyPatch, goes_on: int
) -> None:
    """Also where the client is elsewhere by then."""
    monkeypatch.setattr(queue, "_REPEAT_SECONDS", 3.0)
    visitor = Visitor()
    lost = visitor.frame("send", "again", 1)
    await visitor.poll(places[0], lost)
    await eventually(lambda: places[0].ran == [1])
    await cut_off(places[0])
    await visitor.poll(places[1], visitor.frame("send", "note", 2))
    await visitor.poll(places[goes_on])
    unknown = await visitor.until(places[goes_on], "error", 1, seconds=20.0)
    assert unknown[2] == "outcome_unknown"
    assert await visitor.until(places[goes_on], "reply", 2) == ["reply", 2, 1]
    await visitor.send(places[goes_on], lost)
    await visitor.poll(places[goes_on])
    assert (places[1].ran, places[2].ran) == ([2], [])


async def test_what_runs_comes_before_what_follows_also_when_its_session_is_back(places: list[Place]) -> None:
    visitor = Visitor()
    await visitor.poll(places[0], visitor.frame("send", "slow", 1), visitor.frame("send", "note", 2))
    await eventually(lambda: places[0].ran == [["begin", 1]])
    await visitor.poll(places[1], visitor.frame("send", "note", 3))
    await visitor.poll(places[0])
    await eventually(lambda: visitor.session not in places[1].node.sessions)
    await asyncio.sleep(1.5)  # nothing can be waited for: node 1 looks each second whether it may go on, and may not
    assert places[1].ran == []
    places[0].gate.set()
    assert await visitor.until(places[0], "reply", 3) == ["reply", 3, 1]
    assert places[0].ran == [["begin", 1], ["end", 1], 2]


async def test_what_is_sent_again_on_the_way_is_left_to_the_node_where_it_runs(places: list[Place]) -> None:
    visitor = Visitor()
    slow = visitor.frame("send", "slow", 1)
    await visitor.poll(places[0], slow)
    await eventually(lambda: places[0].ran == [["begin", 1]])
    await visitor.poll(places[1])
    await visitor.send(places[1], slow)
    await visitor.poll(places[0])
    await eventually(lambda: visitor.session not in places[1].node.sessions)
    await asyncio.sleep(1.5)  # nothing can be waited for: node 1 looks each second what has become of it
    places[0].gate.set()
    assert await visitor.until(places[0], "reply", 1) == ["reply", 1, 0]
    assert [frame for frame in visitor.heard if frame[0] == "error"] == []


async def test_a_poll_ends_as_soon_as_it_is_certain_that_something_must_be_sent_again(places: list[Place]) -> None:
    visitor = Visitor()
    await visitor.poll(places[0], visitor.frame("send", "slow", 1))
    await eventually(lambda: places[0].ran == [["begin", 1]])
    await cut_off(places[0])
    async with asyncio.timeout(8):
        await told_to_repeat_above(0, visitor, places[1], wait=30.0)
        for place in places[1:]:
            welcome, *_ = await visitor.poll(place, wait=30.0)
            assert welcome[1]["seq"] == 0


async def test_where_its_node_lives_a_client_that_polls_has_nothing_to_repeat(places: list[Place]) -> None:
    visitor = Visitor()
    await visitor.poll(places[0], visitor.frame("send", "slow", 1))
    await eventually(lambda: places[0].ran == [["begin", 1]])
    for place in (places[1], places[2], places[0]):
        welcome, *_ = await visitor.poll(place, wait=0.1)
        assert welcome[1]["seq"] == 1


async def test_what_runs_beside_keeps_nothing_waiting_wherever_its_session_is(places: list[Place]) -> None:
    visitor = Visitor()
    await visitor.poll(places[0], visitor.frame("send", "beside", 1))
    await eventually(lambda: places[0].ran == [["begin", 1]])
    for seq, place in enumerate((places[1], places[0], places[2]), 2):
        await visitor.poll(place, visitor.frame("send", "note", seq))
        await visitor.until(place, "reply", seq, seconds=1.0)
    places[0].gate.set()
    assert await visitor.until(places[1], "reply", 1) == ["reply", 1, 0]
    session = await settled(places, visitor)
    assert session.inbox.processed == 4


async def test_what_a_node_that_stops_has_not_begun_is_given_back_and_sent_again(places: list[Place]) -> None:
    visitor = Visitor()
    slow, waits, follows = (visitor.frame("send", event, n) for n, event in enumerate(("slow", "note", "note"), 1))
    await visitor.poll(places[0], slow)
    await eventually(lambda: places[0].ran == [["begin", 1]])
    await visitor.poll(places[1], waits)
    await visitor.poll(places[2], follows)
    await places[1].stop()
    await told_to_repeat_above(1, visitor, places[2])
    places[0].gate.set()
    await visitor.send(places[2], waits, follows)
    assert await visitor.until(places[2], "reply", 3) == ["reply", 3, 2]
    assert (places[0].ran[-1], places[1].ran, places[2].ran) == (["end", 1], [], [2, 3])


async def test_what_is_being_claimed_when_its_session_goes_runs_once_and_is_waited_for(
    places: list[Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, answer = places[0].node._store, asyncio.Event()
    claim = store.claim

    async def claim_answered_late(*arguments: Any) -> int:
        before = await claim(*arguments)
        await answer.wait()
        return before

    visitor = Visitor()
    await visitor.poll(places[0])
    monkeypatch.setattr(store, "claim", claim_answered_late)
    note, follows = visitor.frame("send", "note", 1), visitor.frame("send", "note", 2)
    sending = asyncio.create_task(visitor.send(places[0], note))
    await eventually(lambda: places[0].node.sessions[visitor.session].record.inbox.claimed == 1)
    await visitor.poll(places[1])
    await visitor.send(places[1], note, follows)
    await eventually(lambda: visitor.session not in places[0].node.sessions)
    await asyncio.sleep(0.1)  # nothing can be waited for: nothing must happen
    assert places[1].ran == []
    answer.set()
    assert await visitor.until(places[1], "reply", 1) == ["reply", 1, 0]
    assert await visitor.until(places[1], "reply", 2) == ["reply", 2, 1]
    assert (places[0].ran, places[1].ran) == ([1], [2])
    await asyncio.gather(sending, return_exceptions=True)


async def test_a_session_that_comes_back_while_its_handler_runs(places: list[Place]) -> None:
    visitor = Visitor()
    await visitor.poll(places[0], visitor.frame("send", "slow", 1))
    await eventually(lambda: places[0].ran == [["begin", 1]])
    for place in (places[1], places[0], places[1], places[0]):
        await visitor.poll(place)
    await visitor.poll(places[0], visitor.frame("send", "note", 2))
    places[0].gate.set()
    assert await visitor.until(places[0], "reply", 2) == ["reply", 2, 0]
    assert places[0].ran == [["begin", 1], ["end", 1], 2]
    assert len([frame for frame in visitor.heard if frame[:2] == ["reply", 1]]) >= 1


async def test_a_question_is_answered_from_another_node(places: list[Place]) -> None:
    visitor = Visitor()
    await visitor.poll(places[0], visitor.frame("send", "ask", "who?"))
    ask = (await visitor.until(places[1], "pub", visitor.inbox))[5]["ask"]
    await visitor.send(places[2], visitor.frame("answer", ask, "me"))
    assert await visitor.until(places[1], "reply", 1) == ["reply", 1, "me"]
    await visitor.send(places[2], visitor.frame("answer", ask, "me again"))
    assert (await visitor.until(places[0], "error", 3))[2] == "unknown_ask"


async def test_a_question_ends_with_its_session_wherever_that_is(places: list[Place]) -> None:
    visitor = Visitor()
    await visitor.poll(places[0])
    client = places[0].node.sessions[visitor.session]
    asked = asyncio.create_task(client.request("question", "really?", timeout=60.0))
    await visitor.until(places[1], "pub")
    await visitor.poll(places[1], ["bye"])
    with pytest.raises(OutcomeUnknown, match="has ended"):
        await asyncio.wait_for(asked, 20)


async def test_what_the_server_does_reaches_a_session_from_any_node(places: list[Place]) -> None:
    visitor = Visitor()
    await visitor.poll(places[0])
    await places[1].rt.join("hall", user="ann")
    await visitor.until(places[0], "joined", None, "hall")
    await places[2].rt.publish(places[2].rt.session(visitor.session), "hello", 1)
    await visitor.until(places[1], "pub", visitor.inbox)
    await places[0].rt.publish(places[0].rt.user("ann"), "hello", 2)
    await visitor.until(places[2], "pub", "@user/ann")
    for place in places:
        assert [member.user for member in await place.rt.members("hall")] == ["ann"]
    asking = asyncio.create_task(places[1].rt.request_all("hall", "question", "all?", timeout=5.0))
    ask = (await visitor.until(places[2], "pub", visitor.inbox))[5]["ask"]
    await visitor.send(places[0], visitor.frame("answer", ask, 42))
    assert (await asking).answers == {visitor.session: 42}
    await places[1].rt.leave("hall", session=visitor.session)
    await visitor.until(places[0], "left", None, "hall")
    await places[2].rt.disconnect(user="ann", code=4500, reason="enough")
    for place in (places[1], places[2]):
        assert (await visitor.poll(place))[0][:3] == ["close", 4500, "enough"]
    await eventually(lambda: [each for place in places for each in place.ended] == ["enough"])


async def test_an_inbox_follows_its_session_at_once(places: list[Place]) -> None:
    visitor = Visitor()
    await visitor.poll(places[0])
    inbox = places[0].rt.session(visitor.session)
    for n in range(12):
        moving = asyncio.create_task(visitor.poll(places[n % 3], wait=0.0))
        await places[(n + 1) % 3].rt.publish(inbox, "number", n)
        await moving
    async with asyncio.timeout(5):
        while len([frame for frame in visitor.heard if frame[0] == "pub"]) < 12:
            await visitor.poll(places[0], wait=0.2)
    assert [frame[4] for frame in visitor.heard if frame[0] == "pub"] == list(range(12))


async def test_who_comes_by_a_hello_that_was_cut_off_is_missed_only_after_a_while(places: list[Place]) -> None:
    visitor = Visitor()
    await visitor.poll(places[0], visitor.frame("join", "hall"))
    await visitor.until(places[0], "joined", 1)
    shown = places[2].rt.members
    await places[1].node._store.attach(visitor.session, visitor.attach + 1)
    await places[2].rt.publish(places[2].rt.session(visitor.session), "hello", 1)  # it is looked for, and found there
    client = places[1].node.sessions[visitor.session]
    await places[1].node._moves.settle(client)
    await places[1].node.presence.refresh(client)
    assert [member.user for member in await shown("hall")] == ["ann"]

    async def is_gone() -> bool:
        return not await shown("hall")

    await eventually(is_gone)


async def test_racing_hellos_at_all_nodes_leave_one_session(places: list[Place]) -> None:
    visitor = Visitor()
    await visitor.poll(places[0], visitor.frame("join", "hall"))
    for _ in range(5):
        await asyncio.gather(*(visitor.poll(place) for place in places), return_exceptions=True)
    await visitor.poll(places[1])
    await visitor.send(places[2], visitor.frame("send", "note", "x"))
    assert await visitor.until(places[1], "reply", 2) == ["reply", 2, 1]
    await eventually(lambda: sum(len(place.node.sessions) for place in places) == 1)


async def test_a_session_nobody_comes_back_for_ends_once_and_leaves_nothing(places: list[Place]) -> None:
    visitor = Visitor()
    await visitor.poll(places[0], visitor.frame("join", "hall"))
    await visitor.until(places[1], "joined", 1)
    await places[2].rt.publish(places[2].rt.session(visitor.session), "hello", 1)
    await eventually(lambda: sum(len(place.node.sessions) for place in places) == 1)
    [client] = [each for place in places for each in place.node.sessions.values()]
    assert client.state is State.DETACHED
    await eventually(lambda: [each for place in places for each in place.ended] == ["expired"], 12.0)
    await eventually(lambda: not any(len(place.node.sessions) for place in places))
    assert await places[0].rt.members("hall") == []


async def test_an_end_whose_node_stops_in_its_callbacks_is_announced_again_but_not_once(places: list[Place]) -> None:
    visitor = Visitor()
    await visitor.poll(places[0], visitor.frame("join", "hall"))
    places[0].stuck = True
    await visitor.poll(places[0], ["bye"])
    await eventually(lambda: places[0].ended_once)
    await places[0].stop()
    await eventually(lambda: any(place.ended for place in places[1:]), 10.0)
    await eventually(lambda: not any(len(place.node.sessions) for place in places[1:]))
    assert sorted(reason for place in places for reason in place.ended) == ["bye", "expired"]
    assert [place.ended_once for place in places] == [["bye"], [], []]


async def test_who_stays_at_a_node_that_stops_is_adopted_and_resumes_elsewhere(places: list[Place]) -> None:
    visitor = Visitor()
    await visitor.poll(places[0], visitor.frame("join", "hall"), visitor.frame("send", "note", 1))
    await visitor.until(places[0], "reply", 2)
    await places[0].stop()
    await eventually(lambda: any(place.node.sessions for place in places[1:]), 10.0)
    await places[1].rt.publish("hall", "said", "meanwhile")
    assert (await visitor.until(places[2], "pub", "hall"))[4] == "meanwhile"
    await visitor.poll(places[1], visitor.frame("send", "data", None))
    assert (await visitor.until(places[2], "reply", 3))[2] == {"came": 0, "noted": 1}
    assert [each for place in places for each in place.ended] == []


async def test_what_is_published_to_a_session_that_ended_elsewhere_is_not_kept(
    places: list[Place], redis: RedisServer
) -> None:
    visitor = Visitor()
    await visitor.poll(places[0])
    session = places[1].rt.session(visitor.session)
    await places[1].rt.publish(session, "hello", 1)
    await visitor.poll(places[0], ["bye"])
    await eventually(lambda: places[0].ended)
    await places[1].rt.publish(session, "hello", "who is there?")
    keys = [key for key in await redis.keys() if "@session" in key]
    assert keys == []
