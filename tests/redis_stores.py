"""Nodes' session stores over one Redis, with leases that end soon."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from msgspec import structs

from multitransport.brokers.redis import RedisBroker, Timing
from multitransport.brokers.redis.connections.connection import ConnectionLost
from multitransport.brokers.redis.scripts import Script
from multitransport.brokers.redis.sessions.store import RedisSessionStore
from multitransport.core.session import SessionRecord
from multitransport.testing.proxy import FaultProxy
from multitransport.testing.waiting import eventually
from tests.redis_nodes import FAST
from tests.redis_server import RedisServer

__all__ = ["BRIEF", "KEYS", "LATER", "Interruption", "Store", "cut_off", "frozen", "gone", "make", "stores"]

BRIEF = structs.replace(FAST, lease_seconds=0.6, session_seconds=5.0)
KEYS = ["former secret", "secret"]
LATER = 60.0


class Store(RedisSessionStore):
    """One that notes how often its lease was lost."""

    def __init__(self, url: str, secret_keys: Sequence[str], timing: Timing, prefix: str) -> None:
        self.broker = RedisBroker(url, timing=timing, prefix=prefix)
        super().__init__(self.broker, secret_keys)
        self.losses = 0

    async def open(self) -> None:
        await self.broker.start(lambda room: None, lambda room, draft: None)
        await self.start(self.lost)
        await eventually(lambda: self.fault is None)

    async def close(self) -> None:
        await self.stop()
        await self.broker.stop()

    def lost(self) -> None:
        self.losses += 1

    async def adopt_all(self, seconds: float = LATER) -> list[SessionRecord]:
        """Adopt until there is something to adopt, and then until there is nothing more."""
        found = await eventually(lambda: self.adopt(seconds), 10.0)
        while more := await self.adopt(seconds):
            found += more
        return found


@asynccontextmanager
async def stores(
    *urls: str, secret_keys: Sequence[str] = KEYS, timing: Timing = BRIEF, prefix: str = "multitransport"
) -> AsyncIterator[list[Store]]:
    """Give a started store for each URL."""
    made = [Store(url, secret_keys, timing, prefix) for url in urls]
    try:
        for store in made:
            await store.open()
        yield made
    finally:
        await asyncio.gather(*(store.close() for store in made))


async def make(store: RedisSessionStore, session_id: str = "s1", user_id: str | None = None) -> SessionRecord:
    """Make an attached session at this store."""
    await store.create(SessionRecord(session_id, f"new of {session_id}", b"secret", user_id, 0), LATER)
    return (await store.attach(session_id, 1)).record


async def gone(of: Store, by: Store) -> None:
    """Return when a node's lease was ended."""
    node = of.node
    await eventually(lambda: _is_dead(node, by), 10.0)


async def _is_dead(node: str, by: Store) -> bool:
    return node not in await by.nodes()


@asynccontextmanager
async def frozen(redis: RedisServer, survivors: int = 1) -> AsyncIterator[tuple[FaultProxy, list[Store]]]:
    """Give a proxy that is in the way of the first of these stores."""
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(FaultProxy(redis.url))
        urls = [f"redis://127.0.0.1:{proxy.port}", *[redis.url] * survivors]
        yield proxy, await stack.enter_async_context(stores(*urls))


async def cut_off(proxy: FaultProxy) -> None:
    """Let nothing through any more."""
    await proxy.refuse()
    proxy.cut()


class Interruption:
    """The connection of a store is lost in the next step of this kind, once Redis has carried it out, and only when the
    test lets go of it; ``unheard``: before Redis has.
    """

    def __init__(self, store: RedisSessionStore, script: Script, *, unheard: bool = False) -> None:
        self.reached = asyncio.Event()
        self._let_go = asyncio.Event()
        self._script = script
        self._unheard = unheard
        line: Any = store._line()
        self._run = line.run_script
        line.run_script = self._run_script

    def let_go(self) -> None:
        self._let_go.set()

    async def _run_script(self, script: Script, keys: list[bytes], *arguments: str | int | bytes) -> Any:
        if script is not self._script or self.reached.is_set():
            return await self._run(script, keys, *arguments)
        if not self._unheard:
            await self._run(script, keys, *arguments)
        self.reached.set()
        await self._let_go.wait()
        raise ConnectionLost("for the test")
