"""The contract of the transports, behind a real Hypercorn and in process."""

from __future__ import annotations

import pytest

from tests.contracts.ask_contract import AskContract
from tests.contracts.binary_contract import BinaryContract
from tests.contracts.move_contract import MoveContract
from tests.contracts.presence_contract import PresenceContract
from tests.contracts.publish_contract import PublishContract
from tests.contracts.request_contract import RequestContract
from tests.contracts.room_contract import RoomContract
from tests.contracts.session_contract import SessionContract
from tests.contracts.state_contract import StateContract


@pytest.fixture(params=["hypercorn", "in process"])
def server(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class TestRooms(RoomContract):
    pass


class TestRequests(RequestContract):
    pass


class TestSessions(SessionContract):
    pass


class TestPublishing(PublishContract):
    pass


class TestStateRooms(StateContract):
    pass


class TestPresence(PresenceContract):
    pass


class TestAsks(AskContract):
    pass


class TestMoves(MoveContract):
    pass


class TestBinary(BinaryContract):
    pass
