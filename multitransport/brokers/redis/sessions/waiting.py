"""How long who asks Redis about a session waits for the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from multitransport.brokers.redis.sessions.speaking import Speaking
from multitransport.errors import BrokerUnavailable

__all__ = ["Waiting"]

T = TypeVar("T")


class Waiting:
    """Waits as long as a publication would, and then raises BrokerUnavailable."""

    def __init__(
        self,
        speaking: Speaking,
        seconds: float,
        ready: Callable[[str], Awaitable[None]],
        why: Callable[[], str | None],
    ) -> None:
        """``ready`` returns once something can be sent to the Redis that has a session; ``why`` tells why there may be
        no answer.
        """
        self._speaking = speaking
        self._seconds = seconds
        self._ready = ready
        self._why = why

    async def within(self, work: Coroutine[Any, Any, T]) -> T:
        """Do it within the time, or not any more."""
        try:
            async with asyncio.timeout(self._seconds):
                return await work
        except TimeoutError:
            raise self._unavailable() from None

    async def surely(
        self,
        session_id: str,
        work: Callable[[], Coroutine[Any, Any, T]],
        late: Callable[[], Coroutine[Any, Any, None]],
    ) -> T:
        """Do it within the time, or while somebody waits for it. Else ``late`` finds out what came of it, where it was
        sent: only what was under way as Redis went is looked after, not all who come while it is away.
        """
        sent = False

        async def send() -> T:
            nonlocal sent
            await self._ready(session_id)
            sent = True
            return await work()

        try:
            return await self.within(send())
        except (BrokerUnavailable, asyncio.CancelledError):
            if sent:
                self._speaking.begin(late())
            raise

    def _unavailable(self) -> BrokerUnavailable:
        return BrokerUnavailable(f"Redis did not answer within {self._seconds:g} s: {self._why() or 'it is slow'}")
