"""A cluster: which of its Redis has a key, a line to each, and a subscription to each."""

from __future__ import annotations

import asyncio
import binascii
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from multitransport.brokers.redis.connections.connection import Connection, ConnectionLost, Refusal
from multitransport.brokers.redis.connections.line import Line, evaluate, forget, tell_of_failure
from multitransport.brokers.redis.connections.server import Server, Unreachable
from multitransport.brokers.redis.connections.subscription import Subscription
from multitransport.brokers.redis.scripts import Script
from multitransport.brokers.redis.timing import Timing

__all__ = ["ClusterLine", "ClusterSubscription", "Topology", "slot_of"]

logger = logging.getLogger("multitransport")

_SLOTS = 16384
_REFRESH_SECONDS = 15.0

_ASK_AGAIN = 8
"""How often slots are asked for after a doubt, until they are others: who is asked may be the last to hear of it."""

Address = tuple[str, int]


def slot_of(key: bytes) -> int:
    """Return the slot of a key or a channel: that of its hash tag if it has one."""
    _, opened, rest = key.partition(b"{")
    tag, closed, _ = rest.partition(b"}")
    return binascii.crc_hqx(tag if opened and closed and tag else key, 0) % _SLOTS


class Topology:
    """Who has which slots, asked anew now and then and whenever there is doubt."""

    def __init__(self, server: Server, timing: Timing) -> None:
        self._server = server
        self._timing = timing
        self._seeds = server.hosts
        self._slots: list[Address | None] = [None] * _SLOTS
        self._doubt = asyncio.Event()
        self._listeners: list[Callable[[], None]] = []
        self.fault: str | None = "not connected yet"
        self.masters: list[Address] = []

    def listen(self, changed: Callable[[], None]) -> None:
        """Have a function called whenever slots have moved."""
        self._listeners.append(changed)

    def of(self, key: bytes) -> Address | None:
        """Return who has the key; None where nobody is known to."""
        return self._slots[slot_of(key)]

    def doubt(self) -> None:
        """Ask soon who has which slots."""
        self._doubt.set()

    async def run(self) -> None:
        """Ask until cancelled."""
        again = 0
        while True:
            self._doubt.clear()
            if await self._ask_anybody():
                again = 0
            await asyncio.sleep(self._timing.retry_seconds / 10)
            patience = self._timing.retry_seconds / 4 if self.fault or again else _REFRESH_SECONDS
            try:
                async with asyncio.timeout(patience):
                    await self._doubt.wait()
                again = _ASK_AGAIN
            except TimeoutError:
                again = max(0, again - 1)

    async def _ask_anybody(self) -> bool:
        """Tell whether slots have moved."""
        fault = "no node of the cluster is known"
        for address in dict.fromkeys([*self.masters, *self._seeds]):
            try:
                return self._learn(await self._ask(address), address)
            except (Unreachable, Refusal, ConnectionLost, TimeoutError) as error:
                fault = str(error) or f"{address[0]}:{address[1]} did not answer"
        self._tell(f"the cluster is away: {fault}")
        return False

    def _tell(self, fault: str) -> None:
        """Say it once; attempts fail in the same way again and again, at one node or another."""
        if self.fault is None or (not self.masters and fault != self.fault):
            logger.warning("%s", fault)
        self.fault = fault

    async def _ask(self, address: Address) -> list[Any]:
        connection = await self._server.at(*address).connect()
        try:
            async with asyncio.timeout(self._timing.connect_seconds):
                found: list[Any] = await connection.request("CLUSTER", "SLOTS")
            return found
        finally:
            connection.end("asked")

    def _learn(self, ranges: list[Any], asked: Address) -> bool:
        slots: list[Address | None] = [None] * _SLOTS
        for first, last, (host, port, *_), *_ in ranges:
            address = (host.decode() if host else asked[0], port)
            slots[first : last + 1] = [address] * (last + 1 - first)
        self.fault = "some slots have no node" if None in slots else None
        if slots == self._slots:
            return False
        self._slots = slots
        self.masters = list(dict.fromkeys(address for address in slots if address is not None))
        for changed in self._listeners:
            changed()
        return True


class Tasks:
    """The tasks of what is kept for each master; those of masters that are no more are cancelled."""

    def __init__(self) -> None:
        self._tasks: dict[Address, asyncio.Task[None]] = {}

    def start(self, address: Address, work: Coroutine[Any, Any, None]) -> None:
        self._tasks[address] = task = asyncio.create_task(work)
        task.add_done_callback(tell_of_failure)

    def end(self, address: Address) -> None:
        self._tasks.pop(address).cancel()

    async def end_all(self) -> None:
        tasks, self._tasks = list(self._tasks.values()), {}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class ClusterLine:
    """Commands to whichever Redis of the cluster has the key."""

    def __init__(self, server: Server, timing: Timing, topology: Topology) -> None:
        self._server = server
        self._timing = timing
        self._topology = topology
        self._lines: dict[Address, Line] = {}
        self._tasks = Tasks()
        self._moved: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.connections = 0
        topology.listen(self._follow)

    @property
    def fault(self) -> str | None:
        """See Commands."""
        return self._topology.fault or next((line.fault for line in self._lines.values() if line.fault), None)

    async def run(self) -> None:
        """See Commands."""
        try:
            await self._topology.run()
        finally:
            await self._tasks.end_all()

    async def ready(self, key: bytes) -> Connection:
        """See Commands."""
        while True:
            moved = self._moved
            address = self._topology.of(key)
            line = None if address is None else self._lines.get(address)
            if line is not None and line.standing.done():
                return line.standing.result()
            self._topology.doubt()
            awaited: list[asyncio.Future[Any]] = [moved] if line is None else [moved, line.standing]
            await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)

    async def call(self, key: bytes, *command: str | int | bytes) -> Any:
        """See Commands."""

        async def attempt(connection: Connection, asking: bool) -> Any:
            if asking:
                connection.request("ASKING").add_done_callback(forget)
            return await connection.request(*command)

        return await self._redirected(key, attempt)

    async def run_script(self, script: Script, keys: list[bytes], *arguments: str | int | bytes) -> Any:
        """See Commands."""

        async def attempt(connection: Connection, asking: bool) -> Any:
            return await evaluate(connection, script, keys, *arguments, asking=asking)

        return await self._redirected(keys[0], attempt)

    async def _redirected(self, key: bytes, attempt: Callable[[Connection, bool], Awaitable[Any]]) -> Any:
        """Make an attempt where the key should be, and another one where that Redis says it is."""
        connection = await self.ready(key)
        try:
            return await attempt(connection, False)
        except ConnectionLost:
            self._topology.doubt()
            raise
        except Refusal as refusal:
            verb, _, where = str(refusal).partition(" ")
            if verb not in ("MOVED", "ASK"):
                raise
            if verb == "MOVED":
                self._topology.doubt()
            host, _, port = where.rpartition(" ")[2].rpartition(":")
            other = self._lines.get((host, int(port)))
            if other is None or not other.standing.done():
                raise
            return await attempt(other.standing.result(), verb == "ASK")

    def _follow(self) -> None:
        masters = self._topology.masters
        for address in [address for address in self._lines if address not in masters]:
            del self._lines[address]
            self._tasks.end(address)
        for address in masters:
            if address not in self._lines:
                self._lines[address] = line = Line(self._server.at(*address), self._timing)
                self._tasks.start(address, line.run())
                self.connections += 1
        moved, self._moved = self._moved, asyncio.get_running_loop().create_future()
        moved.set_result(None)


class ClusterSubscription:
    """Follows each channel at the Redis that has its slot."""

    def __init__(
        self,
        server: Server,
        timing: Timing,
        topology: Topology,
        *,
        own: bytes,
        received: Callable[[bytes, bytes], None],
        confirmed: Callable[[bytes], None],
    ) -> None:
        self._server = server
        self._timing = timing
        self._topology = topology
        self._own = own
        self._received = received
        self._told = confirmed
        self._parts: dict[Address, Subscription] = {}
        self._tasks = Tasks()
        self._repeating: asyncio.TimerHandle | None = None
        # Each Redis proves itself on this node's channel; what is said to the node is said at the one with its slot.
        self._where: dict[bytes, Address | None] = {own: None}
        self._wanted: dict[bytes, asyncio.Future[None]] = {own: asyncio.get_running_loop().create_future()}
        topology.listen(self._follow)

    async def run(self) -> None:
        """Listen until cancelled."""
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            if self._repeating is not None:
                self._repeating.cancel()
            await self._tasks.end_all()

    @property
    def fault(self) -> str | None:
        """Why this node may not hear what is announced; None where it does."""
        return self._topology.fault or next((part.fault for part in self._parts.values() if part.fault), None)

    @property
    def connections(self) -> int:
        """How many connections there have been."""
        return sum(part.connections for part in self._parts.values())

    async def hears(self) -> None:
        """See Subscription."""
        await self.add(self._own)

    async def add(self, channel: bytes) -> None:
        """Follow a channel; return when its Redis has confirmed it."""
        if channel not in self._wanted:
            self._wanted[channel] = asyncio.get_running_loop().create_future()
            self._where[channel] = None
            self._route(channel)
        await asyncio.shield(self._wanted[channel])

    def remove(self, channel: bytes) -> None:
        """Follow a channel no more."""
        if self._wanted.pop(channel, None) is not None:
            self._leave(channel, self._where.pop(channel))

    def restart(self, reason: str) -> None:
        """Begin anew on other connections."""
        for part in self._parts.values():
            part.restart(reason)

    def _confirmed(self, channel: bytes) -> None:
        if (wanted := self._wanted.get(channel)) is not None:
            if not wanted.done():
                wanted.set_result(None)
            self._told(channel)

    def _follow(self) -> None:
        masters = self._topology.masters
        for address in [address for address in self._parts if address not in masters]:
            del self._parts[address]
            self._tasks.end(address)
        for address in masters:
            if address not in self._parts:
                self._parts[address] = part = self._part(address)
                self._tasks.start(address, part.run())
        for channel in self._wanted:
            self._route(channel)

    def _part(self, address: Address) -> Subscription:
        return Subscription(
            self._server.at(*address),
            self._timing,
            own=self._own,
            received=self._received,
            confirmed=self._confirmed,
            sharded=self._refused,
        )

    def _refused(self) -> None:
        """A Redis will not have a channel: look where it is, and try again until somebody has it."""
        self._topology.doubt()
        if self._repeating is None:
            pause = self._timing.retry_seconds / 5
            self._repeating = asyncio.get_running_loop().call_later(pause, self._repeat)

    def _repeat(self) -> None:
        self._repeating = None
        for part in self._parts.values():
            part.repeat()

    def _route(self, channel: bytes) -> None:
        former, address = self._where[channel], self._topology.of(channel)
        if former == address:
            return
        self._leave(channel, former)
        self._where[channel] = address
        if address is not None:
            self._parts[address].follow(channel)

    def _leave(self, channel: bytes, address: Address | None) -> None:
        if address is not None and (part := self._parts.get(address)) is not None:
            part.remove(channel)
