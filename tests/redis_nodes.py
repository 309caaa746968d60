"""Nodes over one Redis, and readers that note what they were given and what they were told they lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from multitransport.brokers.redis import RedisBroker, Timing
from multitransport.core.log import Log, Retention
from multitransport.core.publication import Draft
from multitransport.core.reader import Gap, Reader
from multitransport.errors import BrokerUnavailable
from multitransport.protocol.position import Position
from multitransport.testing.waiting import eventually

__all__ = ["FAST", "KEEP", "STATE", "Node", "Talk", "Witness", "nodes", "talk", "values"]

FAST = Timing(
    connect_seconds=0.5,
    probe_seconds=0.2,
    answer_seconds=0.4,
    retry_seconds=0.2,
    publish_seconds=2.0,
    check_seconds=0.5,
    lag_seconds=0.2,
    vouch_seconds=0.5,
    linger_seconds=0.0,
)
KEEP = Retention(count=10_000, seconds=60.0, bytes=64 << 20)
STATE = Retention(seconds=60.0, bytes=10_000, keys=10)


class Witness:
    """One reader in one room. ``read`` has what it got, ``gaps`` where it was told that something is missing, and
    ``holes`` where something was missing, or was repeated, in silence.
    """

    session_id = "witness"

    def __init__(self, log: Log, offset: int) -> None:
        self.reader = Reader(self)
        self.read: list[tuple[str, int, bytes]] = []
        self.gaps: list[Position] = []
        self.holes: list[tuple[Position, int]] = []
        self.flashes: list[bytes] = []
        self.position = Position(log.epoch, offset)
        self.log = log
        self.cursor = self.reader.add(log, offset)
        self.flush()

    def wake(self) -> None:
        """See Owner; whoever adds a cursor flushes."""

    def flush(self) -> None:
        for item in self.reader.take(1 << 30):
            if isinstance(item, Gap):
                self.gaps.append(item.position)
                self.position = item.position
                continue
            for publication in item.publications:
                if self.log.mode == "log" and self.position != (self.log.epoch, publication.offset - 1):
                    self.holes.append((self.position, publication.offset))
                self.position = Position(self.log.epoch, publication.offset)
                self.read.append((self.log.epoch, publication.offset, publication.data))

    @property
    def data(self) -> list[bytes]:
        return [data for _, _, data in self.read]


class Node:
    """A broker that serves witnesses as a hub does."""

    def __init__(self, broker: RedisBroker) -> None:
        self.broker = broker
        self.witnesses: dict[str, list[Witness]] = {}
        self.flashed: list[tuple[str, bytes]] = []

    async def watch(
        self, room: str, retention: Retention = KEEP, after: Position | None = None, history: int = 0
    ) -> Witness:
        log = await self.broker.subscribe(room, retention, after, history)
        found = log.newest(history) if after is None else log.recover(after)
        witness = Witness(log, found.offset)
        self.witnesses.setdefault(room, []).append(witness)
        return witness

    async def say(self, room: str, data: bytes, retention: Retention = KEEP, id: str | None = None) -> Position:
        return await self.broker.publish(room, Draft("said", data, id=id), retention)

    async def put(self, room: str, key: str, data: bytes | None, retention: Retention = STATE) -> Position:
        return await self.broker.publish(room, Draft("put", data or b"null", key=key, deleted=data is None), retention)

    def advanced(self, room: str) -> None:
        for witness in self.witnesses.get(room, []):
            witness.cursor.flush()

    def noticed(self, room: str, draft: Draft) -> None:
        self.flashed.append((room, draft.data))


@asynccontextmanager
async def nodes(*urls: str, timing: Timing = FAST, prefix: str = "multitransport") -> AsyncIterator[list[Node]]:
    """Give a started node for each URL."""
    made = [Node(RedisBroker(url, timing=timing, prefix=prefix)) for url in urls]
    for node in made:
        await node.broker.start(node.advanced, node.noticed)
    try:
        yield made
    finally:
        await asyncio.gather(*(node.broker.stop() for node in made))


def values(log: Log) -> dict[str, object]:
    """Return what a state room says now."""
    return {each.draft.key or "": msgspec.json.decode(each.data) for each in log.values()}  # type: ignore[attr-defined]


_EVERY_SECONDS = 0.005


class Talk:
    """Two nodes publish all the time. ``taken`` has what was confirmed."""

    def __init__(self, members: list[Node], room: str) -> None:
        self.taken: dict[bytes, Position] = {}
        self.failed: list[bytes] = []
        self._stopped = False
        self._tasks = [asyncio.create_task(self._say(node, n, room)) for n, node in enumerate(members)]

    async def _say(self, node: Node, number: int, room: str) -> None:
        count = 0
        while not self._stopped:
            count += 1
            data = b"[%d,%d]" % (number, count)
            try:
                self.taken[data] = await node.say(room, data)
            except BrokerUnavailable:
                self.failed.append(data)
            await asyncio.sleep(_EVERY_SECONDS)

    async def more(self, count: int, within_seconds: float = 10.0) -> None:
        """Wait until so much more was taken."""
        goal = len(self.taken) + count
        await eventually(lambda: len(self.taken) >= goal, within_seconds)

    async def end(self) -> None:
        self._stopped = True
        await asyncio.gather(*self._tasks)


@asynccontextmanager
async def talk(members: list[Node], room: str = "a") -> AsyncIterator[Talk]:
    going_on = Talk(members, room)
    try:
        yield going_on
    finally:
        await going_on.end()
