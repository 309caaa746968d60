"""What goes wrong in the application: the client gets a reference, the log one traceback with it."""

from __future__ import annotations

import logging
import re
from typing import Any

import pytest

from multitransport import Refuse, Session
from multitransport.testing.waiting import eventually
from tests.contracts.application import Application
from tests.contracts.served import served
from tests.contracts.wires import TRANSPORTS, Closed, Frame, wire

CASES: dict[str, tuple[Frame, str]] = {
    "a handler": (["send", 2, "fail", 1], "a handler failed over 1"),
    "a room's check": (["join", 2, "broken/a"], "the check of a room"),
    "a publish check": (["publish", 2, "log/a", "said", "break"], "the check of a publication"),
    "a reply that is no JSON": (["send", 2, "unencodable", None], "is unsupported"),
    "a refusal whose code is none": (["send", 2, "refuse badly", None], "is not a code: 1 to 64 of a-z, 0-9 and _"),
}


def application() -> Application:
    made = Application()

    @made.rt.on("unencodable")
    async def unencodable(client: Session, data: Any) -> object:
        return object()

    @made.rt.on("refuse badly")
    async def refuse_badly(client: Session, data: Any) -> None:
        raise Refuse("Not A Code")

    return made


def references(records: list[logging.LogRecord], cause: str) -> list[str]:
    """Return the reference of each traceback in the log; they must all be of this cause, and nothing else be there."""
    found = []
    for record in records:
        if record.levelno >= logging.WARNING:
            assert record.exc_info is not None, record.getMessage()
            assert cause in str(record.exc_info[1])
            found += re.findall(r"reference (\w+)", record.getMessage())
    return found


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_what_raises_is_told_by_a_reference_and_logged_once(
    transport: str, case: str, caplog: pytest.LogCaptureFixture
) -> None:
    frame, cause = CASES[case]
    async with served("hypercorn", application()) as way, wire(transport, way) as one:
        await one.open(["join", 1, "log/a"])
        await one.outcome(1)
        await one.say(frame, ["send", 3, "echo", "and goes on"])
        _, _, code, message = await one.outcome(2)
        assert await one.outcome(3) == ["reply", 3, "and goes on"]
    assert code == "failed"
    assert re.findall(r"reference (\w+)", message) == references(caplog.records, cause)
    assert cause not in message, "it is nobody's business"


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_connect_check_that_raises_refuses_for_now(transport: str, caplog: pytest.LogCaptureFixture) -> None:
    async with served("hypercorn", application()) as way, wire(transport, way) as one:
        with pytest.raises(Closed) as closed:
            await one.open(auth="break")
        assert closed.value.code == 3004
        assert way.application.node.sessions == {}
        assert re.findall(r"reference (\w+)", closed.value.reason) == references(caplog.records, "the connect check")


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_disconnect_callback_that_raises_keeps_none_of_the_others(
    transport: str, caplog: pytest.LogCaptureFixture
) -> None:
    made = Application(hello_seconds=0.1)
    later = []

    @made.rt.on_disconnect
    async def raises(client: Session, reason: str) -> None:
        raise RuntimeError("saying good-bye")

    @made.rt.on_disconnect
    def called(client: Session, reason: str) -> None:
        later.append(reason)

    async with served("hypercorn", made) as way, wire(transport, way) as one:
        await one.open()
        await one.drop()
        await eventually(lambda: later)
    assert references(caplog.records, "saying good-bye") == []
    assert [record.levelname for record in caplog.records if record.exc_info] == ["ERROR"]
