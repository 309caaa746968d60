"""What every broker is tested for in state rooms."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from multitransport.brokers.base import Broker
from multitransport.core.log import Log, Retention
from multitransport.core.publication import Draft
from multitransport.core.reader import Reader
from multitransport.core.state import StateLog
from multitransport.errors import RoomFull
from multitransport.protocol.position import Position
from multitransport.testing.contracts.broker import BrokerFixtures
from multitransport.testing.waiting import eventually

__all__ = ["StateContract"]

KEEP = Retention(keys=100, seconds=60.0, bytes=1 << 20)
ENOUGH = 1 << 20


class _Owner:
    session_id = "s1"

    def wake(self) -> None:
        """Nobody waits."""

    flush = wake


def _read(log: Log, after: int) -> dict[str, tuple[int, object]]:
    """Return what a reader with this offset is sent: by key its offset and value, None where it is deleted."""
    reader = Reader(_Owner())
    reader.add(log, after)
    frames = [msgspec.json.decode(line) for item in reader.take(ENOUGH) for line in item.frames.split(b"\n") if line]
    assert not frames or frames[-1] == ["at", log.room, [log.epoch, log.top]]
    return {each[5]["key"]: (each[2], each[4]) for each in frames if each[0] == "pub"}


async def _put(broker: Broker, key: str, value: int, retention: Retention = KEEP) -> Position:
    return await broker.publish("a", Draft("e", b"%d" % value, key=key), retention)


async def _delete(broker: Broker, key: str, retention: Retention = KEEP) -> Position:
    return await broker.publish("a", Draft("e", b"null", key=key, deleted=True), retention)


class StateContract(BrokerFixtures):
    """The contract of a Broker's state rooms."""

    async def test_of_each_key_the_newest_publication_is_kept(self, broker: Broker) -> None:
        await _put(broker, "x", 1)
        await _put(broker, "y", 2)
        position = await _put(broker, "x", 3)
        log = await broker.subscribe("a", KEEP)
        assert isinstance(log, StateLog)
        assert (log.mode, log.position) == ("state", position)
        assert [(each.offset, each.draft.key, each.draft.data) for each in log.values()] == [
            (2, "y", b"2"),
            (3, "x", b"3"),
        ]
        assert _read(log, log.newest(0).offset) == {"y": (2, 2), "x": (3, 3)}

    async def test_a_subscribed_state_grows_and_the_node_is_told(self, broker: Broker, advanced: list[str]) -> None:
        log = await broker.subscribe("a", KEEP)
        await asyncio.gather(*(_put(broker, f"key {n % 7}", n) for n in range(50)))
        last = await _put(broker, "key 0", 50)
        await eventually(lambda: log.position == last and "a" in advanced)
        read = _read(log, 0)
        assert (len(read), read["key 0"]) == (7, (51, 50))

    async def test_a_publication_needs_a_key(self, broker: Broker) -> None:
        with pytest.raises(ValueError, match="key"):
            await broker.publish("a", Draft("e", b"1"), KEEP)
        assert (await _put(broker, "x", 1)).offset == 1

    async def test_a_deletion_is_told_to_who_knew_the_key(self, broker: Broker) -> None:
        before = await _put(broker, "x", 1)
        await _put(broker, "y", 2)
        position = await _delete(broker, "x")
        log = await broker.subscribe("a", KEEP, before)
        assert isinstance(log, StateLog)
        assert [each.draft.key for each in log.values()] == ["y"]
        assert log.recover(before).recovered
        assert _read(log, before.offset) == {"y": (2, 2), "x": (3, None)}
        await _put(broker, "x", 4)
        await eventually(lambda: _read(log, position.offset) == {"x": (4, 4)})

    async def test_a_returning_reader_gets_what_changed(self, broker: Broker) -> None:
        await _put(broker, "x", 1)
        position = await _put(broker, "y", 2)
        await broker.subscribe("a", KEEP)
        await broker.unsubscribe("a")
        await _put(broker, "x", 3)
        log = await broker.subscribe("a", KEEP, position)
        assert log.recover(position).recovered
        await eventually(lambda: _read(log, position.offset) == {"x": (3, 3)})

    async def test_values_do_not_age_and_deletions_do(self, broker: Broker) -> None:
        brief = Retention(keys=10, seconds=0.1)
        before = await _put(broker, "x", 1, brief)
        await _put(broker, "y", 2, brief)
        await _delete(broker, "x", brief)
        await self.pass_time(0.2)
        await broker.sweep()
        log = await broker.subscribe("a", brief, before)
        assert log.epoch == before.epoch
        assert not log.recover(before).recovered
        assert _read(log, 0) == {"y": (2, 2)}

    async def test_who_missed_a_forgotten_deletion_begins_anew(self, broker: Broker) -> None:
        few = Retention(keys=2, seconds=60.0)
        await _put(broker, "x", 1, few)
        before = await _put(broker, "y", 2, few)
        await _delete(broker, "x", few)
        after = await _put(broker, "z", 3, few)
        log = await broker.subscribe("a", few, before)
        assert not log.recover(before).recovered
        assert log.recover(after).recovered
        assert _read(log, 0) == {"y": (2, 2), "z": (4, 3)}

    async def test_a_full_room_takes_no_key_more_and_stays_as_it_is(self, broker: Broker) -> None:
        few = Retention(keys=2, seconds=60.0)
        await _put(broker, "x", 1, few)
        position = await _put(broker, "y", 2, few)
        with pytest.raises(RoomFull):
            await _put(broker, "z", 3, few)
        log = await broker.subscribe("a", few)
        assert (log.position, _read(log, 0)) == (position, {"x": (1, 1), "y": (2, 2)})
        await _put(broker, "x", 4, few)
        await _delete(broker, "y", few)
        await _put(broker, "z", 5, few)
        await eventually(lambda: _read(log, 0) == {"x": (3, 4), "z": (5, 5)})

    async def test_a_full_room_takes_no_byte_more(self, broker: Broker) -> None:
        small = Retention(keys=10, bytes=1000, seconds=60.0)
        await _put(broker, "x", 1, small)
        large = Draft("e", b'"%s"' % (b"x" * 1000), key="y")
        with pytest.raises(RoomFull):
            await broker.publish("a", large, small)
        log = await broker.subscribe("a", small)
        assert _read(log, 0) == {"x": (1, 1)}

    async def test_deletions_alone_fill_no_room(self, broker: Broker) -> None:
        few = Retention(keys=3, seconds=60.0)
        log = await broker.subscribe("a", few)
        for n in range(20):
            await _put(broker, f"key {n}", n, few)
            await _delete(broker, f"key {n}", few)
        last = log.position
        for n in range(20):
            last = await _delete(broker, f"never there {n}", few)
        await eventually(lambda: log.position == last)
        assert len(log) <= 3
        last = await _put(broker, "x", 1, few)
        await eventually(lambda: _read(log, 0).get("x") == (last.offset, 1))

    async def test_a_repeated_id_changes_no_key(self, broker: Broker) -> None:
        log = await broker.subscribe("a", KEEP)
        first = await broker.publish("a", Draft("e", b"1", key="x", id="id"), KEEP)
        assert await broker.publish("a", Draft("e", b"2", key="x", id="id"), KEEP) == first
        await eventually(lambda: _read(log, 0) == {"x": (1, 1)})

    async def test_a_state_that_is_forgotten_begins_anew(self, broker: Broker) -> None:
        former = await _put(broker, "x", 1)
        await broker.forget("a")
        log = await broker.subscribe("a", KEEP, former)
        assert (log.epoch != former.epoch, log.recover(former).recovered, _read(log, 0)) == (True, False, {})
