"""Readers of a state room against a model, whatever happens."""

from __future__ import annotations

import contextlib

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from multitransport.core.log import Retention
from multitransport.core.publication import Draft
from multitransport.core.reader import Cursor, Reader
from multitransport.core.state import StateLog
from multitransport.errors import RoomFull
from multitransport.protocol.position import Position
from tests.unit.core.state_rooms import ENOUGH, Owner

KEYS = "abcde"
RETENTION = Retention(keys=4, bytes=300, seconds=5)


class Client:
    """One that knows of the room what it is told, and what it says itself.

    ``positions`` are those it was ever told since it last began anew, the newest last.
    """

    def __init__(self, name: str, log: StateLog) -> None:
        self.name = name
        self.log = log
        self.reader: Reader | None = None
        self.cursor: Cursor
        self.values: dict[str, int] = {}
        self.positions: list[int] = []

    def attach(self, pick: int) -> None:
        """Come for the first time, or back with a position it was told."""
        if not self.positions:
            recovery = self.log.newest(0)
        else:
            offset = self.positions[pick % len(self.positions)]
            recovery = self.log.recover(Position("e1", offset))
            assert recovery.recovered == (offset >= self.log.base)
        if not recovery.recovered:
            self.begin_anew()
        self.positions.append(recovery.offset)
        self.reader = Reader(Owner(self.name))
        self.cursor = self.reader.add(self.log, recovery.offset)

    def begin_anew(self) -> None:
        self.values.clear()
        self.positions.clear()

    def read(self, limit: int) -> None:
        assert self.reader is not None
        for item in self.reader.take(limit):
            for line in item.frames.split(b"\n"):
                self.take(msgspec.json.decode(line))

    def take(self, frame: list[object]) -> None:
        match frame:
            case ["pub", _, int(offset), _, _, {"key": str(key), "deleted": True}]:
                assert offset >= self.values.get(key, 0)
                self.values.pop(key, None)
            case ["pub", _, int(offset), _, _, {"key": str(key)}]:
                assert offset >= self.values.get(key, 0)
                self.values[key] = offset
            case ["at", _, [_, int(offset)]]:
                assert offset > self.positions[-1]
                self.positions.append(offset)
            case ["gap", _, [_, 0], None]:
                assert self.log.base > self.positions[-1]
                self.begin_anew()
                self.positions.append(0)
            case _:
                raise AssertionError(frame)


class StateRoom(RuleBasedStateMachine):
    """A small state room, and clients that come and go."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.log = StateLog("r", "e1", RETENTION)
        self.clients = [Client(name, self.log) for name in ("one", "two", "three")]
        self.sizes: dict[str, int] = {}
        self.values: dict[str, int] = {}
        self.ids: dict[str, tuple[int, float]] = {}

    @rule(
        key=st.sampled_from(KEYS),
        size=st.sampled_from([1, 1, 1, 50, 120]),
        client=st.none() | st.integers(0, 2),
        id=st.none() | st.sampled_from("xy"),
    )
    def put(self, key: str, size: int, client: int | None, id: str | None) -> None:
        """Publish; who is excluded has the value already."""
        teller = None if client is None else self.clients[client]
        draft = Draft("v", b"1" * size, key=key, id=id, exclude=None if teller is None else teller.name)
        top = self.log.top
        known = self.ids.get(id or "")
        try:
            offset = self.log.append(draft, self.now).offset
        except RoomFull:
            more = len(self.values) >= RETENTION.keys and key not in self.values
            alone = sum(self.sizes.values()) - self.sizes.get(key, 0)
            assert more or alone + len(b'["pub","r",1,"v",,{"key":"a"}]') + size > RETENTION.bytes - 5
            assert self.log.top == top
            return
        if known is not None:
            assert (offset, self.log.top) == (known[0], top)
            return
        assert offset == self.log.top == top + 1
        self.values[key] = offset
        self.sizes[key] = next(each.size for each in self.log.values() if each.offset == offset)
        if id is not None:
            self.ids[id] = offset, self.now
        if teller is not None and teller.positions:
            teller.values[key] = offset
        self.flush()

    @rule(key=st.sampled_from(KEYS))
    def delete(self, key: str) -> None:
        offset = self.log.append(Draft("v", b"null", key=key, deleted=True), self.now).offset
        assert offset == self.log.top
        self.values.pop(key, None)
        self.sizes.pop(key, None)
        self.flush()

    @rule(key=st.sampled_from(KEYS))
    def delete_and_forget(self, key: str) -> None:
        self.delete(key)
        self.wait(6)

    def flush(self) -> None:
        for client in self.clients:
            if client.reader is not None:
                client.cursor.flush()

    @rule(seconds=st.sampled_from([1, 6]))
    def wait(self, seconds: int) -> None:
        self.now += seconds
        self.log.trim(self.now)
        self.ids = {each: known for each, known in self.ids.items() if self.now - known[1] <= RETENTION.seconds}

    @rule(client=st.integers(0, 2), limit=st.sampled_from([1, 1, 60, ENOUGH]))
    def read(self, client: int, limit: int) -> None:
        if self.clients[client].reader is not None:
            self.clients[client].read(limit)

    @rule(client=st.integers(0, 2), pick=st.sampled_from([-1, -1, 0, 1, 2]))
    def attach(self, client: int, pick: int) -> None:
        self.clients[client].attach(pick)

    @rule(client=st.integers(0, 2))
    def cut(self, client: int) -> None:
        self.clients[client].reader = None

    @rule(client=st.integers(0, 2), pick=st.sampled_from([-1, 0]))
    def come_back(self, client: int, pick: int) -> None:
        """Begin a pass, or go on with one, and be there again without its end."""
        self.clients[client].attach(pick)
        self.clients[client].read(1)

    @precondition(lambda self: any(client.reader for client in self.clients))
    @rule()
    def settle(self) -> None:
        """Let everybody read: then all have what the room has, and are at its end."""
        for client in self.clients:
            if client.reader is not None:
                self.settle_one(client)

    def settle_one(self, client: Client) -> None:
        assert client.reader is not None
        for _ in range(3 * len(KEYS)):
            client.read(1)
        assert not client.reader.ready
        assert client.values == self.values
        assert client.cursor.offset == self.log.top

    @invariant()
    def the_room_is_within_its_bounds_and_what_was_put_there(self) -> None:
        log = self.log
        assert {each.draft.key: each.offset for each in log.values()} == self.values
        assert len(log) <= RETENTION.keys
        assert log.size == sum(each.size for each in log._publications.values()) <= RETENTION.bytes
        assert log.base <= log.top
        assert log._ids == self.ids

    def teardown(self) -> None:
        for client in self.clients:
            with contextlib.suppress(IndexError):
                client.attach(-1)
                self.settle_one(client)


def test_what_a_reader_saw_last_of_each_key_is_what_the_room_says() -> None:
    run_state_machine_as_test(
        StateRoom, settings=settings(max_examples=200, stateful_step_count=40, derandomize=True, database=None)
    )
