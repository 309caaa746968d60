"""A node's lease: until when, in the time of Redis, it may speak for sessions."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import secrets
from collections.abc import Awaitable, Callable, Collection
from typing import Any

from multitransport.brokers.redis.connections.connection import ConnectionLost, Refusal, is_passing
from multitransport.brokers.redis.connections.line import Commands
from multitransport.brokers.redis.keys import Keys
from multitransport.brokers.redis.scripts import Script
from multitransport.brokers.redis.timing import Timing, milliseconds

__all__ = ["Lease", "LeaseLost"]

logger = logging.getLogger("multitransport")

_RENEW = Script("lease_renew.lua", "session.lua")
_END = Script("lease_end.lua", "session.lua")


Call = Callable[..., Awaitable[Any]]
"""Sends a command to the Redis that has the key, its first argument."""


class LeaseLost(Exception):
    """The lease under which something was begun has been ended by another node."""


class Lease:
    """Renewed five times as often as it ends.

    Whoever is late renews, unless another node has ended the lease meanwhile: then ``lost`` is called, and another
    lease is taken, under another id of the node. ``renewed`` is called with True where Redis, or the connection to it,
    is not what it was, and all that was said there has to be said again.
    """

    def __init__(
        self,
        name: str,
        line: Callable[[], Commands],
        keys: Keys,
        timing: Timing,
        *,
        lost: Callable[[], None],
        renewed: Callable[[bool], None],
    ) -> None:
        """``name`` tells nodes apart; each lease of a node has a number of its own."""
        self._name = name
        self._line = line
        self._keys = keys.nodes()
        self._timing = timing
        self._lost = lost
        self._renewed = renewed
        self._number = 1
        self._ends_at = 0.0
        self._time: tuple[int, float] = 0, 0.0
        self._renewed_at = self._steady_since = self._anew_at = 0.0
        self._connections = 0
        self._refusal: str | None = None
        self._lost_at = -math.inf
        self._hurried = asyncio.Event()
        self._turn: asyncio.Future[None] | None = None
        self.until = 0
        """When the lease ends or ended, in milliseconds of Redis; 0 before the first one. Commands carry it."""
        self.registry = ""
        """The id of the registry; where it is another one, Redis lost what it had."""
        self.dead: list[str] = []
        """Nodes whose leases were ended and whose sessions nobody has adopted, the longest dead first."""

    @property
    def node(self) -> str:
        """The id of this node, as long as it has this lease."""
        return f"{self._name}.{self._number}"

    @property
    def fault(self) -> str | None:
        """Why this node may not speak for sessions; None where it may."""
        if self._is_held():
            return None
        return self._line().fault or self._refusal or "this node's lease is over and was not renewed yet"

    @property
    def is_regained(self) -> bool:
        """Whether all nodes have had the time to say again what they had said to a Redis that has lost it since."""
        return asyncio.get_running_loop().time() >= self._lost_at + self._timing.lease_seconds

    @property
    def now(self) -> int:
        """The time of Redis in milliseconds, as far as is known here; 0 before it was told."""
        told, at = self._time
        return told and told + int((asyncio.get_running_loop().time() - at) * 1000)

    async def run(self) -> None:
        """Renew the lease until cancelled."""
        while True:
            self._hurried.clear()
            try:
                lost = await self._renew()
            except ConnectionLost:
                await asyncio.sleep(self._timing.retry_seconds / 10)
                continue
            except Refusal as refusal:
                told, self._refusal = self._refusal, f"Redis does not renew this node's lease: {refusal}"
                if told != self._refusal and not is_passing(refusal):
                    logger.error("%s", self._refusal)  # noqa: TRY400 - it says all
                await asyncio.sleep(min(self._timing.retry_seconds, self._timing.lease_seconds / 10))
                continue
            # Over a new connection at once: others wait for what this node has to say to a Redis that began anew.
            lost.add_done_callback(self._hurry)
            try:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._timing.renew_seconds):
                        await self._hurried.wait()
            finally:
                lost.remove_done_callback(self._hurry)

    async def end(self) -> None:
        """Give the lease up, unless Redis is away."""
        if self._is_held():
            self._ends_at = 0.0
            with contextlib.suppress(ConnectionLost, Refusal, TimeoutError):
                async with asyncio.timeout(self._timing.answer_seconds):
                    await self._line().run_script(_END, self._keys, self.node, self._kept)
        # Another start is another node.
        self._number += 1
        self.registry = ""

    async def held(self, node: str) -> int:
        """Return until when the lease of this node is held, once it is. Raises LeaseLost where that node is no more."""
        while self.node == node:
            if self._is_held():
                return self.until
            await self.checked()
        raise LeaseLost(node)

    async def checked(self) -> None:
        """Return when the lease was renewed, or lost, which is tried at once."""
        if self._turn is None:
            self._turn = asyncio.get_running_loop().create_future()
        self._hurried.set()
        await asyncio.shield(self._turn)

    async def living(self, call: Call, unheard: Collection[str] = ()) -> list[str]:
        """Return the nodes whose leases nobody has ended and that are not late by much. One that is ``unheard``, since
        nobody listens to what it is told, is gone as soon as it is late with renewing its lease.
        """
        now, timing = self.now, self._timing
        # Where this node was late itself, perhaps it was Redis that was away, and the others come any moment.
        steady = asyncio.get_running_loop().time() - self._steady_since >= timing.overdue_seconds
        late = now - milliseconds(timing.lease_seconds / 3) if steady else 0
        found = await call(self._keys[0], "ZRANGEBYSCORE", self._keys[0], late, "+inf", "WITHSCORES")
        ends = {node.decode(errors="replace"): float(end) for node, end in zip(found[::2], found[1::2], strict=True)}
        due = now + milliseconds(timing.lease_seconds - timing.overdue_seconds) if steady else late
        return [node for node in ends if node not in unheard or ends[node] >= due]

    async def bury(self, node: str, call: Call) -> None:
        """Forget a dead node that has left nothing."""
        with contextlib.suppress(ValueError):
            self.dead.remove(node)
        await call(self._keys[1], "ZREM", self._keys[1], node)

    @property
    def _kept(self) -> int:
        return milliseconds(self._timing.session_seconds)

    def _is_held(self) -> bool:
        # Reckoned from when the last renewal was sent: rather too early than too late. Redis has the last word.
        return asyncio.get_running_loop().time() < self._ends_at

    def _hurry(self, _: object) -> None:
        self._hurried.set()

    async def _renew(self) -> asyncio.Future[str]:
        """Renew it; return what is done when the connection is lost. Raises ConnectionLost, Refusal."""
        line = self._line()
        connection = await line.ready(self._keys[0])
        sent_at, connections = asyncio.get_running_loop().time(), line.connections
        lease = milliseconds(self._timing.lease_seconds)
        # Not just after Redis was away for this node: the others come any moment, too.
        may_end_others = connections == self._connections and sent_at - self._anew_at >= self._timing.lease_seconds / 2
        until, registry, now, *dead = await line.run_script(
            _RENEW,
            self._keys,
            self.node,
            self.registry,
            secrets.token_urlsafe(9),
            lease,
            self._kept,
            int(may_end_others),
        )
        answered_at = asyncio.get_running_loop().time()
        self._refusal = None
        self._time = int(now), answered_at
        anew = (self.registry, self._connections) != (registry.decode(), connections)
        if anew:
            self._anew_at = answered_at
        if anew or answered_at - self._renewed_at > self._timing.overdue_seconds:
            self._steady_since = answered_at
        self._renewed_at = answered_at
        if self.registry not in ("", registry.decode()):
            self._lost_at = answered_at
        self.registry, self._connections = registry.decode(), connections
        self.dead = [node.decode(errors="replace") for node in dead]
        if until == b"0":
            # It stays over: what is under way as the former node must not be taken as that of the next.
            self._ends_at = 0.0
            self._number += 1
            self.registry = ""
            self._hurried.set()
            self._lost()
        else:
            self.until, self._ends_at = int(until), sent_at + self._timing.lease_seconds
            self._renewed(anew)
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.set_result(None)
        return connection.lost
