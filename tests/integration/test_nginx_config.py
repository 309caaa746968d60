"""The nginx configuration of the how-to, run by a real nginx in front of a real server."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import httpx
import pytest
from hypercorn.config import Config
from quart import Quart, request, url_for

from multitransport import MultiTransport, Session
from multitransport.client import Publication, connect
from multitransport.testing.server import serve
from tests.proxies import documented, nginx

PAGE = "howto/deploy.md"


def application() -> tuple[Quart, MultiTransport]:
    app = Quart(__name__)
    app.secret_key = "a secret of the test"
    rt = MultiTransport(app)
    exec(documented(PAGE, "python"), {"app": app})

    @rt.room("news/<name>", history=10)
    async def join_news(client: Session, name: str) -> None: ...

    @rt.on("say")
    async def say(client: Session, text: str) -> int:
        return (await rt.publish("news/hall", "said", text)).offset

    return app, rt


def proxied(upstream: str, folder: Path, prefix: str = "") -> AbstractAsyncContextManager[str]:
    """Run nginx in front of a server as the how-to says, and give its origin."""
    return nginx(PAGE, {"127.0.0.1:8000": upstream.removeprefix("http://")}, folder, prefix)


@pytest.mark.parametrize("transport", ["websocket", "sse", "poll"])
async def test_every_transport_passes_at_once(transport: str, tmp_path: Path) -> None:
    app, _ = application()
    async with (
        serve(app) as upstream,
        proxied(upstream, tmp_path) as origin,
        connect(f"{origin}/realtime", transports=[transport]) as client,
        asyncio.timeout(20),
    ):
        room = await client.join("news/hall")
        for offset, text in enumerate(["one", "two", "three"], start=1):
            assert await client.request("say", text) == offset
            item = await anext(room)  # each arrives before the next is sent: nothing holds the stream back
            assert isinstance(item, Publication)
            assert (item.event, item.data) == ("said", text)
        assert client.transport == transport
        assert client.reconnects == 0


@pytest.mark.parametrize("transport", ["websocket", "sse", "poll"])
async def test_every_transport_passes_below_a_path(transport: str, tmp_path: Path) -> None:
    app, _ = application()

    @app.get("/")
    async def page() -> str:
        return url_for("multitransport.client")

    below = Config()
    below.root_path = "/app"
    async with (
        serve(app, config=below) as upstream,
        proxied(upstream, tmp_path, "/app") as origin,
        connect(f"{origin}/realtime", transports=[transport]) as client,
        httpx.AsyncClient() as http,
    ):
        assert await client.request("say", "hello") == 1
        script = (await http.get(f"{origin}/")).text
        assert script.startswith("/app/realtime/client.js")
        assert (await http.get(httpx.URL(origin).join(script))).status_code == 200


async def test_a_room_url_streams(tmp_path: Path) -> None:
    app, rt = application()
    async with serve(app) as upstream, proxied(upstream, tmp_path) as origin, asyncio.timeout(20):
        await rt.publish("news/hall", "said", "hello")
        url = f"{origin}/realtime/rooms/news/hall"
        async with httpx.AsyncClient() as http, http.stream("GET", url) as answer:
            event = await anext(line async for line in answer.aiter_lines() if line.startswith("event:"))
            assert event == "event: said"


async def test_a_page_of_another_site_is_refused(tmp_path: Path) -> None:
    app, _ = application()
    async with serve(app) as upstream, proxied(upstream, tmp_path) as origin, httpx.AsyncClient() as http:
        url, hello = f"{origin}/realtime/poll", '["hello",{"v":1,"new":"aaaaaaaaaaaaaaaaaaaaaaaa","attach":1,"wait":0}]'
        statuses = {}
        for page in (origin, "https://elsewhere.example"):
            headers = {"Origin": page, "Content-Type": "application/x-ndjson"}
            statuses[page] = (await http.post(url, content=hello, headers=headers)).status_code
        assert statuses == {origin: 200, "https://elsewhere.example": 403}


async def test_the_visitors_address_gets_through(tmp_path: Path) -> None:
    app, rt = application()
    seen = []

    @rt.on_connect
    async def connected(client: Session) -> None:
        seen.append(client.remote_addr)

    async with serve(app) as upstream, proxied(upstream, tmp_path) as origin:
        visitor = httpx.AsyncHTTPTransport(local_address="127.0.0.2")
        async with httpx.AsyncClient(transport=visitor) as http:
            await http.get(f"{origin}/realtime/rooms/news/hall?wait=0", headers={"Accept": "application/json"})
    assert seen == ["127.0.0.2"]


async def test_no_visitor_says_what_the_host_is(tmp_path: Path) -> None:
    app, _ = application()

    @app.get("/host")
    async def host() -> str:
        return request.host

    async with serve(app) as upstream, proxied(upstream, tmp_path) as origin, httpx.AsyncClient() as http:
        answer = await http.get(f"{origin}/host", headers={"X-Forwarded-Host": "evil.example"})
    assert answer.text == origin.removeprefix("http://")
