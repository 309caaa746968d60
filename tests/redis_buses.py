"""Nodes of which only the bus is there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from multitransport.brokers.redis import RedisBroker
from multitransport.brokers.redis.bus import RedisBus
from tests.redis_nodes import FAST

__all__ = ["Member", "members"]


class Member:
    """A node of which only the bus is there. It answers with what it was asked and who it is, unless told otherwise."""

    def __init__(self, url: str, keys: Sequence[str], prefix: str, max_bytes: int) -> None:
        self.broker = RedisBroker(url, timing=FAST, prefix=prefix)
        self.bus = RedisBus(self.broker, keys, max_bytes)
        self.heard: list[Any] = []
        self.cancelled: list[Any] = []
        self.go_on = asyncio.Event()
        self.go_on.set()

    @property
    def node(self) -> str:
        return self.broker.node

    async def handle(self, message: Any) -> Any:
        self.heard.append(message)
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.cancelled.append(message)
            raise
        if message == "fail":
            raise RuntimeError("as it was told")
        if message == "unspeakable":
            return object()
        if isinstance(message, list) and message[0] == "long":
            return "x" * message[1]
        return [self.node, message]


@asynccontextmanager
async def members(
    url: str, *keys: Sequence[str], prefix: str = "multitransport", max_bytes: int = 8 << 20
) -> AsyncIterator[list[Member]]:
    """Give a started node for each list of secret keys."""
    made = [Member(url, each, prefix, max_bytes) for each in keys]
    for member in made:
        await member.broker.start(lambda room: None, lambda room, draft: None)
        await member.bus.start(member.handle)
    try:
        yield made
    finally:
        for member in made:
            await member.bus.stop()
            await member.broker.stop()
