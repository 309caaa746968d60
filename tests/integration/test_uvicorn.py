"""The contract holds behind Uvicorn as well."""

from __future__ import annotations

import pytest

from tests.contracts.application import Application
from tests.contracts.binary_contract import BinaryContract
from tests.contracts.request_contract import RequestContract
from tests.contracts.room_contract import RoomContract
from tests.contracts.served import Hangup, served
from tests.contracts.session_contract import SessionContract
from tests.contracts.wires import wire


@pytest.fixture
def server() -> str:
    return "uvicorn"


class TestRooms(RoomContract):
    pass


class TestRequests(RequestContract):
    pass


class TestSessions(SessionContract):
    pass


class TestBinary(BinaryContract):
    pass


@pytest.mark.parametrize("transport", ["websocket", "sse", "poll"])
async def test_a_client_talks_and_resumes(transport: str) -> None:
    async with served("uvicorn", Application()) as way, way.client(transport) as client:
        room = await client.join("log/a")
        for number in range(2):
            await client.cut()
            await way.application.publish("log/a", number)
            assert await client.request("echo", number) == number
            assert (await anext(room)).data == number  # type: ignore[union-attr]


async def test_invalid_utf8_ends_a_websocket_below_this_protocol() -> None:
    async with served("uvicorn", Application()) as way, wire("websocket", way) as one:
        await one.open()
        await one.say_raw(b'["send",1,"note","must not run"]\n["ping",1]\xff')
        with pytest.raises(Hangup) as hangup:
            await one.next("nothing else")
        assert hangup.value.code == 1007
        assert way.application.ran == []
        assert (await one.open())["resumed"]
