from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from multitransport.brokers.base import Broker, SessionStore
from multitransport.brokers.memory import MemoryBroker, MemorySessionStore
from multitransport.testing.clock import FakeClock
from multitransport.testing.contracts import BrokerContract, SessionStoreContract


class TestMemoryBroker(BrokerContract):
    @asynccontextmanager
    async def open_broker(self) -> AsyncIterator[Broker]:
        self.clock = FakeClock()
        epochs = (f"e{n}" for n in itertools.count(1))
        yield MemoryBroker(clock=self.clock, new_epoch=lambda: next(epochs), max_rooms=10, idle_seconds=0.05)

    async def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)


class TestMemorySessionStore(SessionStoreContract):
    @asynccontextmanager
    async def open_store(self) -> AsyncIterator[SessionStore]:
        self.clock = FakeClock()
        yield MemorySessionStore(clock=self.clock)

    async def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
