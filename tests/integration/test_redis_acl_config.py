"""What the documentation has Redis allow the nodes and the publishers is what they need, and no more."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

import multitransport.brokers.redis
from multitransport.brokers.base import Broker, SessionStore
from multitransport.brokers.redis import RedisBroker
from multitransport.brokers.redis.connections.connection import Connection, Refusal
from multitransport.brokers.redis.connections.server import Server
from multitransport.brokers.redis.rooms.sender import Sender
from multitransport.brokers.redis.sessions.store import RedisSessionStore
from multitransport.brokers.redis.timing import Timing
from multitransport.client import Publication, connect
from multitransport.core.log import Retention
from multitransport.core.publication import Draft
from multitransport.testing.contracts import BrokerContract, SessionStoreContract
from multitransport.testing.waiting import eventually
from tests.integration.nodes import Node, proxied
from tests.proxies import DOCS
from tests.redis_server import RedisServer

CODE = Path(multitransport.brokers.redis.__file__).parent
TEXT = (DOCS / "discussion/threats.md").read_text(encoding="utf-8")
USERS: dict[str, str] = {line.split()[1]: line for line in re.findall(r"^user .*$", TEXT, flags=re.MULTILINE)}
PASSWORD = "CHANGE-ME"
PUBLISHING = ("room", "publish", "publish_state", "read", "read_state", "renew", "declared")
"""The scripts of who publishes from outside; those that read and renew, where Redis began anew."""
PUBLISHERS = ("sender", "line", "server", "publishing", "reading", "declared")


def allowed(user: str) -> set[str]:
    """Return the commands that a user may give."""
    return {command.upper() for command in re.findall(r"\+([\w|]+)", USERS[user])}


def scripted(*scripts: str) -> set[str]:
    """Return the commands that scripts give."""
    texts = [file.read_text() for name in scripts for file in CODE.glob(f"lua/{name}.lua")]
    return {command for text in texts for command in re.findall(r"redis\.p?call\('(\w+)'", text)}


def named(*modules: str) -> set[str]:
    """Return what modules name in capitals, but for AUTH, which everybody may, and what is how an error begins."""
    texts = [file.read_text() for name in modules for file in CODE.rglob(f"{name}.py")]
    return {name for text in texts for name in re.findall(r'"([A-Z]+)"', text)} - {"AUTH", "READONLY"}


@asynccontextmanager
async def redis(folder: Path) -> AsyncIterator[RedisServer]:
    """Run a Redis with the documented users, and one for the test itself."""
    file = folder / "users.acl"
    file.write_text("\n".join(["user default on nopass ~* &* +@all", *USERS.values(), ""]), encoding="utf-8")
    async with RedisServer("--aclfile", str(file)) as server:
        yield server


def url(server: RedisServer, user: str, database: int = 0) -> str:
    return f"redis://{user}:{PASSWORD}@127.0.0.1:{server.port}/{database}"


@asynccontextmanager
async def connected(server: RedisServer, user: str) -> AsyncIterator[Connection]:
    connection = await Server(url(server, user), 2.0).connect()
    try:
        yield connection
    finally:
        connection.end("done")


@pytest.mark.faults
class TestNodesNeedNoMore(BrokerContract):
    @pytest_asyncio.fixture(autouse=True)
    async def limited(self, tmp_path: Path) -> AsyncIterator[None]:
        async with redis(tmp_path) as self.server:
            yield

    @asynccontextmanager
    async def open_broker(self) -> AsyncIterator[Broker]:
        yield RedisBroker(url(self.server, "nodes"))

    async def pass_time(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@pytest.mark.faults
class TestSessionsNeedNoMore(SessionStoreContract):
    @pytest_asyncio.fixture(autouse=True)
    async def limited(self, tmp_path: Path) -> AsyncIterator[None]:
        async with redis(tmp_path) as self.server:
            yield

    @asynccontextmanager
    async def open_store(self) -> AsyncIterator[SessionStore]:
        broker = RedisBroker(url(self.server, "nodes"))
        await broker.start(lambda room: None, lambda room, draft: None)
        yield RedisSessionStore(broker, ["secret"])
        await broker.stop()

    async def pass_time(self, seconds: float) -> None:
        await asyncio.sleep(seconds + 0.05)  # a node's idea of the time of Redis may be late by an answer


async def test_a_client_goes_from_node_to_node(tmp_path: Path) -> None:
    """What nodes say to each other included: its session is another one's after each cut."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(redis(tmp_path))
        nodes = [Node({"broker": url(server, "nodes")}) for _ in range(2)]
        upstreams = [await stack.enter_async_context(node.served()) for node in nodes]
        origin = await stack.enter_async_context(proxied("nginx", upstreams, tmp_path))
        client = await stack.enter_async_context(connect(f"{origin}/realtime", transports=["poll"]))
        async with asyncio.timeout(20):
            room = await client.join("news/hall")
            for offset in range(1, 6):
                assert await client.request("say", str(offset)) == offset
                item = await anext(room)
                assert isinstance(item, Publication)
                assert item.data == str(offset)
        assert client.reconnects == 0
        assert min(node.requests for node in nodes) > 1
        assert nodes[0].node.fault is None


async def test_lists_name_what_is_used_and_nothing_else(tmp_path: Path) -> None:
    async with redis(tmp_path) as server:
        known = {name.decode().upper() for name in await server.call("COMMAND", "LIST")}
    [added] = re.findall(r"With a cluster add `([^`]*)`", TEXT)
    of_clusters = {command.upper().partition("|")[0] for command in re.findall(r"\+([\w|]+)", added)}
    of_nodes = scripted("*") | named("*") & known
    of_workers = scripted(*PUBLISHING) | named(*PUBLISHERS) & known
    assert of_clusters <= of_nodes
    assert allowed("nodes") == of_nodes - of_clusters, "docs/discussion/threats.md lists what nodes need"
    assert allowed("workers") == of_workers - of_clusters


async def test_nodes_do_no_more_than_they_need(tmp_path: Path) -> None:
    async with redis(tmp_path) as server, connected(server, "nodes") as connection:
        for command in (
            ("FLUSHALL",),
            ("CONFIG", "GET", "*"),
            ("KEYS", "*"),
            ("GET", "other:key"),
            ("PUBLISH", "x", ""),
        ):
            with pytest.raises(Refusal, match="NOPERM"):
                await connection.request(*command)


async def test_workers_see_no_sessions(tmp_path: Path) -> None:
    async with redis(tmp_path) as server, connected(server, "workers") as connection:
        for command in (
            ("HGETALL", "multitransport:session:{.an-id}"),
            ("GET", "multitransport:new:{.an-id}"),
            ("PUBLISH", "multitransport:0:node:{.a-node}", "something"),
            ("SUBSCRIBE", "multitransport:0:room:{.news}"),
        ):
            with pytest.raises(Refusal, match="NOPERM"):
                await connection.request(*command)


async def test_workers_publish(tmp_path: Path) -> None:
    async with redis(tmp_path) as server:
        broker = RedisBroker(server.url)
        worker = Sender(url(server, "workers"), prefix="multitransport", timing=Timing())
        await broker.start(lambda room: None, lambda room, draft: None)
        await worker.start()
        try:
            log = await broker.subscribe("news", Retention())
            state = await broker.subscribe("prices", Retention(keys=2))
            await worker.publish("news", Draft("said", b'"hello"', id="a-publication"), Retention())
            for key in "abc":
                await worker.publish("prices", Draft("price", b"1", key=key), Retention(keys=2))
                await worker.publish("prices", Draft("price", b"null", key=key, deleted=True), Retention(keys=2))
            await worker.flash("news", Draft("typing", b"null"))
            assert await worker.declared() == []
            await eventually(lambda: (log.top, state.top) == (1, 6))
        finally:
            await worker.stop()
            await broker.stop()


async def test_workers_end_doubt(tmp_path: Path) -> None:
    """A Redis that began anew is asked whether its logs are whole, and nobody is there who could say so."""
    async with redis(tmp_path) as server:
        worker = Sender(url(server, "workers"), prefix="multitransport", timing=Timing(vouch_seconds=0.1))
        await worker.start()
        try:
            first = await worker.publish("news", Draft("said", b"1"), Retention())
            await server.call("HSET", "multitransport:meta:{.news}", "r", "another Redis")
            second = await worker.publish("news", Draft("said", b"2"), Retention())
            assert second.epoch != first.epoch
        finally:
            await worker.stop()
