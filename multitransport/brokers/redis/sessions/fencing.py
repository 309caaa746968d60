"""Steps of sessions on their way to Redis, under this node's lease."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from multitransport.brokers.redis.connections.connection import ConnectionLost, Refusal, is_passing
from multitransport.brokers.redis.connections.line import Commands
from multitransport.brokers.redis.scripts import Script
from multitransport.brokers.redis.sessions.lease import Lease
from multitransport.brokers.redis.timing import Timing
from multitransport.errors import BrokerUnavailable

__all__ = ["Doubtful", "Fencing", "Gone", "Moved"]

logger = logging.getLogger("multitransport")

_FULL = ("OOM", "MISCONF")
"""What Redis says where it has no room."""

_TELL_SECONDS = 1.0
"""How often it is logged that Redis refuses something."""

T = TypeVar("T")


class Gone(Exception):
    """Redis does not have the record; the message is its replication id."""


class Moved(Exception):
    """Another node speaks for the session, a higher attach is known, or it has ended. The message is how often the node
    that speaks for it has changed, or says why where that does not matter.
    """


class Doubtful(Exception):
    """Redis began anew, and nobody has vouched for the record yet."""


class Fencing:
    """Repeats each step until it is answered: all of them can be repeated without harm."""

    def __init__(self, line: Callable[[], Commands], lease: Lease, timing: Timing) -> None:
        self._line = line
        self._lease = lease
        self._timing = timing
        self._tell_at = 0.0

    async def run(self, node: str, script: Script, keys: list[bytes], *arguments: str | int | bytes) -> Any:
        """Run a script as this node. Raises Gone, Moved, Doubtful; LeaseLost where it is not this node any more;
        BrokerUnavailable for what Redis will not do.
        """
        while True:
            until = await self._lease.held(node)
            try:
                return await self._once(lambda: self._line().run_script(script, keys, until, node, *arguments))  # noqa: B023
            except Refusal as refusal:
                verb, _, rest = str(refusal).partition(" ")
                if verb == "GONE":
                    raise Gone(rest) from None
                if verb == "STALE":
                    raise Moved(rest) from None
                if verb == "DOUBTFUL":
                    raise Doubtful(rest) from None
                if verb != "LAPSED":
                    raise self._unavailable("a step of a session", refusal) from None
            # This process stood still between the look at its lease and Redis.
            await self._lease.checked()

    async def run_free(self, script: Script, keys: list[bytes], *arguments: str | int | bytes) -> Any:
        """Run a script that anybody may. Raises BrokerUnavailable."""
        try:
            return await self._once(lambda: self._line().run_script(script, keys, *arguments))
        except Refusal as refusal:
            raise self._unavailable("a step of a session", refusal) from None

    async def call(self, key: bytes, *command: str | int | bytes) -> Any:
        """Send a command that anybody may. Raises BrokerUnavailable."""
        try:
            return await self._once(lambda: self._line().call(key, *command))
        except Refusal as refusal:
            raise self._unavailable("to tell of a session", refusal) from None

    def _unavailable(self, what: str, refusal: Refusal) -> BrokerUnavailable:
        """Log what is no passing fault: whoever asked may not."""
        self._tell(f"refused {what}", refusal)
        return BrokerUnavailable(f"Redis refused {what}: {refusal}")

    async def _once(self, attempt: Callable[[], Awaitable[T]]) -> T:
        pause = self._timing.retry_seconds / 20
        while True:
            try:
                return await attempt()
            except ConnectionLost:
                pass
            except Refusal as refusal:
                if str(refusal).startswith(_FULL):
                    self._tell("takes nothing", refusal)
                    pause = self._timing.retry_seconds
                elif not is_passing(refusal):
                    raise
            await asyncio.sleep(pause)
            pause = min(2 * pause, self._timing.retry_seconds)

    def _tell(self, what: str, refusal: Refusal) -> None:
        now = asyncio.get_running_loop().time()
        if now >= self._tell_at:
            self._tell_at = now + _TELL_SECONDS
            logger.error("Redis %s: %s", what, refusal)
