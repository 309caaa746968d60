"""Nodes that share a Redis, behind the proxies of the how-to: any of them serves any request."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from quart import Quart

from multitransport import MultiTransport, Session
from multitransport.client import Client, Gap, Publication, connect
from multitransport.testing.waiting import eventually
from tests.integration.nodes import PAGE, PROXIES, Node, hello, posted, proxied
from tests.proxies import documented
from tests.redis_server import RedisServer

TRANSPORTS = ["websocket", "sse", "poll"]


@pytest.fixture(params=PROXIES)
def proxy(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def said(client: Client, text: str) -> None:
    """Have a client say something."""
    await client.request("say", text)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_client_goes_from_node_to_node(proxy: str, transport: str, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(RedisServer())
        nodes = [Node({"broker": redis.url}) for _ in range(3)]
        upstreams = [await stack.enter_async_context(node.served()) for node in nodes]
        origin = await stack.enter_async_context(proxied(proxy, upstreams, tmp_path))
        client = await stack.enter_async_context(connect(f"{origin}/realtime", transports=[transport]))
        async with asyncio.timeout(20):
            room = await client.join("news/hall")
            for offset in range(1, 7):
                assert await client.request("say", str(offset)) == offset
                item = await anext(room)
                assert isinstance(item, Publication)
                assert item.data == str(offset)
        assert client.reconnects == 0
        assert client.transport == transport
        assert transport == "websocket" or min(node.requests for node in nodes) > 1


async def test_the_application_is_as_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    async with RedisServer() as redis:
        monkeypatch.setenv("SECRET_KEY", "a secret of the tests")
        monkeypatch.setenv("REDIS_URL", redis.url)
        written: dict[str, Any] = {"__name__": __name__}
        exec(documented(PAGE, "python"), written)
        app: Quart = written["app"]
        rt: MultiTransport = written["rt"]

        @rt.room("news")
        async def join_news(client: Session) -> None: ...

        async with app.test_app():
            assert (await rt.publish("news", "said", "hello")).offset == 1
        assert "multitransport:log:{.news}" in await redis.keys()


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_client_glides_off_a_node_that_stops(
    proxy: str, transport: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It goes on at another before it lets go: it is never without a line, and nobody waits for anything."""
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(RedisServer())
        nodes = [Node({"broker": redis.url, "drain_seconds": 10.0}) for _ in range(2)]
        serving = [AsyncExitStack() for _ in nodes]
        upstreams = [await own.enter_async_context(node.served()) for own, node in zip(serving, nodes, strict=True)]
        for own in serving:
            stack.push_async_callback(own.aclose)
        origin = await stack.enter_async_context(proxied(proxy, upstreams, tmp_path))
        client = await stack.enter_async_context(connect(f"{origin}/realtime", transports=[transport]))
        async with asyncio.timeout(20):
            room = await client.join("news/hall")
            caplog.set_level(logging.DEBUG, "multitransport.client")
            stopping = asyncio.create_task(serving[client.session_id not in nodes[0].node.sessions].aclose())
            told = 0
            while not stopping.done():
                told += 1
                assert await client.request("say", str(told)) == told
            for offset in range(1, told + 1):
                item = await anext(room)
                assert isinstance(item, Publication)
                assert item.data == str(offset)
            assert client.status == "connected"
            assert "transport ended" not in caplog.text
            assert "did not close in time" not in caplog.text
            assert client.reconnects == (transport != "poll")


@pytest.mark.faults
async def test_a_deploy_rolls(proxy: str, tmp_path: Path) -> None:
    """Each node stops in turn while clients listen: they have it all, once, in the same sessions."""
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(RedisServer())
        nodes = [Node({"broker": redis.url, "retry_seconds": 0.2}) for _ in range(2)]
        first = AsyncExitStack()
        upstreams = [await first.enter_async_context(nodes[0].served())]
        upstreams.append(await stack.enter_async_context(nodes[1].served()))
        origin = await stack.enter_async_context(proxied(proxy, upstreams, tmp_path))
        clients = [
            await stack.enter_async_context(connect(f"{origin}/realtime", transports=[transport]))
            for transport in TRANSPORTS
        ]
        async with asyncio.timeout(30):
            rooms = [await client.join("news/hall") for client in clients]
            sessions = [client.session_id for client in clients]
            await said(clients[0], "before")
            await first.aclose()
            await said(clients[0], "after")
            for room in rooms:
                got = [await anext(room), await anext(room)]
                assert not any(isinstance(item, Gap) for item in got)
                assert [item.data for item in got if isinstance(item, Publication)] == ["before", "after"]
            assert [client.session_id for client in clients] == sessions


@pytest.mark.faults
async def test_pages_are_served_while_redis_is_away(proxy: str, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(RedisServer())
        nodes = [Node({"broker": redis.url}) for _ in range(2)]
        upstreams = [await stack.enter_async_context(node.served()) for node in nodes]
        origin = await stack.enter_async_context(proxied(proxy, upstreams, tmp_path))
        http = await stack.enter_async_context(httpx.AsyncClient(timeout=20))

        async def health(url: str, status: int) -> bool:
            return (await http.get(f"{url}/realtime/health")).status_code == status

        await redis.kill()
        for url in upstreams:
            await eventually(lambda url=url: health(url, 503), 10.0)  # type: ignore[misc]
        for refused in (
            await posted(http, f"{origin}/realtime/poll", hello()),
            await http.get(f"{origin}/realtime/rooms/news/hall"),
            await http.get(f"{upstreams[0]}/realtime/health"),
        ):
            assert refused.status_code == 503
            # Where Redis is, is nobody's business.
            assert "127.0.0.1" not in refused.text
            assert str(redis.port) not in refused.text
        for _ in range(6):
            assert (await http.get(f"{origin}/")).status_code == 200
        await redis.start()
        for url in (*upstreams, origin):
            await eventually(lambda url=url: health(url, 200), 10.0)  # type: ignore[misc]
