"""The contract of the transports, behind a real Hypercorn and in process."""

from __future__ import annotations

from tests.contracts.transport_contract import RequestContract, RoomContract, SessionContract


class TestRoomsOnHypercorn(RoomContract):
    server = "hypercorn"


class TestRequestsOnHypercorn(RequestContract):
    server = "hypercorn"


class TestSessionsOnHypercorn(SessionContract):
    server = "hypercorn"


class TestRoomsInProcess(RoomContract):
    server = "in process"


class TestRequestsInProcess(RequestContract):
    server = "in process"


class TestSessionsInProcess(SessionContract):
    server = "in process"
