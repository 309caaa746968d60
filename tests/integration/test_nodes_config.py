"""The configurations of nginx and HAProxy for several nodes, run by real ones in front of real servers."""

from __future__ import annotations

import asyncio
import re
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypercorn.config import Config
from quart import request

from multitransport.client import Publication, connect
from multitransport.node.settings import Settings
from multitransport.testing.waiting import eventually
from tests.integration.nodes import PROXIES, Node, hello, posted, proxied
from tests.proxies import documented

ONE_AFTER_THE_OTHER = ["one", "two", "three"]


@pytest.fixture(params=PROXIES)
def proxy(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_the_nodes_take_turns(proxy: str, tmp_path: Path) -> None:
    one, two = Node(), Node()
    async with (
        one.served() as first,
        two.served() as second,
        proxied(proxy, [first, second], tmp_path) as origin,
        httpx.AsyncClient() as http,
    ):
        for _ in range(12):
            assert (await posted(http, f"{origin}/realtime/poll", hello())).status_code == 200
    assert len(one.visitors) + len(two.visitors) == 12
    assert min(len(one.visitors), len(two.visitors)) >= 4


@pytest.mark.parametrize("transport", ["websocket", "sse", "poll"])
async def test_every_transport_passes_at_once_where_one_node_is_left(
    proxy: str, transport: str, tmp_path: Path
) -> None:
    async with (
        Node().served() as only,
        proxied(proxy, [only], tmp_path) as origin,
        connect(f"{origin}/realtime", transports=[transport]) as client,
        asyncio.timeout(20),
    ):
        room = await client.join("news/hall")
        for offset, text in enumerate(ONE_AFTER_THE_OTHER, start=1):
            assert await client.request("say", text) == offset
            item = await anext(room)  # each arrives before the next is sent: nothing holds the stream back
            assert isinstance(item, Publication)
            assert item.data == text
        assert client.transport == transport
        assert client.reconnects == 0


async def test_a_long_poll_is_held_until_there_is_news(proxy: str, tmp_path: Path) -> None:
    node = Node()
    async with (
        node.served() as only,
        proxied(proxy, [only], tmp_path) as origin,
        httpx.AsyncClient(timeout=20) as http,
        asyncio.timeout(20),
    ):
        room = f"{origin}/realtime/rooms/news/hall"
        polling = asyncio.create_task(http.get(room, headers={"Accept": "application/json"}))
        await eventually(lambda: node.visitors)
        await node.rt.publish("news/hall", "said", "hello")
        assert "hello" in (await polling).text


async def test_the_node_says_itself_what_is_too_large(proxy: str, tmp_path: Path) -> None:
    async with (
        Node().served() as only,
        proxied(proxy, [only], tmp_path) as origin,
        httpx.AsyncClient() as http,
    ):
        answers = {}
        for size in (900_000, 1_500_000):
            auth = "x" * size
            answers[size] = await posted(http, f"{origin}/realtime/poll", hello(auth=auth))
        assert answers[900_000].status_code == 200
        assert answers[1_500_000].status_code == 413
        assert answers[1_500_000].text.startswith('["close",3502,')


async def test_a_node_that_is_gone_costs_no_request(proxy: str, tmp_path: Path) -> None:
    one, two = Node(), Node()
    async with AsyncExitStack() as stack:
        second = await stack.enter_async_context(two.served())
        async with one.served() as first:
            origin = await stack.enter_async_context(proxied(proxy, [first, second], tmp_path))
        http = await stack.enter_async_context(httpx.AsyncClient())
        for _ in range(20):
            assert (await http.get(f"{origin}/")).status_code == 200
            assert (await posted(http, f"{origin}/realtime/poll", hello())).status_code == 200
    assert len(two.visitors) >= 20


async def test_a_node_that_drains_sends_its_visitors_to_another(proxy: str, tmp_path: Path) -> None:
    one, two = Node({"retry_seconds": 0.1}), Node()
    async with (
        one.served() as first,
        two.served() as second,
        proxied(proxy, [first, second], tmp_path) as origin,
        asyncio.timeout(20),
    ):
        await one.node.drain()
        for _ in range(4):  # of WebSocket only, since these two nodes share no sessions
            async with connect(f"{origin}/realtime", transports=["websocket"]):
                pass
    assert one.visitors == []
    assert len(two.visitors) == 4


async def test_what_a_node_says_when_it_drains_gets_through(proxy: str, tmp_path: Path) -> None:
    node = Node()
    async with (
        node.served() as only,
        proxied(proxy, [only], tmp_path) as origin,
        httpx.AsyncClient() as http,
    ):
        await node.node.drain()
        answer = await posted(http, f"{origin}/realtime/poll", hello())
    assert answer.status_code == 503
    assert answer.text.startswith('["close",3000,')
    assert "retry_after" in answer.text


async def test_only_the_proxy_says_who_the_visitor_is(proxy: str, tmp_path: Path) -> None:
    node = Node()

    @node.app.get("/seen")
    async def seen() -> dict[str, Any]:
        return {"host": request.host, "scheme": request.scheme, "address": request.remote_addr}

    forged = {"X-Forwarded-For": "10.1.1.1", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example"}
    async with (
        node.served() as only,
        proxied(proxy, [only], tmp_path) as origin,
        httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(local_address="127.0.0.2")) as http,
    ):
        found = (await http.get(f"{origin}/seen", headers=forged)).json()
    assert found == {"host": origin.removeprefix("http://"), "scheme": "http", "address": "127.0.0.2"}


@pytest.mark.parametrize(
    ("page", "language"), [("deploy", "nginx"), ("deploy-nodes", "nginx"), ("deploy-nodes", "haproxy")]
)
def test_timeouts_outlast_what_is_quiet_for_good_reason(page: str, language: str) -> None:
    settings = Settings()
    quiet = max(settings.ping_seconds + settings.grace_seconds, settings.poll_seconds, settings.stalled_seconds)
    wanted = (
        {"proxy_read_timeout", "proxy_send_timeout"}
        if language == "nginx"
        else {"timeout client", "timeout server", "timeout tunnel"}
    )
    found = dict(
        re.findall(
            r"^ *(\w+_timeout|timeout [\w-]+) (\d+)s;?$", documented(f"howto/{page}.md", language), flags=re.MULTILINE
        )
    )
    assert wanted <= set(found)
    assert all(int(found[name]) > 2 * quiet for name in wanted)
    # Idle connections are given up before Hypercorn does.
    assert "keepalive_timeout" not in found or int(found["keepalive_timeout"]) < Config().keep_alive_timeout
