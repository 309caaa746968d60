"""The nginx configuration of the how-to, run by a real nginx in front of a real server."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from hypercorn.config import Config
from quart import Quart, url_for

from multitransport import MultiTransport, Session
from multitransport.client import Publication, connect
from multitransport.testing.server import free_port, serve
from multitransport.testing.waiting import eventually

HOWTO = Path(__file__).resolve().parents[2] / "docs/howto/deploy.md"
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/sbin:/usr/local/sbin:/usr/local/bin:/opt/homebrew/bin")
FRAME = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{server}
}}
"""


def documented(language: str) -> str:
    """Return what the how-to tells people to write in a language."""
    block: str
    [block] = re.findall(
        rf"^```{language}\n(.*?)^```", HOWTO.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE
    )
    return block


def replaced(text: str, old: str, new: str) -> str:
    """Replace what is there exactly once."""
    assert text.count(old) == 1, f"{old!r} is not in the how-to once"
    return text.replace(old, new)


def application() -> tuple[Quart, MultiTransport]:
    app = Quart(__name__)
    app.secret_key = "a secret of the test"
    rt = MultiTransport(app)
    exec(documented("python"), {"app": app})

    @rt.room("news/<name>", history=10)
    async def join_news(client: Session, name: str) -> None: ...

    @rt.on("say")
    async def say(client: Session, text: str) -> int:
        return (await rt.publish("news/hall", "said", text)).offset

    return app, rt


@asynccontextmanager
async def proxied(upstream: str, folder: Path, prefix: str = "") -> AsyncIterator[str]:
    """Run nginx in front of a server as the how-to says, and give its origin."""
    assert NGINX is not None, "nginx is needed: see `make test`"
    own = free_port()
    server = replaced(documented("nginx"), "listen 80;", f"listen 127.0.0.1:{own};")
    server = replaced(server, "server 127.0.0.1:8000;", f"server {upstream.removeprefix('http://')};")
    for path in ("/", "/realtime/"):
        server = replaced(server, f"location {path} {{", f"location {prefix}{path} {{")
    file = folder / "nginx.conf"
    file.write_text(FRAME.format(folder=folder, server=server), encoding="utf-8")
    nginx = await asyncio.create_subprocess_exec(NGINX, "-e", "stderr", "-p", str(folder), "-c", str(file))
    origin = f"http://127.0.0.1:{own}{prefix}"
    try:
        async with httpx.AsyncClient() as http:
            await eventually(lambda: answers(http, f"{origin}/realtime/health"))
        yield origin
    finally:
        nginx.terminate()
        await nginx.wait()


async def answers(http: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await http.get(url)).status_code == 200
    except httpx.TransportError:
        return False


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
