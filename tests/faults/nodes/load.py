"""Three hundred visitors of a cluster, or ``VISITORS=``, who read, ask and publish, and what they were given."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import re
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

from multitransport.client import Client, MemberChange, Publication, Room, connect
from multitransport.errors import BrokerUnavailable, ConnectionClosed, MultiTransportError, RequestError
from multitransport.protocol.codes import CloseCode
from multitransport.testing.waiting import eventually
from tests.cluster import Cluster, cluster
from tests.faults.nodes.history import (
    Reading,
    Said,
    complaints_of_members,
    complaints_of_readings,
    complaints_of_requests,
)

__all__ = ["Load", "Visitor", "load", "stage"]

TRANSPORTS = ("websocket", "sse", "poll")
VISITORS = int(os.environ.get("VISITORS", "300"))
ROOMS = 10
HALL = "hall"
REPEATABLE = "work again"
IN_HALL = 45
"""So many are in the room with presence, of each transport as many."""

_AT_ONCE = 30
_SETTLE_SECONDS = 40.0
_WATCH_SECONDS = 0.02
_TELL_COMPLAINTS = 40
_TRACEBACK = re.compile(r"^Traceback .*\n(?: .*\n)*(.*)", flags=re.MULTILINE)


class Visitor:
    """A client, its rooms and its requests."""

    def __init__(self, name: str, client: Client) -> None:
        self.name = name
        self.client = client
        self.session_id = client.session_id or ""
        self.readings: list[Reading] = []
        self.ages: list[float] = []
        self.outcomes: dict[str, str | None] = {}
        self.repeatable: set[str] = set()
        self.abandoned = False
        self._numbers = itertools.count(1)
        self._reading: list[asyncio.Task[None]] = []

    @property
    def state(self) -> str:
        """What its client is doing, and where it waits when it has no transport."""
        connection, running = self.client._connection, self.client._running
        told = f"{self.client.status} after {self.client.reconnects} reconnects"
        if self.client.status == "connected" or running is None:
            return told
        tasks = [running, *([] if connection.attachment is None else [connection.attachment.task])]
        return f"{told} ({connection.last_end}; waits in {' and '.join(map(_where, tasks))})"

    async def join(self, name: str) -> None:
        """Read a room from now on. Nobody may publish there meanwhile."""
        room = await self.client.join(name)
        assert room.position is not None
        reading = Reading(self.name, name, room.position)
        self.readings.append(reading)
        self._reading.append(asyncio.create_task(self._read(room, reading)))

    async def ask(self, event: str, seconds: float) -> None:
        """Make a request that takes so long, and note what comes of it."""
        name = f"{self.name}:{next(self._numbers)}"
        self.outcomes[name] = None
        if event == REPEATABLE:
            self.repeatable.add(name)
        try:
            reply = await self.client.request(event, {"id": name, "seconds": seconds}, timeout=None)
            self.outcomes[name] = "reply" if reply == name else f"the reply {reply!r}"
        except RequestError as error:
            self.outcomes[name] = error.code
        except MultiTransportError as error:
            self.outcomes[name] = repr(error)

    async def abandon(self) -> None:
        """Go without a word, as a page does whose machine is switched off."""
        self.abandoned = True
        running = self.client._running
        assert running is not None
        running.cancel()
        await asyncio.wait({running})
        self.client._finish(ConnectionClosed(CloseCode.BYE, "switched off"))  # who waits for it here need not

    async def close(self) -> None:
        for task in self._reading:
            task.cancel()
        await asyncio.gather(*self._reading, return_exceptions=True)
        await self.client.close()

    async def _read(self, room: Room, reading: Reading) -> None:
        with suppress(MultiTransportError):  # that its session ended is told otherwise
            async for item in room:
                reading.items.append(item)
                if isinstance(item, Publication):
                    self.ages.append(time.monotonic() - item.data["at"])


def _where(task: asyncio.Task[Any]) -> str:
    """Return the functions a task waits in, the outermost first."""
    names: list[str] = []
    waits: Any = task.get_coro()
    while waits is not None:
        frame = getattr(waits, "cr_frame", None) or getattr(waits, "gi_frame", None)
        names.append(type(waits).__name__ if frame is None else f"{frame.f_code.co_name}:{frame.f_lineno}")
        waits = getattr(waits, "cr_await", None) or getattr(waits, "gi_yieldfrom", None)
    return "done" if task.done() else " > ".join(names)


class Load:
    """``judge`` ends it and tells what is wrong."""

    def __init__(self, cluster: Cluster, visitors: Sequence[Visitor], rooms: list[str]) -> None:
        self.cluster = cluster
        self.visitors = visitors
        self.rooms = rooms
        self.said: list[Said] = []
        self.failed: list[str] = []
        self.changes: list[tuple[str, str]] = []
        self.longest_absence = 0.0
        self._observers: list[Visitor] = []
        self._away: dict[Visitor, float] = {}
        self._serials, self._begun = itertools.count(1), itertools.count(1)
        self._chance = random.Random(4)
        self._tasks: set[asyncio.Task[None]] = set()
        self._going: list[asyncio.Task[None]] = []

    # What goes on

    def start(self, publications: float = 20.0, requests: float = 30.0) -> None:
        """Publish and ask so often a second, until ``stop``."""
        self._going = [
            asyncio.create_task(self._repeat(publications, self._publish)),
            asyncio.create_task(self._repeat(requests, self._ask)),
            asyncio.create_task(self._watch()),
        ]

    async def stop(self, within_seconds: float = _SETTLE_SECONDS) -> list[str]:
        """Begin nothing more, and wait for what is under way; return what did not come to an end."""
        for task in self._going:
            task.cancel()
        await asyncio.gather(*self._going, return_exceptions=True)
        self._going = []
        late = set[asyncio.Task[None]]()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=within_seconds)
            for task in late:
                task.cancel()
        return [f"{task.get_name()} came to no end" for task in late]

    async def more(self, count: int, within_seconds: float = 60.0) -> None:
        """Wait until so many more publications were taken."""
        goal = len(self.said) + count
        await eventually(lambda: len(self.said) >= goal, within_seconds)

    async def _repeat(self, rate: float, what: Callable[[], Coroutine[Any, Any, None]]) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            task = asyncio.create_task(what(), name=f"{what.__name__} {next(self._begun)}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            due += 1 / rate
            await asyncio.sleep(due - loop.time())

    async def _publish(self) -> None:
        serial = next(self._serials)
        room = self.rooms[serial % len(self.rooms)]
        if serial % 2:
            await self.publish(room, serial // 2 % len(self.cluster.nodes), serial)
        else:
            among = [one for one in self.staying if any(reading.room == room for reading in one.readings)]
            await self._publish_as(self._chance.choice(among), room, serial)

    async def publish(
        self, room: str, node: int, serial: int | str, *, id: str | None = None, pad: str | None = None
    ) -> bool:
        """Publish at a node; tell whether it was taken for sure."""
        data = {"serial": serial, "at": time.monotonic(), "pad": pad}
        try:
            position = await self.cluster.publish(node, room, data, id)
        except (BrokerUnavailable, httpx.HTTPError) as error:
            self.failed.append(f"{type(error).__name__} {error}")
            return False
        self.said.append(Said(room, serial, position))
        return True

    async def _publish_as(self, visitor: Visitor, room: str, serial: int) -> None:
        try:
            await visitor.client.publish(room, "said", {"serial": serial, "at": time.monotonic()})
        except MultiTransportError as error:
            if not visitor.abandoned:
                self.failed.append(f"{visitor.name}: {error}")
        else:
            self.said.append(Said(room, serial, None))

    async def _ask(self) -> None:
        visitor = self._chance.choice(self.staying)
        event = self._chance.choice(("work", REPEATABLE))
        await visitor.ask(event, 0.3 if self._chance.random() < 0.3 else 0.0)

    async def _watch(self) -> None:
        """Note how long anybody was without a transport."""
        loop = asyncio.get_running_loop()
        while True:
            now = loop.time()
            for visitor in self.visitors:
                if visitor.abandoned or visitor.client.status == "connected":
                    self._away.pop(visitor, None)
                else:
                    absence = now - self._away.setdefault(visitor, now)
                    self.longest_absence = max(self.longest_absence, absence)
            await asyncio.sleep(_WATCH_SECONDS)

    # Who there is

    @property
    def staying(self) -> list[Visitor]:
        return [visitor for visitor in self.visitors if not visitor.abandoned]

    @property
    def everybody(self) -> list[Visitor]:
        """Return all of them, and who observes them."""
        return [*self.visitors, *self._observers]

    @property
    def readings(self) -> list[Reading]:
        return [reading for visitor in self.visitors for reading in visitor.readings]

    def in_hall(self) -> list[Visitor]:
        """Return those whose coming and going is observed."""
        return [visitor for visitor in self.visitors if HALL in visitor.client.rooms]

    async def somebody_on(self, node: int) -> Visitor:
        """Return somebody in the hall whose session this node speaks for, and who has a stream there."""
        for visitor in self.in_hall():
            on_stream = not visitor.abandoned and visitor.client.transport != "poll"
            if on_stream and await visitor.client.request("where") == str(node):
                return visitor
        raise AssertionError(f"nobody is on node {node}")

    async def abandon(self, count: int) -> None:
        """Have so many of those in the hall go without a word."""
        leavers = [visitor for visitor in self.in_hall() if not visitor.abandoned][:count]
        await asyncio.gather(*(visitor.abandon() for visitor in leavers))

    async def observe(self, observer: Visitor) -> None:
        """Have this visitor watch who comes and goes; return when it sees all of them."""
        self._observers.append(observer)
        hall = await observer.client.join(HALL)
        expected = {f"session:{visitor.session_id}" for visitor in self.in_hall()}
        await eventually(lambda: expected <= hall.members.keys(), 20.0)

        @hall.on_presence
        def changed(change: MemberChange) -> None:
            self.changes.append((change.kind, change.member.id.removeprefix("session:")))

    # What became of it

    async def settled(self, within_seconds: float = _SETTLE_SECONDS) -> list[str]:
        """Stop, publish one more to each room, and wait until everybody who stays has that; return who has it not, and
        what came to no end.
        """
        wrong = await self.stop(within_seconds)
        ends = {}
        for room in self.rooms:
            serial = f"end of {room}"
            for attempt in range(20):
                if await self.publish(room, attempt % len(self.cluster.nodes), serial, id=serial):
                    break
            ends[room] = serial
        late = [(visitor, reading) for visitor in self.staying for reading in visitor.readings]

        def is_late(reading: Reading) -> bool:
            newest = (item for item in reversed(reading.items[-50:]) if isinstance(item, Publication))
            return not any(item.data["serial"] == ends[reading.room] for item in newest)

        def nobody_is_late() -> bool:
            late[:] = [each for each in late if is_late(each[1])]
            return not late

        with suppress(AssertionError):
            await eventually(nobody_is_late, within_seconds)
        return wrong + [
            f"{visitor.name}, {visitor.state}, was not given the end of {reading.room}, but {reading.end}"
            for visitor, reading in late
        ]

    async def judge(self, *, lossless: bool, unknown_allowed: bool, settle_seconds: float = _SETTLE_SECONDS) -> None:
        """Fail with what is wrong with all that happened."""
        wrong = await self.settled(settle_seconds)
        await self._wait_for_ends(settle_seconds)
        leavers = {visitor.name for visitor in self.visitors if visitor.abandoned}
        wrong += complaints_of_readings(self.readings, self.said, lossless=lossless, leavers=leavers)
        outcomes = {name: outcome for one in self.staying for name, outcome in one.outcomes.items()}
        abandoned = {name for one in self.visitors if one.abandoned for name in one.outcomes}
        ran = [note["id"] for note in self.cluster.noted("ran") if note["id"] not in abandoned]
        repeatable = set[str]().union(*(one.repeatable for one in self.staying))
        wrong += complaints_of_requests(outcomes, ran, unknown_allowed=unknown_allowed, repeatable=repeatable)
        hall = self.in_hall()
        wrong += complaints_of_members(
            self.changes,
            [note["session"] for note in self.cluster.noted("ended")],
            stayed=[visitor.session_id for visitor in hall if not visitor.abandoned],
            gone=[visitor.session_id for visitor in hall if visitor.abandoned],
            forgotten=not lossless,
        )
        for visitor in self.staying:
            if visitor.client.session_id != visitor.session_id:
                wrong.append(f"{visitor.name} has another session than before")
        assert not wrong, "\n".join([f"{len(wrong)} complaints", *wrong[:_TELL_COMPLAINTS]])

    async def _wait_for_ends(self, within_seconds: float) -> None:
        """Wait until those who went without a word are gone for everybody, or ought to be."""
        gone = {visitor.session_id for visitor in self.visitors if visitor.abandoned}
        with suppress(AssertionError):
            await eventually(lambda: gone <= {note["session"] for note in self.cluster.noted("ended")}, within_seconds)
            await eventually(lambda: gone <= {session for kind, session in self.changes if kind == "left"}, 10.0)


@asynccontextmanager
async def load(cluster: Cluster, count: int = VISITORS, *, rooms: int = ROOMS) -> AsyncIterator[Load]:
    """Have so many visitors in rooms, a third on each transport; some of them in the hall, which one observes."""
    names = [f"room/{number}" for number in range(rooms)]
    visitors: list[Visitor] = []
    async with AsyncExitStack() as stack:
        turn = asyncio.Semaphore(_AT_ONCE)

        async def come(number: int) -> Visitor:
            async with turn:
                client = connect(cluster.url, transports=[TRANSPORTS[number % 3]], connect_seconds=60.0)
                visitor = Visitor(f"{TRANSPORTS[number % 3]} {number}", await client.__aenter__())
                visitors.append(visitor)
                wanted = {number % rooms} | ({(7 * number + 3) % rooms} if number % 2 else set())
                for room in wanted:
                    await visitor.join(names[room])
                if number < IN_HALL:
                    await client.join(HALL)
                return visitor

        async def leave() -> None:
            await asyncio.gather(*(visitor.close() for visitor in visitors))

        stack.push_async_callback(leave)
        everybody = await asyncio.gather(*(come(number) for number in range(count)))
        made = Load(cluster, everybody[:-1], names)
        stack.push_async_callback(made.stop, 0.0)
        await made.observe(everybody[-1])
        yield made


@asynccontextmanager
async def stage(brokers: Sequence[str], folder: Path, **settings: float) -> AsyncIterator[Load]:
    """Give a load that has been going on for a while, on nodes with these brokers."""
    async with cluster(brokers, folder, **settings) as nodes:
        async with load(nodes) as visitors:
            visitors.start()
            await visitors.more(60)
            yield visitors
        for node in nodes.nodes:
            # What a client may not publish while Redis is away is told with where that was.
            wrong = [error for error in _TRACEBACK.findall(node.output) if "BrokerUnavailable" not in error]
            assert not wrong, node.output[-10_000:]
