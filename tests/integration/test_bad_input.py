"""What a client may get wrong, and the one outcome each of it has, on every transport."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator

import pytest

from multitransport.testing.waiting import eventually
from tests.contracts.served import Hangup, Served
from tests.contracts.wires import NDJSON, TRANSPORTS, message_of, wire
from tests.integration.bystander import close_code, served_beside_another

MIB = 1 << 20
FINE = '["send",1,"note","must not run"]'

BROKEN: dict[str, tuple[bytes, int]] = {
    "invalid JSON": (b'["ping",1', 3501),
    "an object": (b'{"ping":1}', 3501),
    "a number": (b"5", 3501),
    "nested 10,000 deep": (b'["send",2,"echo",' + b"[" * 10_000 + b"]" * 10_000 + b"]", 3501),
    "a number beyond numbers": (b'["join",2,"state/a",{"max_rate":1e999}]', 3501),
    "a megabyte and a byte": (b'["send",2,"echo","' + b"x" * MIB + b'"]', 3502),
    "a second hello": (b'["hello",{"v":1,"new":"aaaaaaaaaaaaaaaaaaaaaaaa","attach":9}]', 3503),
    "a second hello that is none": (b'["hello"]', 3503),
    "a seq that jumps": (b'["send",3,"note","too far"]', 3503),
    "10,000 joins": (b"\n".join(b'["join",%d,"log/%d"]' % (seq, seq) for seq in range(2, 10_002)), 3503),
}
"""Messages that end the connection: the close code. Nothing in them is run."""

MALFORMED: dict[str, tuple[str, int | None, str]] = {
    "an unknown kind": ('["dance",1]', None, "unknown_kind"),
    "a kind of the server's": ('["welcome",1,{}]', None, "unknown_kind"),
    "no kind": ("[]", None, "bad_frame"),
    "a kind that is no string": ("[5,1]", None, "bad_frame"),
    "too few elements": ('["send",1]', 1, "bad_frame"),
    "too few elements without a seq": ('["ping"]', None, "bad_frame"),
    "a wrong type": ('["join",1,5]', 1, "bad_frame"),
    "a wrong type in the options": ('["join",1,"log/a",{"history":-1}]', 1, "bad_frame"),
    "a position that is none": ('["join",1,"log/a",{"position":["x"]}]', 1, "bad_frame"),
    "a seq that is none": ('["send","1","echo",0]', None, "bad_frame"),
    "seq 0": ('["send",0,"echo",0]', None, "bad_frame"),
    "a seq too large to count": ('["send",9007199254740992,"echo",0]', None, "bad_frame"),
    "an event without a name": ('["send",1,"",0]', 1, "bad_frame"),
    "a room without a name": ('["join",1,""]', 1, "bad_room"),
    "a room's name that is too long": (f'["join",1,"log/{"é" * 127}"]', 1, "bad_room"),
    "a room's name with a control character": ('["join",1,"log/a\\u0007"]', 1, "bad_room"),
    "a room of the server's own": ('["join",1,"@session/a"]', 1, "bad_room"),
    "a room's name that is not NFC": ('["join",1,"log/e\\u0301"]', 1, "bad_room"),
    "another spelling of a room": ('["join",1,"numbered/007"]', 1, "bad_room"),
    "a room that nothing declares": ('["join",1,"log/a/b"]', 1, "unknown_room"),
    "a room it is not in": ('["leave",1,"log/a"]', 1, "not_joined"),
    "an event nobody handles": ('["send",1,"dance",0]', 1, "unknown_event"),
}
"""Frames that are answered by an error, with this seq and code. The session lives."""

HELLOS: dict[str, tuple[str, int]] = {
    "no hello": ('["ping",1]', 3503),
    "a hello without options": ('["hello"]', 3503),
    "a hello without new": ('["hello",{"v":1,"attach":1}]', 3503),
    "a new that is too short": ('["hello",{"v":1,"new":"short","attach":1}]', 3503),
    "attach 0": ('["hello",{"v":1,"new":"aaaaaaaaaaaaaaaaaaaaaaaa","attach":0}]', 3503),
    "a room's position that is none": (
        '["hello",{"v":1,"new":"aaaaaaaaaaaaaaaaaaaaaaaa","attach":1,"rooms":{"log/a":{"position":1}}}]',
        3503,
    ),
    "another version": ('["hello",{"v":2,"new":"aaaaaaaaaaaaaaaaaaaaaaaa","attach":1}]', 3504),
    "an empty message": ("", 3501),
    "blank lines": (" \n\n ", 3501),
}
"""First messages that are refused, with this code. Nothing is made for them."""


@pytest.fixture(autouse=True)
def _nothing_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("case", BROKEN)
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_broken_message_ends_the_connection_without_effect(transport: str, case: str) -> None:
    bad, code = BROKEN[case]
    async with served_beside_another() as way, wire(transport, way) as one:
        first = await one.open()
        assert await close_code(one, one.say_raw(FINE.encode() + b"\n" + bad)) == code
        welcome = await one.open()
        assert (welcome["session"], welcome["seq"]) == (first["session"], 0), "the session can be resumed"
        assert way.application.ran == []


@pytest.mark.parametrize("case", BROKEN)
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_so_does_one_that_begins_with_hello(transport: str, case: str) -> None:
    bad, code = BROKEN[case]
    async with served_beside_another() as way, wire(transport, way) as one:
        one.attach = 1
        message = message_of(one.hello(), FINE) + b"\n" + bad
        assert await close_code(one, one.begin(message)) == code
        assert way.application.ran == []


@pytest.mark.parametrize("case", HELLOS)
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_first_message_without_a_valid_hello_is_refused(transport: str, case: str) -> None:
    bad, code = HELLOS[case]
    async with served_beside_another() as way, wire(transport, way) as one:
        assert await close_code(one, one.begin(bad.encode())) == code
        assert len(way.application.node.sessions) == 1, "that of the other"


@pytest.mark.parametrize("case", MALFORMED)
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_malformed_frame_costs_only_itself(transport: str, case: str) -> None:
    bad, seq, code = MALFORMED[case]
    async with served_beside_another() as way, wire(transport, way) as one:
        await one.open()
        told = await one.held("error")
        await one.say(bad, ["send", (seq or 0) + 1, "note", "fine"])
        assert (await told)[1:3] == [seq, code]
        await one.outcome((seq or 0) + 1)
        assert way.application.ran == ["fine"]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_malformed_frame_behind_hello_does_so_too(transport: str) -> None:
    async with served_beside_another() as way, wire(transport, way) as one:
        await one.open('["dance"]', '["send",1]', ["send", 2, "echo", "fine"])
        told = [await one.next("error", "reply") for _ in range(3)]
        assert sorted(frame[:3] for frame in told if frame[0] == "error" and frame[1]) == [["error", 1, "bad_frame"]]
        assert next(frame for frame in told if frame[1] is None)[2] == "unknown_kind"
        assert ["reply", 2, "fine"] in told


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_flood_of_malformed_frames_is_answered_once_for_each_kind_of_fault(transport: str) -> None:
    async with served_beside_another() as way, wire(transport, way) as one:
        await one.open()
        told = await one.held("error")
        await one.say(*['["dance"]'] * 500, *["[]"] * 499)
        assert {(await told)[2], (await one.next("error"))[2]} == {"bad_frame", "unknown_kind"}
        assert not [frame for frame in one.seen if frame[0] == "error"]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_frames_sent_before_the_welcome_wait_for_it(transport: str) -> None:
    async with served_beside_another() as way, wire(transport, way) as one:
        one.attach = 1
        await one.begin(message_of(one.hello(), ["send", 1, "echo", 1], ["ping", 5]))
        if transport == "websocket":
            await one.say(["send", 2, "echo", 2])
        assert (await one.next())[0] == "welcome"
        assert await one.outcome(1) == ["reply", 1, 1]
        if transport == "websocket":
            assert await one.outcome(2) == ["reply", 2, 2]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_an_expired_token_makes_a_new_session(transport: str) -> None:
    async with served_beside_another(resume_seconds=0.2) as way, wire(transport, way) as one:
        first = await one.open(["join", 1, "log/a"])
        await one.outcome(1)
        await one.say(["pong", 0])
        await one.drop()
        await eventually(lambda: first["session"] not in way.application.node.sessions)
        second = await one.open()
        assert (second["resumed"], second["seq"]) == (False, 0)
        assert second["session"] != first["session"]
        assert (await one.rejoined())[2] == "log/a"


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_who_says_no_hello_in_time_is_sent_away(transport: str) -> None:
    async with served_beside_another(hello_seconds=0.3) as way:
        assert await slow_start(transport, way) == 3007
        assert len(way.application.node.sessions) == 1


async def slow_start(path: str, way: Served) -> int:
    """Connect, say half a hello, and return the code of the close that follows."""
    if path == "websocket":
        socket = await way.websocket({})
        try:
            return int(json.loads(await socket.receive())[1])
        finally:
            await socket.drop()
    reader, writer = await asyncio.open_connection("127.0.0.1", way.http.base_url.port)
    head = f"POST /realtime/{path} HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\nContent-Type: application/x-ndjson"
    writer.write(f'{head}\r\n\r\n["hello",'.encode())
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 408 ")
    return int(json.loads(answer.split(b"\r\n\r\n")[1])[1])


async def test_a_slow_body_of_send_is_not_waited_for() -> None:
    async with served_beside_another(hello_seconds=0.3) as way:
        assert await slow_start("send", way) == 3007


async def test_what_is_no_text_ends_a_websocket() -> None:
    for binary in (b"", b'["ping",1]'):
        async with served_beside_another() as way, wire("websocket", way) as one:
            await one.open()
            assert await close_code(one, one.say_raw(binary, text=False)) == 3501
        async with served_beside_another() as way:
            socket = await way.websocket({})
            await socket.send(binary, text=False)
            assert json.loads(await socket.receive())[1] == 3501
            await socket.drop()


async def test_invalid_utf8_ends_a_websocket_below_this_protocol() -> None:
    async with served_beside_another() as way, wire("websocket", way) as one:
        first = await one.open()
        await one.say_raw(FINE.encode() + b'\n["ping",1]\xff')
        with pytest.raises(Hangup):
            await one.next("nothing else")
        assert (await one.open())["session"] == first["session"]
        assert way.application.ran == []


@pytest.mark.parametrize("path", ["sse", "poll", "send"])
async def test_invalid_utf8_in_a_body_is_refused(path: str) -> None:
    async with served_beside_another() as way, wire("sse", way) as one:
        await one.open()
        one.attach += path != "send"
        body = message_of(one.hello(), FINE) + b'\n["ping",1]\xff'
        answer = await way.http.post(path, content=body, headers=NDJSON)
        assert (answer.status_code, answer.json()[1]) == (400, 3501)
        assert way.application.ran == []


@pytest.mark.parametrize("path", ["sse", "poll", "send"])
@pytest.mark.parametrize("kind", ["application/json", "text/plain", "multipart/form-data", ""])
async def test_a_body_of_another_type_is_refused(path: str, kind: str) -> None:
    async with served_beside_another() as way, wire("sse", way) as one:
        one.attach = 1
        answer = await way.http.post(path, content=message_of(one.hello()), headers={"Content-Type": kind})
        assert (answer.status_code, answer.json()[1]) == (415, 3508)
        assert len(way.application.node.sessions) == 1


@pytest.mark.parametrize("path", ["sse", "poll", "send"])
async def test_another_method_is_refused(path: str) -> None:
    async with served_beside_another() as way:
        for method in ("GET", "PUT", "DELETE", "HEAD"):
            answer = await way.http.request(method, path)
            assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_a_send_for_nobody_is_told_that_the_session_is_lost() -> None:
    async with served_beside_another() as way, wire("sse", way) as one:
        one.attach = 1
        assert await close_code(one, one.say(["send", 1, "note", 1])) == 3002
        await one.open()
        one.token = "nonsense"
        assert await close_code(one, one.say(["send", 1, "note", 1])) == 3002
        assert way.application.ran == []


@pytest.mark.parametrize("transport", ["sse", "poll"])
async def test_a_send_in_the_name_of_an_older_transport_is_refused(transport: str) -> None:
    async with served_beside_another() as way, wire(transport, way) as one, wire("websocket", way) as newer:
        await one.open()
        newer.takes_over(one)
        await newer.open()
        assert await close_code(one, one.say(["send", 1, "note", 1])) == 3006
        assert way.application.ran == []


@pytest.mark.parametrize("transport", ["sse", "poll"])
async def test_a_send_of_another_version_is_refused(transport: str) -> None:
    async with served_beside_another() as way, wire(transport, way) as one:
        await one.open()
        hello = one.hello(v=2, rooms={})
        answer = await way.http.post("send", content=message_of(hello, FINE), headers=NDJSON)
        assert (answer.status_code, answer.json()[1]) == (400, 3504)
        assert way.application.ran == []


@pytest.mark.parametrize("transport", ["sse", "poll"])
async def test_a_send_with_the_credentials_of_another_is_refused(transport: str) -> None:
    async with served_beside_another() as way, wire(transport, way) as one:
        await one.open()
        one.headers = {"Authorization": "Bearer eve"}
        assert await close_code(one, one.say(["send", 1, "note", 1])) == 3506
        assert way.application.ran == []
