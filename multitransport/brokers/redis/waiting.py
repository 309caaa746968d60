"""How long who asks Redis about a session waits for the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from multitransport.brokers.redis.speaking import Speaking
from multitransport.errors import BrokerUnavailable

__all__ = ["Waiting"]

T = TypeVar("T")


class Waiting:
    """Waits as long as a publication would, and then raises BrokerUnavailable."""

    def __init__(self, speaking: Speaking, seconds: float, why: Callable[[], str | None]) -> None:
        """``why`` tells why there may be no answer."""
        self._speaking = speaking
        self._seconds = seconds
        self._why = why

    async def within(self, work: Coroutine[Any, Any, T]) -> T:
        """Do it within the time, or not any more."""
        try:
            async with asyncio.timeout(self._seconds):
                return await work
        except TimeoutError:
            raise self._unavailable() from None

    async def surely(self, work: Coroutine[Any, Any, T], late: Callable[[], Coroutine[Any, Any, None]]) -> T:
        """Do it within the time, or while somebody waits for it. Else ``late`` finds out what came of it."""
        try:
            return await self.within(work)
        except (BrokerUnavailable, asyncio.CancelledError):
            self._speaking.begin(late())
            raise

    def _unavailable(self) -> BrokerUnavailable:
        return BrokerUnavailable(f"Redis did not answer within {self._seconds:g} s: {self._why() or 'it is slow'}")
