"""What this node hears from Redis: our own loop over one connection, which knows whether it hears at all."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from multitransport.brokers.redis.connections.connection import Connection, Refusal, is_passing
from multitransport.brokers.redis.connections.line import Line
from multitransport.brokers.redis.connections.server import Server
from multitransport.brokers.redis.timing import Timing

__all__ = ["Subscription"]

logger = logging.getLogger("multitransport")

_AT_ONCE = 500
"""Channels of one command."""


class Subscription:
    """Follows channels. ``received`` gets each message; ``confirmed`` is called each time that a channel is subscribed:
    what was said on it before then may be lost.

    ``own`` is the node's own channel: it is subscribed first, and proves that the connection works.
    """

    def __init__(
        self,
        server: Server,
        timing: Timing,
        *,
        own: bytes,
        received: Callable[[bytes, bytes], None],
        confirmed: Callable[[bytes], None],
        sharded: Callable[[], None] | None = None,
    ) -> None:
        """Where ``sharded`` is given, the channels are a cluster's, and it is called when Redis will not have one: it
        is elsewhere, or about to be.
        """
        self._own = own
        self._received = received
        self._confirmed = confirmed
        self._line = Line(server, timing, self._opened, self._probe, "the subscription to Redis")
        self._connection: Connection | None = None
        self._wanted: dict[bytes, asyncio.Future[None]] = {}
        self._proven = asyncio.Event()
        self._refusal: str | None = None
        self._sharded = sharded
        self._verb, self._message = ("SUBSCRIBE", b"message") if sharded is None else ("SSUBSCRIBE", b"smessage")
        self._subscribed = self._verb.lower().encode()
        self._adding: list[bytes] = []

    async def run(self) -> None:
        """Listen until cancelled."""
        await self._line.run()

    @property
    def fault(self) -> str | None:
        """Why this node may not hear what is announced; None where it does."""
        if self._line.fault is not None:
            return self._line.fault
        if self._refusal is not None or self._proven.is_set():
            return self._refusal
        return "the subscription is not confirmed yet"

    @property
    def connections(self) -> int:
        """How many connections there have been."""
        return self._line.connections

    async def hears(self) -> None:
        """Return once what is said on the node's own channel is heard."""
        while self._line.fault is not None or not self._proven.is_set():
            await asyncio.shield(self._line.standing)
            await self._proven.wait()

    async def add(self, channel: bytes) -> None:
        """Follow a channel; return when Redis has confirmed it."""
        self.follow(channel)
        await asyncio.shield(self._wanted[channel])

    def follow(self, channel: bytes) -> None:
        """Follow a channel."""
        if channel not in self._wanted:
            self._wanted[channel] = asyncio.get_running_loop().create_future()
            if not self._adding:
                asyncio.get_running_loop().call_soon(self._subscribe_added)
            self._adding.append(channel)

    def repeat(self) -> None:
        """Ask again for the channels that are not confirmed."""
        self._subscribe([channel for channel, wanted in self._wanted.items() if not wanted.done()])

    def remove(self, channel: bytes) -> None:
        """Follow a channel no more."""
        if self._wanted.pop(channel, None) is not None and self._connection is not None:
            self._subscribe_added()
            self._connection.send("UNSUBSCRIBE" if self._sharded is None else "SUNSUBSCRIBE", channel)

    def restart(self, reason: str) -> None:
        """Begin anew on another connection."""
        self._line.restart(reason)

    def _opened(self, connection: Connection) -> None:
        self._connection = connection
        self._proven.clear()
        connection.pushed = self._pushed
        self._adding = []
        connection.send("SUBSCRIBE", self._own)
        self._subscribe(list(self._wanted))

    def _subscribe_added(self) -> None:
        adding, self._adding = self._adding, []
        self._subscribe([channel for channel in adding if channel in self._wanted])

    def _subscribe(self, channels: list[bytes]) -> None:
        if self._connection is not None:
            at_once = _AT_ONCE if self._sharded is None else 1  # a command may name one slot
            for start in range(0, len(channels), at_once):
                self._connection.send(self._verb, *channels[start : start + at_once])

    def _pushed(self, message: Any) -> None:
        if isinstance(message, Refusal):
            self._refused(message)
        if not isinstance(message, list) or len(message) != 3:
            return  # the answer to a probe
        kind, channel, content = message
        if kind in (b"message", self._message):
            self._received(channel, content)
        elif kind == b"sunsubscribe" and channel in self._wanted and self._sharded is not None:
            self._wanted[channel] = asyncio.get_running_loop().create_future()
            self._sharded()
        elif kind == b"subscribe" and channel == self._own:
            self._proven.set()
            self._accepted()
            self._confirmed(channel)
        elif kind == self._subscribed and (wanted := self._wanted.get(channel)) is not None:
            if not wanted.done():
                wanted.set_result(None)
            self._accepted()
            self._confirmed(channel)

    def _refused(self, refusal: Refusal) -> None:
        if is_passing(refusal):
            if self._sharded is not None:
                self._sharded()
            return
        told, self._refusal = self._refusal, f"Redis will not let this node subscribe: {refusal}"
        if told != self._refusal:
            logger.error("%s", self._refusal)

    def _accepted(self) -> None:
        if self._refusal is not None and self._proven.is_set() and all(each.done() for each in self._wanted.values()):
            self._refusal = None
            logger.info("Redis lets this node subscribe")

    def _probe(self, connection: Connection) -> None:
        connection.send("PING")
        if self._refusal is not None:  # somebody may have changed that
            connection.send("SUBSCRIBE", self._own)
            self.repeat()
