"""The figures: each a number per server, larger or smaller being better, and what the ratio must be."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import NamedTuple

from benchmarks.load import Client, Server, connect

__all__ = ["FIGURES", "Figure"]


class Figure(NamedTuple):
    """``measure`` gives a server's number in ``unit``; ``bound`` limits multitransport's divided by (or less) the bare
    handler's. Both are the median of so many ``rounds``, the two servers taking turns: where a time is measured, a
    single run says as much about the machine at that moment as about the server.
    """

    name: str
    unit: str
    measure: Callable[[Server], Awaitable[float]]
    bound: str
    holds: Callable[[float, float], bool]
    rounds: int = 1


async def _members(server: Server, transport: str, count: int) -> list[Client]:
    clients: list[Client] = []
    for start in range(0, count, 50):
        clients += await asyncio.gather(
            *(connect(server.port, transport) for _ in range(start, min(start + 50, count)))
        )
    while await server.ask("/members") < count:  # noqa: ASYNC110 - the other process has no event to wait for
        await asyncio.sleep(0.05)
    return clients


def _leave(clients: list[Client]) -> None:
    for client in clients:
        client.wire.abort()


async def _received(clients: list[Client], each: int) -> None:
    while any(client.count < each for client in clients):  # noqa: ASYNC110 - an event per member would cost what is measured
        await asyncio.sleep(0.02)


async def fan_out_cpu(server: Server) -> float:
    """Microseconds of server CPU to deliver one event to one of 500 idle members."""
    clients = await _members(server, "websocket", 500)
    await server.ask("/publish?transport=websocket&count=10&pause=0.05")
    spent = await server.ask("/publish?transport=websocket&count=30&pause=0.05")
    await asyncio.wait_for(_received(clients, 40), 60)
    _leave(clients)
    return float(spent["cpu"]) / (30 * 500) * 1e6


def memory(transport: str) -> Callable[[Server], Awaitable[float]]:
    """Kilobytes of server memory for one idle session."""

    async def measure(server: Server) -> float:
        warm = await _members(server, transport, 100)
        before = await server.ask("/memory")
        clients = await _members(server, transport, 2100)
        grown = await server.ask("/memory") - before
        _leave([*warm, *clients])
        return float(grown) / len(clients) / 1000

    return measure


async def connects(server: Server) -> float:
    """Connections a second, hello answered, 32 at a time."""
    count = 2000
    turns = iter(range(count))

    async def come_and_go() -> None:
        for _ in turns:
            client = await connect(server.port, "websocket", join=False)
            client.wire.abort()

    started = time.perf_counter()
    await asyncio.gather(*(come_and_go() for _ in range(32)))
    return count / (time.perf_counter() - started)


def burst(transport: str) -> Callable[[Server], Awaitable[float]]:
    """Deliveries a second of publications back to back to 500 members: 5,000 of them, or 300 where each is sent by
    itself.
    """

    async def measure(server: Server) -> float:
        count = 300 if server.kind == "bare" else 5000
        clients = await _members(server, transport, 500)
        started = time.perf_counter()
        publishing = asyncio.create_task(server.ask(f"/publish?transport={transport}&count={count}&pause=0"))
        await asyncio.wait_for(_received(clients, count), 120)
        last = max(client.last_at for client in clients)
        await publishing
        if any(client.count != count for client in clients):
            raise RuntimeError("a member received more than was published")
        _leave(clients)
        return 500 * count / (last - started)

    return measure


async def requests(server: Server) -> float:
    """Requests a second, with reply, of 50 clients that each have one under way."""
    clients = await asyncio.gather(*(connect(server.port, "websocket", join=False) for _ in range(50)))
    numbered = [(client, itertools.count(1)) for client in clients]

    async def ask(client: Client, seqs: Iterator[int], ends: float) -> int:
        asked = 0
        while time.perf_counter() < ends:
            await client.request(b'["send",%d,"echo","x"]' % next(seqs))
            asked += 1
        return asked

    async def rate(seconds: float) -> float:
        started = time.perf_counter()
        asked = await asyncio.gather(*(ask(client, seqs, started + seconds) for client, seqs in numbered))
        return sum(asked) / (time.perf_counter() - started)

    await rate(0.5)  # to warm up
    found = await rate(2.0)
    _leave(list(clients))
    return found


FIGURES = [
    Figure(
        "fan-out of one event, CPU per delivery",
        "µs",
        fan_out_cpu,
        "≤ 1.25 x",
        lambda ours, bare: ours <= 1.25 * bare,
        rounds=7,
    ),
    Figure(
        "memory per idle WebSocket session",
        "kB",
        memory("websocket"),
        "≤ 6 kB over",
        lambda ours, bare: ours - bare <= 6,
    ),
    Figure("memory per idle SSE session", "kB", memory("sse"), "≤ 6 kB over", lambda ours, bare: ours - bare <= 6),
    Figure("connections", "/s", connects, "≥ 0.6 x", lambda ours, bare: ours >= 0.6 * bare, rounds=5),
    Figure("burst to 500 WebSocket members", "/s", burst("websocket"), "≥ 20 x", lambda ours, bare: ours >= 20 * bare),
    Figure("burst to 500 SSE members", "/s", burst("sse"), "≥ 20 x", lambda ours, bare: ours >= 20 * bare),
    Figure(
        "requests with reply, 50 clients", "/s", requests, "≥ 0.6 x", lambda ours, bare: ours >= 0.6 * bare, rounds=7
    ),
]
