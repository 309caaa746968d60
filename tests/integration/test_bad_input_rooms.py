"""What a client may get wrong about rooms, members, questions and bytes. Whatever it is: nobody else hears of it,
nothing is made for it, and the session lives or is closed with a word of why.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from multitransport.testing.waiting import eventually
from tests.contracts.served import Served
from tests.contracts.wires import TRANSPORTS, Frame, Wire, binary_message, wire
from tests.integration.bystander import close_code, served_beside_another

JOINED = ["log/a", "state/a", "small/a", "team/a"]
"""What the session is in, by seqs 1 to 4, when it does something wrong."""

LONG = "x" * 256

REFUSED: dict[str, tuple[str, str]] = {
    "a rate of 0": ('["join",5,"state/a",{"max_rate":0}]', "bad_frame"),
    "a rate of next to nothing": ('["join",5,"state/a",{"max_rate":1e-320}]', "bad_frame"),
    "a rate below 0": ('["join",5,"state/a",{"max_rate":-1}]', "bad_frame"),
    "a rate of many": ('["join",5,"state/a",{"max_rate":"many"}]', "bad_frame"),
    "a rate of too many": ('["join",5,"state/a",{"max_rate":1001}]', "bad_frame"),
    "a key to a log": ('["publish",5,"log/a","said",1,{"key":"k"}]', "invalid"),
    "a deletion in a log": ('["publish",5,"log/a","said",1,{"deleted":true}]', "invalid"),
    "no key to a state room": ('["publish",5,"state/a","said",1]', "invalid"),
    "a deletion of no key": ('["publish",5,"state/a","said",1,{"deleted":true}]', "invalid"),
    "a key without a name": ('["publish",5,"state/a","said",1,{"key":""}]', "bad_frame"),
    "a key too long": (f'["publish",5,"state/a","said",1,{{"key":"{LONG}"}}]', "bad_frame"),
    "a key that is a number": ('["publish",5,"state/a","said",1,{"key":1}]', "bad_frame"),
    "a key too many": ('["publish",5,"small/a","said",1,{"key":"fourth"}]', "too_many_keys"),
    "a value too large": (f'["publish",5,"small/a","said","{"x" * 2000}",{{"key":"one"}}]', "too_many_keys"),
    "an event too long": (f'["publish",5,"log/a","{LONG}",1]', "bad_frame"),
    "a meta too big": (f'["presence",5,"team/a","{"x" * 4095}"]', "invalid"),
    "a meta of no room": ('["presence",5,"team/b",1]', "not_joined"),
    "a meta without presence": ('["presence",5,"log/a",1]', "not_joined"),
    "no meta": ('["presence",5,"team/a"]', "bad_frame"),
    "an answer never asked": ('["answer",5,"never asked",1]', "unknown_ask"),
    "an error never asked": ('["answer_error",5,"never asked","no","x"]', "unknown_ask"),
    "an answer to nothing": ('["answer",5,"",1]', "bad_frame"),
    "an error whose code is none": ('["answer_error",5,"never asked","Not A Code","x"]', "bad_frame"),
    "base64 with other letters": ('["send",5,"note","a!b=",{"b64":true}]', "bad_frame"),
    "base64 that is not padded": ('["send",5,"note","YWI",{"b64":true}]', "bad_frame"),
    "base64 in lines": ('["send",5,"note","YWJj\\nYWJj",{"b64":true}]', "bad_frame"),
    "base64 of the other alphabet": ('["send",5,"note","_-__",{"b64":true}]', "bad_frame"),
    "base64 that is no text": ('["send",5,"note",5,{"b64":true}]', "bad_frame"),
    "base64 or perhaps not": ('["send",5,"note","YWJj",{"b64":"yes"}]', "bad_frame"),
    "to join presence it has": ('["join",5,"@presence/team/a"]', "bad_room"),
    "to join presence of others": ('["join",5,"@presence/team/secret"]', "bad_room"),
    "to join another's inbox": ('["join",5,"@session/other"]', "bad_room"),
    "to join a user's inbox": ('["join",5,"@user/other",{"position":["e",0]}]', "bad_room"),
    "to leave presence": ('["leave",5,"@presence/team/a"]', "not_joined"),
    "to leave an inbox": ('["leave",5,"@user/other"]', "not_joined"),
    "to say who is there": ('["publish",5,"@presence/team/a","member",{},{"key":"user:eve"}]', "bad_room"),
    "to say it of others": ('["publish",5,"@presence/team/b","member",{},{"key":"user:eve"}]', "bad_room"),
    "to write into an inbox": ('["publish",5,"@session/other","said",1]', "bad_room"),
    "to write to a user": ('["publish",5,"@user/other","said",1]', "bad_room"),
    "to change presence itself": ('["presence",5,"@presence/team/a",1]', "not_joined"),
}
"""Frames that are answered by an error with this code."""

LIES: dict[str, bytes] = {
    "a head longer than the message": binary_message(["send", 1, "note", None], b"x", claims=1000),
    "a head longer than numbers go": binary_message(["send", 1, "note", None], b"x", claims=2**32 - 1),
    "a head shorter than it is": binary_message(["send", 1, "note", None], b"x", claims=10),
    "a head of no length": binary_message(["send", 1, "note", None], b"x", claims=0),
    "less than a length": b"\x00\x00",
    "a head of two frames": binary_message(b'["send",1,"note",null]\n["send",2,"note",null]', b"x"),
    "a head that is no JSON": binary_message(b"\xff\xfe", b"x"),
    "a head that is no frame": binary_message(b"{}", b"x"),
    "a head without data": binary_message(["join", 1, "log/b"], b"x"),
    "a hello": binary_message(["hello", {"v": 1, "new": "a" * 24, "attach": 9}], b"x"),
}
"""Binary messages that end a WebSocket."""


@pytest.fixture(autouse=True)
def _nothing_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


async def sees(one: Wire, *, members: int) -> None:
    """Receive until all that there is in the rooms has come."""
    await one.until(lambda: one.positions.get("small/a", ["", 0])[1] == 3)
    await one.until(lambda: len(one.values.get("@presence/team/a", ())) == members)


def rooms_of(way: Served) -> dict[str, int]:
    """Return how far each room of the server has come."""
    broker: Any = way.application.node.hub._broker
    return {room: log.top for room, log in broker._logs.items()}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_what_is_refused_makes_nothing(transport: str, case: str) -> None:
    bad, code = REFUSED[case]
    async with served_beside_another() as way, wire(transport, way) as one, wire("websocket", way) as other:
        for key in ("one", "two", "three"):
            await way.application.rt.publish("small/a", "said", 1, key=key)
        for each in (one, other):
            await each.open(*(["join", seq, room] for seq, room in enumerate(JOINED, 1)))
            await each.confirm()
        await sees(other, members=2)
        await sees(one, members=2)
        await other.next("ack")
        other.seen.clear()
        before = rooms_of(way)
        await one.say(bad, ["send", 6, "echo", "goes on"])
        assert (await one.outcome(5))[1:3] == [5, code]
        assert await one.outcome(6) == ["reply", 6, "goes on"]
        assert rooms_of(way) == before
        await other.say(["send", 5, "echo", "well"])
        assert await other.outcome(5) == ["reply", 5, "well"]
        assert way.application.ran == ["goes on", "well"]
        assert {frame[0] for frame in other.seen} <= {"ack", "ping"}


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_second_answer_changes_nothing(transport: str) -> None:
    async with served_beside_another() as way, wire(transport, way) as one:
        client = way.application.node.sessions[(await one.open())["session"]]
        asking = asyncio.create_task(client.request("question"))
        ask = (await one.next("pub"))[5]["ask"]
        await one.say(["answer", 1, ask, "first"], ["answer", 2, ask, "second"], ["answer_error", 3, ask, "no", ""])
        assert [(await one.outcome(seq))[2] for seq in (2, 3)] == ["unknown_ask"] * 2
        assert await asking == "first"


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_nobody_reads_what_is_for_another(transport: str) -> None:
    async with (
        served_beside_another() as way,
        wire(transport, way, headers={"Authorization": "Bearer ann"}) as ann,
        wire(transport, way, headers={"Authorization": "Bearer eve"}) as eve,
    ):
        rt = way.application.rt
        session_id = (await ann.open())["session"]
        inboxes = [rt.session(session_id), rt.user("ann"), "@presence/team/a"]
        for inbox in inboxes[:2]:
            await rt.publish(inbox, "told", "a secret")
        epochs = {room: ann.positions[room][0] for room in inboxes[:2] if await ann.publications(1)}
        wanted = {inbox: {"position": [epochs.get(inbox, "e"), 0]} for inbox in inboxes}
        await eve.open(rooms={**wanted, "log/a": {}})
        told = {(frame := await eve.next("left", "joined"))[2]: frame for _ in range(4)}
        assert {room: frame[3] for room, frame in told.items() if frame[0] == "left"} == dict.fromkeys(
            inboxes, "bad_room"
        )
        # Nor does she by a resume.
        await eve.drop()
        await eve.open(rooms={**wanted, "log/a": {}})
        for inbox in inboxes[:2]:
            await rt.publish(inbox, "told", "another")
        await way.application.publish("log/a", "for all")
        assert await eve.publications(1) == ["for all"]
        assert set(eve.positions) == {"log/a"}
        for inbox in inboxes:
            answer = await way.http.get(f"rooms/{inbox}?history=9", headers={"Accept": "application/json"})
            assert (answer.status_code, answer.json()[1]) == (404, 3511)


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("rooms", ["log/{}", "@user/{}"])
async def test_a_hello_that_names_too_many_rooms_is_none(transport: str, rooms: str) -> None:
    async with served_beside_another(max_session_rooms=10) as way, wire(transport, way) as one:
        before = rooms_of(way)
        named = {rooms.format(number): {"position": ["e", 0]} for number in range(30)}
        assert await close_code(one, one.open(rooms=named)) == 3503
        assert len(way.application.node.sessions) == 1
        assert rooms_of(way) == before


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_room_too_many_is_refused(transport: str) -> None:
    async with served_beside_another(max_session_rooms=2) as way, wire(transport, way) as one:
        session_id = (await one.open(["join", 1, "team/a"], ["join", 2, "team/b"], ["join", 3, "team/c"]))["session"]
        assert (await one.outcome(3))[2] == "too_many_rooms"
        await way.application.rt.publish(way.application.rt.session(session_id), "told", "an inbox is none of them")
        assert await one.publications(1) != []
        await one.say(["leave", 4, "team/a"], ["join", 5, "team/c"])
        assert (await one.outcome(5))[0] == "joined"
        await one.drop()
        assert (await one.open())["resumed"]
        assert way.application.node.sessions[session_id].rooms == {"team/b", "team/c"}


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_join_for_which_the_server_has_no_room_left_leaves_nothing(transport: str) -> None:
    # One is the bystander's, one the room's own; its presence would be the third.
    async with served_beside_another(max_rooms=2) as way, wire(transport, way) as one:
        session_id = (await one.open(["join", 1, "team/a"]))["session"]
        assert (await one.outcome(1))[2] == "too_many_rooms"
        assert not way.application.node.sessions[session_id].record.rooms


@pytest.mark.parametrize("case", LIES)
async def test_a_binary_message_that_lies_ends_the_connection_without_effect(case: str) -> None:
    async with served_beside_another() as way, wire("websocket", way) as one:
        first = await one.open()
        assert await close_code(one, one.say_raw(LIES[case], text=False)) == 3501
        welcome = await one.open()
        assert (welcome["session"], welcome["seq"]) == (first["session"], 0)
        assert way.application.ran == []


async def test_a_binary_message_is_as_large_as_a_message_may_be() -> None:
    async with served_beside_another(max_message_bytes=1000) as way, wire("websocket", way) as one:
        await one.open()
        head: Frame = ["send", 1, "echo", None]
        fits = 1000 - len(binary_message(head, b""))
        await one.say_bytes(head, b"x" * fits)
        assert (await one.outcome(1))[2] == b"x" * fits
        assert await close_code(one, one.say_bytes(["send", 2, "echo", None], b"x" * (fits + 1))) == 3502
        assert len(way.application.ran) == 1


@pytest.mark.parametrize(
    ("head", "code"),
    [
        (["dance", 1, "a", None], "unknown_kind"),
        (["send", 1, "", None], "bad_frame"),
        (["send", 1, "note", None, {"b64": True}], "bad_frame"),
        (["answer", 1, "never asked", None], "unknown_ask"),
        (["publish", 1, "@user/ann", "said", None], "bad_room"),
    ],
    ids=json.dumps,
)
async def test_a_binary_frame_that_is_wrong_costs_only_itself(head: Frame, code: str) -> None:
    async with served_beside_another() as way, wire("websocket", way) as one:
        await one.open()
        await one.say_bytes(head, b"x")
        assert (await one.next("error"))[2] == code
        seq = 1 if head[0] == "dance" else 2
        await one.say(["send", seq, "echo", "goes on"])
        assert await one.outcome(seq) == ["reply", seq, "goes on"]
        assert way.application.ran == ["goes on"]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_metas_of_rooms_it_has_left_are_not_kept(transport: str) -> None:
    async with served_beside_another() as way, wire(transport, way) as one:
        client = way.application.node.sessions[(await one.open())["session"]]
        for seq in range(1, 31, 3):
            room = f"team/{seq}"
            await one.say(["join", seq, room], ["presence", seq + 1, room, "x" * 1000], ["leave", seq + 2, room])
            await one.outcome(seq + 2)
        assert not client.metas
        await eventually(lambda: not client.record.rooms)
