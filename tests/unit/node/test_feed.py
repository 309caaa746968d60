from __future__ import annotations

import asyncio
import contextvars
import math
import threading

import pytest

from multitransport.brokers.memory import MemoryBroker
from multitransport.core.log import Log, Retention
from multitransport.core.publication import Draft, Slice
from multitransport.core.reader import Gap, Reader
from multitransport.node.feed import Feed
from multitransport.node.hub import Hub
from multitransport.node.turn import Turn
from tests.simulated import simulated, simulated_loop

ENOUGH = 1 << 30


class Listener:
    """Reads all there is whenever it is told to, which takes it ``cost_seconds``."""

    def __init__(self, cost_seconds: float = 0.0, *, reads: bool = True) -> None:
        self.loop = simulated_loop()
        self.start = self.loop.time()
        self.cost_seconds = cost_seconds
        self.reads = reads
        self.session_id = "listener"
        self.reader = Reader(self)
        self.read: list[tuple[float, int]] = []
        self.lost = 0

    def wake(self) -> None:
        self.flush()

    def flush(self) -> None:
        at = round(self.loop.time() - self.start, 9)
        self.loop.spend(self.cost_seconds)
        for item in self.reader.take(ENOUGH) if self.reads else ():
            if isinstance(item, Gap):
                self.lost += item.lost or 0
            else:
                self.read.append((at, len(item.publications)))


class Room:
    """A room with its feed."""

    def __init__(self, *listeners: Listener, retention: Retention | None = None) -> None:
        self.log = Log("r", "e", retention or Retention())
        self.feed = Feed(self.log, simulated_loop(), Turn(simulated_loop()))
        for listener in listeners:
            self.feed.cursors[listener.reader.add(self.log, 0)] = None

    def publish(self, size: int = 1) -> None:
        self.log.append(Draft("e", b"1" * size), simulated_loop().time())
        self.feed.advanced()


@simulated
async def test_in_an_idle_room_a_publication_is_read_at_once() -> None:
    listener = Listener()
    room = Room(listener)
    for _ in range(3):
        room.publish()
        await simulated_loop().settle()
    assert listener.read == [(0.0, 1)] * 3


@simulated
async def test_what_is_published_in_one_go_is_read_in_one() -> None:
    listener = Listener()
    room = Room(listener)
    for _ in range(5):
        room.publish()
    await simulated_loop().settle()
    assert listener.read == [(0.0, 5)]


@simulated
async def test_while_a_flush_and_its_pause_last_further_publications_gather() -> None:
    listener = Listener(cost_seconds=0.01)
    room = Room(listener)
    room.publish()
    await asyncio.sleep(0)
    for _ in range(4):
        room.publish()
        await asyncio.sleep(0.002)
    await asyncio.sleep(1)
    # The flush took 0.01 s and the pause as long; what came meanwhile is one batch.
    assert listener.read == [(0.0, 1), (0.02, 4)]


@simulated
async def test_at_most_half_of_the_time_goes_to_a_hot_room() -> None:
    listeners = [Listener(cost_seconds=0.001) for _ in range(10)]
    room = Room(*listeners)
    loop = simulated_loop()
    start = loop.time()
    while loop.time() < start + 10:
        room.publish()
        await asyncio.sleep(0.0001)
    busy = sum(len(listener.read) * listener.cost_seconds for listener in listeners)
    assert 0.4 * 10 < busy <= 0.5 * 10 + 0.02


@simulated
async def test_a_flush_that_costs_next_to_nothing_has_no_pause() -> None:
    listener = Listener(cost_seconds=0.0004)
    room = Room(listener)
    room.publish()
    await asyncio.sleep(0)
    room.publish()
    await simulated_loop().settle()
    assert [count for _, count in listener.read] == [1, 1]


@simulated
async def test_a_room_without_readers_costs_nothing() -> None:
    room = Room()
    for _ in range(5000):
        room.publish()
        await room.feed.room_for_more()
    assert room.log.top == 5000


@simulated
async def test_a_reader_that_leaves_during_a_flush_does_no_harm() -> None:
    listeners = [Listener(), Listener()]
    room = Room(*listeners)

    class Leaver(Listener):
        def flush(self) -> None:
            room.feed.cursors.clear()

    leaver = Leaver()
    room.feed.cursors[leaver.reader.add(room.log, 0)] = None
    room.publish()
    await simulated_loop().settle()
    assert [listener.read for listener in listeners] == [[(0.0, 1)], [(0.0, 1)]]
    assert room.feed.cursors == {}


# Backpressure


RETENTIONS = pytest.mark.parametrize(
    "retention", [Retention(count=10), Retention(bytes=10_000)], ids=["count", "bytes"]
)


@RETENTIONS
@simulated
async def test_readers_that_keep_up_lose_nothing_to_a_publisher_in_a_tight_loop(retention: Retention) -> None:
    listeners = [Listener(cost_seconds=0.001) for _ in range(3)]
    room = Room(*listeners, retention=retention)
    for _ in range(500):
        room.publish(size=900)
        await room.feed.room_for_more()
    await asyncio.sleep(1)
    for listener in listeners:
        assert (listener.lost, sum(count for _, count in listener.read)) == (0, 500)


@RETENTIONS
@simulated
async def test_slow_readers_hold_nobody(retention: Retention) -> None:
    slow = Listener(reads=False)
    room = Room(slow, retention=retention)
    loop = simulated_loop()
    start = loop.time()
    for _ in range(500):
        room.publish(size=900)
        await room.feed.room_for_more()
    assert loop.time() == start
    gap, *rest = slow.reader.take(ENOUGH)
    assert isinstance(gap, Gap)
    assert (gap.lost or 0) + sum(len(item.publications) for item in rest if isinstance(item, Slice)) == 500


@simulated
async def test_a_publisher_is_held_for_one_flush_and_its_pause() -> None:
    room = Room(Listener(cost_seconds=0.01), retention=Retention(count=10))
    loop = simulated_loop()
    start = loop.time()
    for _ in range(5):
        room.publish()
    await room.feed.room_for_more()
    assert round(loop.time() - start, 9) == 0.02


@simulated
async def test_a_publisher_is_not_held_before_half_of_the_retention_is_unread() -> None:
    room = Room(Listener(cost_seconds=0.01), retention=Retention(count=10))
    loop = simulated_loop()
    start = loop.time()
    for _ in range(4):
        room.publish()
        await room.feed.room_for_more()
    assert loop.time() == start


@simulated
async def test_a_publisher_that_gives_up_does_not_disturb_another() -> None:
    room = Room(Listener(cost_seconds=0.01), retention=Retention(count=10))
    room.publish()
    await asyncio.sleep(0)
    for _ in range(5):
        room.publish()
    one, other = (asyncio.create_task(room.feed.room_for_more()) for _ in range(2))
    await asyncio.sleep(0)
    one.cancel()
    await asyncio.wait({one, other})
    assert one.cancelled()
    assert other.exception() is None


@simulated
async def test_through_the_hub_a_publisher_is_held_too() -> None:
    loop = simulated_loop()
    broker = MemoryBroker(clock=loop.time, new_epoch=lambda: "e", max_rooms=10, idle_seconds=1.0)
    hub = Hub(broker, loop)
    await hub.start()
    few = Retention(count=10)
    listener = Listener(cost_seconds=0.01)
    log, recovery = await hub.open("r", few, None, 0)
    hub.join(listener.reader, log, recovery.offset)
    for _ in range(100):
        await hub.publish("r", Draft("e", b"1"), few)
    await asyncio.sleep(1)
    assert (listener.lost, sum(count for _, count in listener.read)) == (0, 100)


# Contexts


@simulated
async def test_readers_are_not_told_in_the_context_of_whoever_publishes() -> None:
    whose = contextvars.ContextVar("whose", default="nobody's")
    seen: list[str] = []

    class Curious(Listener):
        def flush(self) -> None:
            seen.append(whose.get())

    room = Room(Curious())
    whose.set("the publisher's")
    room.publish()
    await simulated_loop().settle()
    assert seen == ["nobody's"]


def test_nodes_in_two_threads_do_not_meet() -> None:
    """A flush in one of them lasts while there is one in the other."""
    inside, done = threading.Event(), threading.Event()

    @simulated
    async def hold() -> None:
        class Holder(Listener):
            def flush(self) -> None:
                inside.set()
                assert done.wait(10)

        Room(Holder()).publish()
        await simulated_loop().settle()

    @simulated
    async def meanwhile() -> None:
        listener = Listener()
        Room(listener).publish()
        await simulated_loop().settle()
        assert listener.read == [(0.0, 1)]

    failures: list[BaseException] = []

    def run() -> None:
        try:
            hold()
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert inside.wait(10)
        meanwhile()
    finally:
        done.set()
        thread.join()
    assert not failures


@simulated
async def test_an_interval_beyond_numbers_sets_no_timer_without_a_time() -> None:
    """One timer at no time at all would spoil the order of every timer of the loop."""
    listener = Listener()
    room = Room()
    room.feed.add_throttled(listener.reader.add(room.log, 0), math.inf, -math.inf)
    room.publish()
    await asyncio.sleep(0)
    assert listener.read == [(0.0, 1)]


@simulated
async def test_what_is_volatile_is_told_before_what_was_kept_after_it_and_after_what_was_kept_before() -> None:
    told: list[bytes] = []

    class Told(Listener):
        def flush(self) -> None:
            told.extend(each.frames for each in self.reader.take(ENOUGH))

    room = Room(Told())
    for turns in ("vkv", "kv", "vk"):
        for turn in turns:
            if turn == "k":
                room.publish()
            else:
                room.feed.flash(Draft("e", b"2"), 0.0)
        await simulated_loop().settle()
        told.append(b"")
    assert "".join("-" if not each else "v" if b"null" in each else "k" for each in told) == "vkv-kv-vk-"


@simulated
async def test_what_is_volatile_gathers_up_to_some_bytes_and_some_number() -> None:
    listener = Listener()
    room = Room(listener)
    for data, told in ((b"1" * 20_000, 4), (b"1" * 200_000, 1), (b"1", 64)):
        for _ in range(100):
            room.feed.flash(Draft("e", data), 0.0)
        await simulated_loop().settle()
        listener.flush()
        assert sum(count for _, count in listener.read) == told
        listener.read.clear()
