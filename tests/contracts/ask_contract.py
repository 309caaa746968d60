"""What every transport does with requests by the server."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from multitransport.errors import OutcomeUnknown, RequestError, TimedOut
from tests.contracts.served import Served
from tests.contracts.transport_contract import TransportContract
from tests.contracts.wires import Wire, wire

__all__ = ["AskContract"]


class AskContract(TransportContract):
    """Requests by the server: each ends in an answer, an error, its time or the session's end."""

    async def test_an_answer_is_returned(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one:
            asking = ask(served, await one.open(), {"a": [1, None, "é"]})
            question = await asked(one)
            assert question[:1] + question[2:5] == ["pub", 1, "question", {"a": [1, None, "é"]}]
            await one.say(["answer", 1, question[5]["ask"], {"b": "ü"}])
            assert await asking == {"b": "ü"}
            assert await one.outcome(1) == ["ack", 1]

    async def test_an_error_is_raised(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one:
            asking = ask(served, await one.open())
            question = await asked(one)
            await one.say(["answer_error", 1, question[5]["ask"], "busy", "ask me later"])
            with pytest.raises(RequestError) as error:
                await asking
            assert (error.value.code, error.value.message) == ("busy", "ask me later")
            assert await one.outcome(1) == ["ack", 1]

    async def test_bytes_are_asked_and_answered(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one:
            asking = ask(served, await one.open(), b"\x00\xff")
            question = await asked(one)
            assert question[4] == b"\x00\xff"
            await one.say_bytes(["answer", 1, question[5]["ask"], None], b"\xfe\x00")
            assert await asking == b"\xfe\x00"

    async def test_only_the_first_answer_of_the_one_that_is_asked_counts(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one, wire(transport, served) as other:
            asking = ask(served, await one.open())
            await other.open()
            the_ask = (await asked(one))[5]["ask"]
            await other.say(["answer", 1, the_ask, "not asked"], ["answer", 2, "never asked", "x"])
            assert (await other.outcome(1))[2] == "unknown_ask"
            assert (await other.outcome(2))[2] == "unknown_ask"
            assert not asking.done()
            await one.say(
                ["answer", 1, the_ask, "first"],
                ["answer", 2, the_ask, "second"],
                ["answer_error", 3, the_ask, "third", ""],
            )
            assert (await one.outcome(2))[2] == "unknown_ask"
            assert (await one.outcome(3))[2] == "unknown_ask"
            assert await asking == "first"

    async def test_who_does_not_answer_in_time_is_too_late(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one:
            asking = ask(served, await one.open(), timeout=0.1)
            question = await asked(one)
            with pytest.raises(TimedOut):
                await asking
            await one.say(["answer", 1, question[5]["ask"], "too late"])
            assert (await one.outcome(1))[2] == "unknown_ask"

    async def test_nobody_answers_for_a_session_that_has_ended(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one:
            asking = ask(served, await one.open())
            await asked(one)
            await one.say(["bye"])
            with pytest.raises(OutcomeUnknown):
                await asking

    async def test_a_question_waits_for_a_session_that_is_away(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one:
            mine = await one.open()
            await one.confirm()
            await one.drop()
            asking = ask(served, mine)
            await asyncio.sleep(0)
            assert (await one.open())["resumed"]
            await one.say(["answer", 1, (await asked(one))[5]["ask"], "here"])
            assert await asking == "here"

    async def test_an_answer_repeated_after_a_resume_is_taken_once(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one:
            asking = ask(served, await one.open())
            answer = ["answer", 1, (await asked(one))[5]["ask"], "once"]
            await one.say(answer)
            assert await asking == "once"
            await one.drop()
            welcome = await one.open(answer, ["send", 2, "echo", "after it"])
            assert welcome["seq"] == 1
            assert await one.outcome(2) == ["reply", 2, "after it"]
            assert not [frame for frame in one.seen if frame[0] == "error"]

    async def test_a_handler_may_wait_for_its_own_client(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one:
            await one.open(["send", 1, "be asked", "how?"], ["send", 2, "echo", "after it"])
            question = await asked(one)
            assert question[4] == "how?"
            assert served.application.ran == []
            await one.say(["answer", 3, question[5]["ask"], "so"])
            assert await one.outcome(1) == ["reply", 1, "so"]
            assert await one.outcome(2) == ["reply", 2, "after it"]

    async def test_everybody_in_a_room_is_asked(self, transport: str) -> None:
        async with (
            self.serve() as served,
            wire(transport, served) as one,
            wire("websocket", served) as two,
            wire(transport, served) as silent,
            wire(transport, served) as outside,
        ):
            ids = [(await each.open(["join", 1, "log/a"]))["session"] for each in (one, two, silent)]
            for each in (one, two, silent):
                await each.outcome(1)
            await outside.open()
            asking = asyncio.create_task(served.application.rt.request_all("log/a", "question", 7, timeout=2.0))
            await one.say(["answer", 2, (await asked(one))[5]["ask"], "one"])
            await two.say(["answer_error", 2, (await asked(two))[5]["ask"], "busy", "later"])
            told = await asking
            assert told.answers == {ids[0]: "one"}
            assert {session: error.code for session, error in told.errors.items()} == {ids[1]: "busy"}
            assert told.missing == [ids[2]]
            await outside.say(["send", 1, "echo", 1])
            await outside.outcome(1)
            assert outside.positions == {}


def ask(served: Served, welcome: dict[str, Any], data: Any = None, timeout: float = 5.0) -> asyncio.Task[Any]:
    """Begin to ask the session."""
    client = served.application.node.sessions[welcome["session"]]
    return asyncio.create_task(client.request("question", data, timeout=timeout))


async def asked(one: Wire) -> list[Any]:
    """Return the question that comes."""
    while not (question := await one.next("pub"))[1].startswith("@session/"):
        pass
    return question
