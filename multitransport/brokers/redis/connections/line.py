"""A connection to Redis that is kept: watched, probed when silent, and made anew when it breaks."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Any, Protocol

from multitransport.brokers.redis.connections.connection import Connection, Refusal
from multitransport.brokers.redis.connections.server import Server, Unreachable
from multitransport.brokers.redis.scripts import Script
from multitransport.brokers.redis.timing import Timing

__all__ = ["Commands", "Line", "evaluate", "forget", "tell_of_failure"]

logger = logging.getLogger("multitransport")

_NOT_YET = "not connected yet"


async def evaluate(
    connection: Connection, script: Script, keys: list[bytes], *arguments: str | int | bytes, asking: bool = False
) -> Any:
    """Run a script over this connection; ``asking`` where its keys are just moving there. Raises as ``run_script``."""
    arguments = (len(keys), *keys, connection.replication, *arguments)
    if asking:
        connection.request("ASKING").add_done_callback(forget)
        return await connection.request("EVAL", script.source, *arguments)
    try:
        return await connection.request("EVALSHA", script.digest, *arguments)
    except Refusal as refusal:
        if str(refusal).startswith("READONLY"):
            connection.end("this Redis is no longer the master")
        if not str(refusal).startswith("NOSCRIPT"):
            raise
    return await connection.request("EVAL", script.source, *arguments)


def _ask(connection: Connection) -> None:
    connection.request("PING").add_done_callback(forget)


def forget(future: asyncio.Future[Any]) -> None:
    """Take no notice of what became of it."""
    if not future.cancelled():
        future.exception()


class Commands(Protocol):
    """Where commands go: one Redis, or the one of a cluster that has the key."""

    connections: int

    @property
    def fault(self) -> str | None:
        """Why commands may not be answered now; None where they are."""
        ...

    async def run(self) -> None:
        """Keep the connections until cancelled."""
        ...

    async def ready(self, key: bytes) -> Connection:
        """Return the connection, once there is one, to the Redis that has this key."""
        ...

    async def call(self, key: bytes, *command: str | int | bytes) -> Any:
        """Send a command, once there is a connection, and return its reply. Raises Refusal, ConnectionLost."""
        ...

    async def run_script(self, script: Script, keys: list[bytes], *arguments: str | int | bytes) -> Any:
        """Run a script, which gets the replication id as its first argument. Raises Refusal, ConnectionLost."""
        ...


class Line:
    """Keeps one connection until it is cancelled.

    ``opened`` is called with each new one; ``probe`` has to make Redis say something. ``fault`` is None while the
    connection stands; ``name`` is what it and the log call it.
    """

    def __init__(
        self,
        server: Server,
        timing: Timing,
        opened: Callable[[Connection], None] = lambda connection: None,
        probe: Callable[[Connection], None] = _ask,
        name: str = "Redis",
    ) -> None:
        self._server = server
        self._timing = timing
        self._opened = opened
        self._probe = probe
        self._name = name
        self._loop = asyncio.get_running_loop()
        self._standing: asyncio.Future[Connection] = self._loop.create_future()
        self.fault: str | None = _NOT_YET
        self.connections = 0

    async def run(self) -> None:
        """Connect, watch, and again."""
        pause = 0.0
        while True:
            try:
                connection = await self._server.connect()
            except Unreachable as error:
                self._tell(str(error))
                pause = min(2 * pause or self._timing.retry_seconds / 20, self._timing.retry_seconds)
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311
                continue
            try:
                pause = 0.0
                self._stand(connection)
                await self._watch(connection)
            finally:
                connection.end("the broker was stopped")
            self._fall(connection.lost.result())

    @property
    def standing(self) -> asyncio.Future[Connection]:
        """The connection, once there is one."""
        return self._standing

    async def ready(self, key: bytes) -> Connection:
        """Return the connection, once there is one, to the Redis that has this key."""
        return await asyncio.shield(self._standing)

    async def call(self, key: bytes, *command: str | int | bytes) -> Any:
        """Send a command, once there is a connection, and return its reply. Raises Refusal, ConnectionLost."""
        connection = await self.ready(key)
        return await connection.request(*command)

    async def run_script(self, script: Script, keys: list[bytes], *arguments: str | int | bytes) -> Any:
        """Run a script, which gets the replication id as its first argument. Raises Refusal, ConnectionLost."""
        return await evaluate(await self.ready(keys[0]), script, keys, *arguments)

    def restart(self, reason: str) -> None:
        """Give the connection up for a new one."""
        if self._standing.done():
            self._standing.result().end(reason)

    def _stand(self, connection: Connection) -> None:
        if self.fault != _NOT_YET:
            logger.info("%s is back", self._name)
        self.fault = None
        self.connections += 1
        self._opened(connection)
        self._standing.set_result(connection)

    def _fall(self, reason: str) -> None:
        self._tell(reason)
        self._standing = self._loop.create_future()

    def _tell(self, reason: str) -> None:
        """Say it once; attempts to connect fail in the same way again and again."""
        fault = f"{self._name} is away: {reason}"
        if self.fault is None or not self.connections:
            logger.log(logging.WARNING if fault != self.fault else logging.DEBUG, "%s", fault)
        self.fault = fault

    async def _watch(self, connection: Connection) -> None:
        """Return when the connection is no more, or silent for too long."""
        timing = self._timing
        tick = min(timing.probe_seconds, timing.answer_seconds) / 4
        probed_at = 0.0
        while not connection.lost.done():
            await asyncio.wait([connection.lost], timeout=tick)
            now = self._loop.time()
            if now - connection.heard_at < timing.probe_seconds:
                continue
            if probed_at <= connection.heard_at:
                # Once in a silence; and a process that slept itself waits again rather than take Redis for dead.
                probed_at = now
                self._probe(connection)
            elif now - probed_at >= timing.answer_seconds:
                connection.end(f"Redis said nothing for {now - connection.heard_at:.1f} s")


def tell_of_failure(task: asyncio.Task[None]) -> None:
    """Log what ended a task that should not have ended."""
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("the Redis broker failed", exc_info=error)
