"""Nodes that hold frames of a session: which of them are taken for gone."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

from multitransport.brokers.memory import MemorySessionStore
from multitransport.core.session import SessionRecord
from multitransport.errors import BrokerUnavailable
from multitransport.node.watches import Watches
from tests.simulated import simulated


class Store(MemorySessionStore):
    """One that takes all those for gone that are unheard."""

    node = "here"

    def __init__(self) -> None:
        super().__init__(clock=asyncio.get_running_loop().time)
        self.unheard: list[list[str]] = []

    async def gone(self, nodes: Collection[str], unheard: Collection[str] = ()) -> set[str]:
        self.unheard.append(sorted(unheard))
        return set(unheard)


class Watched:
    """A session of which another node holds a frame, watched for as long as the test says."""

    def __init__(self) -> None:
        self.store = Store()
        self.hears = True
        self.fault: Exception | None = None
        self.lost: set[str] = set()
        self.looks = self._due = 0
        self._seen = asyncio.Event()
        self.tasks: set[asyncio.Task[None]] = set()
        self.watches = Watches(self.store, self._remind, self._settle, self._own)

    def begin(self) -> None:
        self.record = SessionRecord("s", "n", b"", None, 1, holders={1: "other"})
        self.record.inbox.claim([1], 8)
        self.watches.begin(self.record)

    async def end(self) -> None:
        """The frame is done."""
        self.record.holders = {}
        await asyncio.gather(*self.tasks)
        self.tasks.clear()

    async def look(self, times: int = 1) -> None:
        """Return when the watch has looked so often again."""
        self._seen = asyncio.Event()
        self._due = self.looks + times
        await self._seen.wait()

    def _own(self, work: Any) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        return task

    async def _remind(self, node: str, record: SessionRecord) -> bool:
        return self.hears

    async def _settle(self, session_id: str, gone: set[str]) -> SessionRecord | None:
        self.looks += 1
        if self.looks >= self._due:
            self._seen.set()
        self.lost |= gone
        if self.fault is not None:
            raise self.fault
        return self.record


@simulated
async def test_who_did_not_listen_twice_in_a_row_is_gone() -> None:
    watched = Watched()
    watched.begin()
    for hears in (True, False, True, False):
        watched.hears = hears
        await watched.look()
    assert watched.lost == set()
    await watched.look()
    assert watched.lost == {"other"}
    await watched.end()


@simulated
async def test_who_did_not_listen_an_hour_ago_either_is_waited_for() -> None:
    watched = Watched()
    watched.begin()
    watched.hears = False
    await watched.look()
    await watched.end()
    await asyncio.sleep(3600)
    looks = len(watched.store.unheard)
    watched.begin()
    await watched.look()
    assert watched.store.unheard[looks:] == [[]]
    await watched.look()
    assert watched.store.unheard[looks:] == [[], ["other"]]
    await watched.end()


@simulated
async def test_a_watch_goes_on_whatever_goes_wrong() -> None:
    watched = Watched()
    watched.begin()
    for fault in (BrokerUnavailable("it is away"), ValueError("on purpose")):
        watched.fault = fault
        await watched.look(2)
    watched.fault, watched.hears = None, False
    await watched.look(2)
    assert watched.lost == {"other"}
    await watched.end()
