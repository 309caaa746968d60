"""The part of the broker that a process needs which publishes and follows no room: one connection, no subscription."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Coroutine
from functools import partial
from typing import Any

from multitransport.brokers.redis.connections.cluster import ClusterLine, Topology
from multitransport.brokers.redis.connections.line import Commands, Line, tell_of_failure
from multitransport.brokers.redis.connections.server import Server
from multitransport.brokers.redis.keys import Keys
from multitransport.brokers.redis.rooms.declared import DeclaredRoom, declared
from multitransport.brokers.redis.rooms.publishing import Publishing
from multitransport.brokers.redis.rooms.reading import Reading
from multitransport.brokers.redis.timing import Timing
from multitransport.core.log import Retention
from multitransport.core.publication import Draft
from multitransport.errors import BrokerUnavailable
from multitransport.protocol.position import Position

__all__ = ["Sender"]

logger = logging.getLogger("multitransport")


class Sender:
    """Publishes as a node does, without being one: it has no lease that could end."""

    def __init__(self, url: str, *, prefix: str, timing: Timing) -> None:
        """Raises ConfigurationError for a URL or a prefix that cannot be meant."""
        self._timing = timing
        self._server = Server(url, timing.connect_seconds)
        self._keys = Keys(prefix, self._server.database)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to connect. Redis need not be there yet."""
        topology = Topology(self._server, self._timing) if self._server.clustered else None
        self._line: Commands = (
            Line(self._server, self._timing) if topology is None else ClusterLine(self._server, self._timing, topology)
        )
        new_epoch = partial(secrets.token_urlsafe, 6)
        announce = "PUBLISH" if topology is None else "SPUBLISH"
        common = self._line, self._keys, self._timing, new_epoch, announce
        self._reading = Reading(*common)
        self._publishing = Publishing(*common, _ignore, self._doubted)
        self._tasks = [self._own(self._line.run())]

    async def stop(self) -> None:
        """End the connection."""
        await self._publishing.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def fault(self) -> str | None:
        """Why publications are not taken now; None where they are."""
        return self._line.fault

    async def publish(self, room: str, draft: Draft, retention: Retention) -> Position:
        """Publish, as ``Broker.publish`` does. Raises BrokerUnavailable, RoomFull."""
        return await self._publishing.publish(room, draft, retention)

    async def flash(self, room: str, draft: Draft) -> None:
        """Publish what no log keeps. Raises BrokerUnavailable."""
        await self._publishing.flash(room, draft)

    async def declared(self) -> list[list[DeclaredRoom]]:
        """Return what applications declare of rooms. Raises BrokerUnavailable."""
        return await declared(self._line, self._keys, self._timing)

    async def _doubted(self, room: str, retention: Retention, patience_ended: bool) -> None:
        """Redis began anew. Who follows no room cannot vouch for its log: leave it to those who do, for a while."""
        if not patience_ended:
            return
        try:
            await self._reading.end_doubt(room, retention)
        except BrokerUnavailable as error:
            logger.warning("room %r stays in doubt: %s", room, error)

    def _own(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        task.add_done_callback(tell_of_failure)
        return task


def _ignore(*_: object) -> None:
    """Nobody here follows what was taken."""
