"""A real cluster of three redis-servers, whose slots can be moved while it serves, and a replica of the first."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from multitransport.testing.server import free_port
from multitransport.testing.waiting import eventually
from tests.redis_server import RedisServer

__all__ = ["RedisCluster"]

_BOUNDS = (0, 5461, 10923, 16384)


class RedisCluster:
    """Use it with ``async with``."""

    def __init__(self) -> None:
        options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "1000")
        self.servers = [RedisServer(*options, "--cluster-port", str(free_port())) for _ in range(3)]
        self.replica = RedisServer(*options, "--cluster-port", str(free_port()))

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{server.port}" for server in self.servers)

    async def __aenter__(self) -> Self:
        for server in (*self.servers, self.replica):
            await server.start()
        first = self.servers[0]
        for n, server in enumerate(self.servers):
            await server.call("CLUSTER", "ADDSLOTSRANGE", _BOUNDS[n], _BOUNDS[n + 1] - 1)
            await server.call("CLUSTER", "SET-CONFIG-EPOCH", n + 1)
        for server in (*self.servers[1:], self.replica):
            bus = int((await server.call("CONFIG", "GET", "cluster-port"))[1])
            await first.call("CLUSTER", "MEET", "127.0.0.1", server.port, bus)
        await eventually(self._is_one, 20.0)
        await self.replica.call("CLUSTER", "REPLICATE", await first.call("CLUSTER", "MYID"))
        await eventually(self._is_replicated, 20.0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for server in (*self.servers, self.replica):
            await server.__aexit__(kind, error, traceback)

    async def owner(self, slot: int) -> int:
        """Return the number of the server that has this slot."""
        for first, last, (_, port, *_), *_ in await self.servers[0].call("CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return [server.port for server in self.servers].index(port)
        raise AssertionError(f"nobody has slot {slot}")

    async def move(self, slot: int, to: int) -> None:
        """Move a slot and its keys as the tools of Redis do."""
        source, target = self.servers[await self.owner(slot)], self.servers[to]
        source_id, target_id = [(await each.call("CLUSTER", "MYID")).decode() for each in (source, target)]
        await target.call("CLUSTER", "SETSLOT", slot, "IMPORTING", source_id)
        await source.call("CLUSTER", "SETSLOT", slot, "MIGRATING", target_id)
        while keys := await source.call("CLUSTER", "GETKEYSINSLOT", slot, 100):
            await source.call("MIGRATE", "127.0.0.1", target.port, "", 0, 1000, "KEYS", *keys)
        for server in (target, source, *self.servers):
            await server.call("CLUSTER", "SETSLOT", slot, "NODE", target_id)

    async def _is_one(self) -> bool:
        told = [await server.call("CLUSTER", "INFO") for server in (*self.servers, self.replica)]
        return all(b"cluster_state:ok" in each and b"cluster_known_nodes:4" in each for each in told)

    async def _is_replicated(self) -> bool:
        return b"master_link_status:up" in await self.replica.call("INFO", "replication")
