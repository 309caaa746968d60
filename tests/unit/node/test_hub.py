from __future__ import annotations

import itertools

from multitransport.brokers.memory import MemoryBroker
from multitransport.core.log import Retention
from multitransport.core.publication import Draft
from multitransport.core.reader import Reader
from multitransport.node.hub import Hub
from multitransport.protocol.position import Position
from multitransport.testing.clock import FakeClock
from tests.simulated import simulated, simulated_loop

BRIEF = Retention(seconds=1.0)
ENOUGH = 1 << 20


class Owner:
    session_id = "nobody"

    def wake(self) -> None:
        """Nobody waits for it."""

    def flush(self) -> None:
        """Nobody waits for it."""


class House:
    """A hub over a broker that lets go of an unused room after ten seconds, and then gives it another epoch."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        epochs = (f"e{n}" for n in itertools.count(1))
        broker = MemoryBroker(clock=self.clock, new_epoch=lambda: next(epochs), max_rooms=10, idle_seconds=10.0)
        self.hub = Hub(broker, simulated_loop())

    async def publish(self) -> Position:
        return await self.hub.publish("r", Draft("e", b"1"), BRIEF)

    async def time_passes(self) -> None:
        simulated_loop().spend(11.0)
        await self.hub.sweep()
        self.clock.advance(11.0)
        await self.hub.sweep()


@simulated
async def test_a_reader_gets_what_follows_its_place() -> None:
    house = House()
    await house.hub.start()
    await house.publish()
    reader = Reader(Owner())
    log, recovery = await house.hub.open("r", BRIEF, None, 0)
    house.hub.join(reader, log, recovery.offset)
    await house.publish()
    await simulated_loop().settle()
    assert [item.frames for item in reader.take(ENOUGH)] == [b'["pub","r",2,"e",1]']


@simulated
async def test_a_rate_bounds_no_room_that_keeps_every_publication() -> None:
    """Its reader would fall behind the retention by its own rate."""
    house = House()
    await house.hub.start()
    reader = Reader(Owner())
    log, _ = await house.hub.open("r", BRIEF, None, 0)
    house.hub.join(reader, log, 0, 0.001)
    told = []
    for _ in range(3):
        await house.publish()
        await simulated_loop().settle()
        told.append(len(reader.take(ENOUGH)))
    assert told == [1, 1, 1]


@simulated
async def test_a_reader_that_joins_twice_reads_once() -> None:
    house = House()
    await house.hub.start()
    reader = Reader(Owner())
    for _ in range(2):
        log, recovery = await house.hub.open("r", BRIEF, None, 0)
        house.hub.join(reader, log, recovery.offset)
    await house.publish()
    await simulated_loop().settle()
    assert [item.frames for item in reader.take(ENOUGH)] == [b'["pub","r",1,"e",1]']


@simulated
async def test_a_reader_that_left_reads_no_more() -> None:
    house = House()
    await house.hub.start()
    reader = Reader(Owner())
    log, recovery = await house.hub.open("r", BRIEF, None, 0)
    house.hub.join(reader, log, recovery.offset)
    house.hub.leave(reader, "r")
    house.hub.leave(reader, "r")
    await house.publish()
    await simulated_loop().settle()
    assert reader.take(ENOUGH) == []


@simulated
async def test_a_room_with_readers_is_kept() -> None:
    house = House()
    log, recovery = await house.hub.open("r", BRIEF, None, 0)
    house.hub.join(Reader(Owner()), log, recovery.offset)
    await house.time_passes()
    assert (await house.publish()).epoch == "e1"


@simulated
async def test_a_room_its_last_reader_left_is_let_go_of() -> None:
    house = House()
    reader = Reader(Owner())
    log, recovery = await house.hub.open("r", BRIEF, None, 0)
    house.hub.join(reader, log, recovery.offset)
    house.hub.leave(reader, "r")
    await house.time_passes()
    assert (await house.publish()).epoch == "e2"


@simulated
async def test_a_room_that_was_opened_and_never_joined_is_let_go_of() -> None:
    """As it is where a session joins while nothing carries it, and never comes back."""
    house = House()
    await house.hub.open("r", BRIEF, None, 0)
    await house.time_passes()
    assert (await house.publish()).epoch == "e2"


@simulated
async def test_a_stopped_hub_tells_nobody() -> None:
    house = House()
    await house.hub.start()
    reader = Reader(Owner())
    log, recovery = await house.hub.open("r", BRIEF, None, 0)
    house.hub.join(reader, log, recovery.offset)
    await house.hub.stop()
    await house.publish()
    await simulated_loop().settle()
    assert reader.take(ENOUGH) == []


@simulated
async def test_a_room_is_not_let_go_of_between_its_opening_and_the_joining() -> None:
    house = House()
    await house.hub.start()
    reader = Reader(Owner())
    log, recovery = await house.hub.open("r", BRIEF, None, 0)
    await house.hub.sweep()
    assert house.hub.join(reader, log, recovery.offset)


@simulated
async def test_a_room_that_was_let_go_of_since_it_was_opened_is_not_joined() -> None:
    house = House()
    await house.hub.start()
    log, recovery = await house.hub.open("r", BRIEF, None, 0)
    await house.time_passes()
    assert not house.hub.join(Reader(Owner()), log, recovery.offset)
