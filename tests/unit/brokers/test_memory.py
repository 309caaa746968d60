from __future__ import annotations

import asyncio
import itertools

import pytest

from multitransport.brokers.base import LastWord, TooManyRooms
from multitransport.brokers.memory import MemoryBroker, MemorySessionStore
from multitransport.core.log import Retention
from multitransport.core.publication import Draft
from multitransport.core.session import SessionRecord
from multitransport.errors import BrokerUnavailable
from multitransport.testing.clock import FakeClock

KEEP = Retention()
BRIEF = Retention(seconds=1.0)


def broker_of(clock: FakeClock, *, max_rooms: int = 1000, idle_seconds: float = 10.0) -> MemoryBroker:
    epochs = (f"e{n}" for n in itertools.count(1))
    return MemoryBroker(clock=clock, new_epoch=lambda: next(epochs), max_rooms=max_rooms, idle_seconds=idle_seconds)


async def epoch_of(broker: MemoryBroker) -> str:
    return (await broker.publish("a", Draft("e", b"1"), BRIEF)).epoch


async def test_as_many_rooms_are_kept_as_it_may() -> None:
    broker = broker_of(FakeClock(), max_rooms=2)
    await broker.publish("a", Draft("e", b"1"), KEEP)
    await broker.subscribe("b", KEEP)
    with pytest.raises(TooManyRooms):
        await broker.publish("c", Draft("e", b"1"), KEEP)
    with pytest.raises(BrokerUnavailable, match="2 rooms"):
        await broker.subscribe("c", KEEP)
    assert (await broker.publish("b", Draft("e", b"1"), KEEP)).offset == 1


async def test_the_log_that_is_kept_is_the_one_that_is_read() -> None:
    broker = broker_of(FakeClock())
    assert await broker.subscribe("a", KEEP) is await broker.subscribe("a", KEEP)


async def test_an_empty_room_nobody_uses_is_dropped_after_its_time() -> None:
    clock = FakeClock()
    broker = broker_of(clock)
    assert await epoch_of(broker) == "e1"
    clock.advance(10.0)
    await broker.sweep()
    assert await epoch_of(broker) == "e1"
    clock.advance(10.001)
    await broker.sweep()
    assert await epoch_of(broker) == "e2"


async def test_a_room_with_publications_left_is_kept() -> None:
    clock = FakeClock()
    broker = broker_of(clock, idle_seconds=0.1)
    assert await epoch_of(broker) == "e1"
    clock.advance(1.0)
    await broker.sweep()
    assert await epoch_of(broker) == "e1"


async def test_a_room_with_readers_is_kept() -> None:
    clock = FakeClock()
    broker = broker_of(clock)
    await broker.subscribe("a", BRIEF)
    clock.advance(1000.0)
    await broker.sweep()
    assert await epoch_of(broker) == "e1"
    await broker.unsubscribe("a")
    clock.advance(9.0)
    await broker.sweep()
    assert await epoch_of(broker) == "e1"


async def test_a_room_let_go_of_is_kept_for_its_time_from_then_on() -> None:
    clock = FakeClock()
    broker = broker_of(clock)
    await broker.subscribe("a", BRIEF)
    clock.advance(1000.0)
    await broker.unsubscribe("a")
    clock.advance(10.001)
    await broker.sweep()
    assert await epoch_of(broker) == "e2"


async def test_a_dropped_room_makes_room() -> None:
    clock = FakeClock()
    broker = broker_of(clock, max_rooms=1)
    await broker.publish("a", Draft("e", b"1"), BRIEF)
    clock.advance(20.0)
    await broker.sweep()
    assert (await broker.publish("b", Draft("e", b"1"), KEEP)).offset == 1


async def test_a_sweep_of_many_rooms_lets_others_run() -> None:
    broker = broker_of(FakeClock(), max_rooms=10_000)
    for n in range(2000):
        await broker.publish(f"room {n}", Draft("e", b"1"), KEEP)
    ran = 0
    sweeping = asyncio.create_task(broker.sweep())
    while not sweeping.done():
        ran += 1
        await asyncio.sleep(0)
    assert ran >= 4


async def test_rooms_can_come_while_others_are_swept() -> None:
    clock = FakeClock()
    broker = broker_of(clock, max_rooms=10_000)
    for n in range(1000):
        await broker.publish(f"room {n}", Draft("e", b"1"), BRIEF)
    clock.advance(20.0)
    sweeping = asyncio.create_task(broker.sweep())
    await asyncio.sleep(0)
    await broker.publish("new", Draft("e", b"1"), BRIEF)
    await broker.publish("room 999", Draft("e", b"1"), BRIEF)
    await sweeping
    assert (await broker.publish("new", Draft("e", b"2"), BRIEF)).offset == 2
    assert (await broker.publish("room 999", Draft("e", b"2"), BRIEF)).offset == 3


async def test_a_node_that_has_not_started_is_told_nothing() -> None:
    broker = broker_of(FakeClock())
    told: list[str] = []
    await broker.publish("a", Draft("e", b"1"), KEEP)
    await broker.start(told.append, lambda *_: None)
    await broker.publish("b", Draft("e", b"1"), KEEP)
    await broker.stop()
    await broker.publish("c", Draft("e", b"1"), KEEP)
    assert told == ["b"]


async def test_a_state_room_is_kept_while_it_holds_a_value() -> None:
    clock = FakeClock()
    broker = broker_of(clock)
    state = Retention(keys=10, seconds=1.0)
    position = await broker.publish("a", Draft("e", b"1", key="x"), state)
    clock.advance(1000.0)
    await broker.sweep()
    deleted = await broker.publish("a", Draft("e", b"null", key="x", deleted=True), state)
    assert deleted.epoch == position.epoch
    clock.advance(10.001)
    await broker.sweep()
    assert (await broker.publish("a", Draft("e", b"1", key="x"), state)).epoch != position.epoch


async def test_a_room_full_of_values_gives_way_to_no_other() -> None:
    broker = broker_of(FakeClock(), max_rooms=1)
    await broker.publish("a", Draft("e", b"1", key="x"), Retention(keys=10))
    with pytest.raises(TooManyRooms):
        await broker.publish("b", Draft("e", b"1"), KEEP)


async def test_what_is_volatile_makes_no_room() -> None:
    broker = broker_of(FakeClock(), max_rooms=1)
    await broker.publish("a", Draft("e", b"1"), KEEP)
    for room in ("a", "b"):
        await broker.flash(room, Draft("e", b"1"))
    assert (await broker.publish("a", Draft("e", b"1"), KEEP)).offset == 2


async def test_of_last_words_the_latest_are_kept() -> None:
    store = MemorySessionStore(clock=FakeClock(), max_words=3)
    for n in range(5):
        await store.create(SessionRecord(str(n), str(n), b"", None, 0), 60.0)
        await store.end(str(n), LastWord(4500, "never"), 60.0)
    assert [n for n in range(5) if await store.last_word(str(n))] == [2, 3, 4]


async def test_of_sessions_that_are_gone_nothing_stays() -> None:
    clock = FakeClock()
    store = MemorySessionStore(clock=clock)
    for n in range(100):
        await store.create(SessionRecord(f"s{n}", f"new {n}", b"", f"user {n % 10}", 0), 60.0)
        await store.end(f"s{n}", LastWord(4500, "never"), float(n))
    clock.advance(100.0)
    await store.expired()
    kept = (store._records, store._by_new, store._by_user, store._expires_at, store._words)
    assert kept == ({}, {}, {}, {}, {})
