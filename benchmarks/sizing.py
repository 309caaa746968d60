"""What sessions and rooms take of a Redis, and what it is asked for what clients do: the figures of
docs/howto/deploy-nodes.md. Run it with ``python -m benchmarks.sizing``.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from quart import Quart

from multitransport import MultiTransport, Session
from multitransport.client import Client, Room, connect
from multitransport.testing.server import serve
from tests.redis_server import RedisServer

SESSIONS = 200
PUBLICATIONS = 1000
DATA_BYTES = 100
TIMES = 100
IDLE_SECONDS = 10.0
SENT = ("evalsha", "eval", "publish", "subscribe", "unsubscribe", "ping")
"""What nodes send; the rest of what Redis counts, scripts do, or this benchmark."""


def application(url: str) -> tuple[Quart, MultiTransport]:
    """Return one that has what is measured, and nothing else."""
    app = Quart(__name__)
    app.secret_key = "a secret of the benchmark"
    rt = MultiTransport(app, broker=url)

    @rt.on_connect
    async def connected(client: Session, auth: str) -> None:
        client.user_id = auth

    @rt.room("log/<name>")
    async def join_log(client: Session, name: str) -> None: ...

    @rt.room("state/<name>", mode="state")
    async def join_state(client: Session, name: str) -> None: ...

    @rt.on("ask")
    async def ask(client: Session, data: str) -> str:
        return data

    return app, rt


async def taken(redis: RedisServer, *kinds: str) -> float:
    """Return the bytes of all keys of these kinds."""
    sizes = [
        await redis.call("MEMORY", "USAGE", key, "SAMPLES", 0)
        for kind in kinds
        for key in await redis.call("KEYS", f"multitransport:{kind}:*")
    ]
    return float(sum(sizes))


async def asked(redis: RedisServer, do: Callable[[int], Awaitable[object]], times: int = TIMES) -> float:
    """Return how many commands nodes sent for each time that this is done."""
    await redis.call("CONFIG", "RESETSTAT")
    for time in range(times):
        await do(time)
    told: bytes = await redis.call("INFO", "commandstats")
    calls: Counter[str] = Counter()
    for line in told.decode().splitlines():
        if line.startswith("cmdstat_"):
            name, _, figures = line.removeprefix("cmdstat_").partition(":")
            calls[name] += int(figures.split(",")[0].removeprefix("calls="))
    # What scripts publish is counted too: one for each script that does.
    sent = sum(calls[name] for name in SENT if name != "publish")
    return sent / times


def tell(name: str, value: float, unit: str) -> None:
    """Print a line."""
    print(f"{name:48}{value:8.{0 if unit == 'bytes' else 1}f} {unit}", flush=True)


async def measure_sizes(redis: RedisServer, rt: MultiTransport, clients: list[Client]) -> None:
    """Print what is kept in Redis."""
    data = "x" * (DATA_BYTES - 2)
    of_sessions = "session", "sessions", "user", "new"
    alone = await taken(redis, *of_sessions) / len(clients)
    tell("a session that is in no room", alone, "bytes")
    for client in clients:
        await client.join("log/one")
    tell("more for each room it is in", await taken(redis, *of_sessions) / len(clients) - alone, "bytes")
    tell("a log room without publications", await taken(redis, "meta", "log"), "bytes")
    for number in range(PUBLICATIONS):
        await rt.publish("log/one", "event", data)
        await rt.publish("state/one", "event", data, key=f"key{number}")
    tell(f"a publication of {DATA_BYTES} bytes in a log room", await taken(redis, "log") / PUBLICATIONS, "bytes")
    tell(f"a value of {DATA_BYTES} bytes in a state room", await taken(redis, "state") / PUBLICATIONS, "bytes")


async def measure_commands(redis: RedisServer, rt: MultiTransport, clients: list[Client], polling: Client) -> None:
    """Print what nodes ask of Redis."""
    first, second = clients[:2]
    rooms: list[Room] = []

    async def join(number: int) -> None:
        rooms.append(await second.join(f"log/new{number}"))

    for name, do in (
        ("a publication", lambda n: rt.publish("log/one", "event", n)),
        ("a request of a client", lambda n: first.request("ask", "x")),
        ("a request of a client that polls, polls included", lambda n: polling.request("ask", "x")),
        ("a join of a room that its node does not follow yet", lambda n: first.join(f"log/new{n}")),
        ("a join of a room that its node follows", join),
        ("a leave", lambda n: second.leave(rooms[n])),
    ):
        tell(name, await asked(redis, do), "commands")
    idle = await asked(redis, lambda n: asyncio.sleep(IDLE_SECONDS), times=1) / IDLE_SECONDS
    tell(f"a node with {len(clients)} idle WebSockets, a second", idle, "commands")


async def main() -> None:
    """Print a line for each figure."""
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(RedisServer())
        app, rt = application(redis.url)
        url = f"{await stack.enter_async_context(serve(app))}/realtime"

        async def come(number: int, transport: str = "websocket") -> Client:
            client = connect(url, transports=[transport], auth=f"user{number}")
            return await stack.enter_async_context(client)

        clients = [await come(number) for number in range(SESSIONS)]
        await measure_sizes(redis, rt, clients)
        await measure_commands(redis, rt, clients, await come(0, "poll"))
        tell("a new session", await asked(redis, come), "commands")


if __name__ == "__main__":
    asyncio.run(main())
