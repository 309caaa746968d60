"""The client against an application in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from quart import Quart, session

from multitransport import ConnectionClosed, MultiTransport, Session
from multitransport.client import Publication
from multitransport.testing.asgi import connect_asgi
from multitransport.testing.asgi_http import AsgiTransport
from multitransport.testing.asgi_websocket import AsgiWebSocket
from multitransport.testing.waiting import eventually

TRANSPORTS = ("websocket", "sse", "poll")


@pytest.fixture
def app() -> Quart:
    app = Quart("in-process")
    app.secret_key = "k" * 32
    return app


@pytest.fixture
def rt(app: Quart) -> MultiTransport:
    rt = MultiTransport(app)

    @rt.on_connect
    async def connect(client: Session, auth: Any) -> None:
        client.user_id = auth or session.get("user")

    @rt.room("r", history=10)
    async def join(client: Session) -> None:
        pass

    @rt.on("who")
    async def who(client: Session, data: Any) -> dict[str, Any]:
        return {"user": client.user_id, "header": client.headers.get("X-Test"), "transport": client.transport}

    return rt


@pytest.fixture
async def running(app: Quart, rt: MultiTransport) -> AsyncIterator[MultiTransport]:
    before = asyncio.all_tasks()
    async with app.test_app():
        yield rt
    ending = asyncio.current_task()
    await eventually(lambda: not asyncio.all_tasks() - before - {ending})


@pytest.mark.parametrize("transport", TRANSPORTS)
class TestEveryTransport:
    async def test_requests_and_rooms_work(self, app: Quart, running: MultiTransport, transport: str) -> None:
        async with connect_asgi(app, transport=transport, headers={"X-Test": "yes"}) as client:
            assert await client.request("who") == {"user": None, "header": "yes", "transport": transport}
            room = await client.join("r")
            await running.publish("r", "n", 1)
            await client.cut()
            await running.publish("r", "n", 2)
            items = [await asyncio.wait_for(anext(room), 5) for _ in range(2)]
            assert [item.data for item in items if isinstance(item, Publication)] == [1, 2]

    @pytest.mark.usefixtures("running")
    async def test_a_user_is_signed_in_without_the_check(self, app: Quart, transport: str) -> None:
        async with connect_asgi(app, transport=transport, user="ann") as client:
            assert (await client.request("who"))["user"] == "ann"

    async def test_a_connect_check_that_fails_is_not_asked_again(self, transport: str) -> None:
        app = Quart("failing")
        app.secret_key = "k" * 32
        rt, asked = MultiTransport(app), []

        @rt.on_connect
        async def connect(client: Session) -> None:
            asked.append(client)
            raise ZeroDivisionError

        async with app.test_app():
            with pytest.raises(ConnectionClosed, match=r"3004.*the connect check failed"):
                async with connect_asgi(app, transport=transport):
                    pytest.fail("it must not come this far")
        assert len(asked) == 1

    @pytest.mark.usefixtures("running")
    async def test_auth_and_cookies_reach_the_check(self, app: Quart, transport: str) -> None:
        async with connect_asgi(app, transport=transport, auth="bob") as client:
            assert (await client.request("who"))["user"] == "bob"

        @app.get("/login")
        async def login() -> str:
            session["user"] = "eve"
            return "in"

        browser = app.test_client()
        await browser.get("/login")
        assert browser.cookie_jar is not None
        cookies = {cookie.name: cookie.value or "" for cookie in browser.cookie_jar}
        async with connect_asgi(app, transport=transport, cookies=cookies) as client:
            assert (await client.request("who"))["user"] == "eve"


@pytest.mark.parametrize(("user", "error"), [(5, TypeError), ("", ValueError)])
async def test_a_user_that_is_none_is_told(app: Quart, user: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="a user id is "):
        async with connect_asgi(app, user=user):
            pytest.fail("it must not come this far")


@pytest.mark.usefixtures("rt")
async def test_the_lifespan_is_run_on_demand(app: Quart) -> None:
    events = []
    app.before_serving(lambda: events.append("up"))
    app.after_serving(lambda: events.append("down"))
    async with connect_asgi(app, lifespan=True) as client:
        assert await client.request("who")
        assert events == ["up"]
    assert events == ["up", "down"]


async def test_a_startup_that_fails_is_raised() -> None:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    with pytest.raises(RuntimeError, match="no database"):
        async with connect_asgi(app, lifespan=True):
            pytest.fail("it must not come this far")


class TestHttp:
    async def test_an_answer_streams_and_its_app_hears_of_the_end(self) -> None:
        heard: list[str] = []

        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            heard.append((await receive())["body"].decode())
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"first", "more_body": True})
            heard.append((await receive())["type"])

        async with httpx.AsyncClient(transport=AsgiTransport(app)) as http:
            async with http.stream("POST", "http://localhost/path?q=1", content=b"body") as response:
                assert await anext(response.aiter_bytes()) == b"first"
                assert heard == ["body"]
            assert heard == ["body", "http.disconnect"]

    async def test_an_app_that_will_not_stop_is_cancelled(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("multitransport.testing.asgi_call._LEAVE_SECONDS", 0.01)
        ended = asyncio.Event()

        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            try:
                await send({"type": "http.response.start", "status": 200, "headers": []})
                while True:
                    await send({"type": "http.response.body", "body": b"x", "more_body": True})
            finally:
                ended.set()

        async with httpx.AsyncClient(transport=AsgiTransport(app)) as http:
            async with http.stream("GET", "http://localhost/") as response:
                assert response.status_code == 200
            assert ended.is_set()

    async def test_an_app_that_fails_is_logged_and_answered_as_a_server_does(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            if scope["path"] == "/half":
                await send({"type": "http.response.start", "status": 200, "headers": []})
            raise ZeroDivisionError

        async with httpx.AsyncClient(transport=AsgiTransport(app)) as http:
            assert (await http.get("http://localhost/")).status_code == 500
            with pytest.raises(httpx.RemoteProtocolError):
                await http.get("http://localhost/half")
        assert caplog.text.count("ZeroDivisionError") >= 2


class TestWebSocket:
    async def test_messages_and_the_close_code_pass(self) -> None:
        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            assert (await receive())["type"] == "websocket.connect"
            await send({"type": "websocket.accept"})
            while (event := await receive())["type"] == "websocket.receive":
                await send({"type": "websocket.send", "text": event["text"], "bytes": event["bytes"]})
                if event["text"] == "last":
                    await send({"type": "websocket.close", "code": 4000, "reason": "enough"})

        websocket = await AsgiWebSocket.open(app, "http://localhost/w")
        for message in ("text", b"bytes", "last"):
            websocket.send(message)
            assert await websocket.receive() == message
        with pytest.raises(Exception, match="4000 enough"):
            await websocket.receive()
        await websocket.close()

    async def test_not_being_accepted_is_raised(self) -> None:
        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            await send({"type": "websocket.close", "code": 1008})

        with pytest.raises(ConnectionRefusedError, match=r"websocket\.close"):
            await AsgiWebSocket.open(app, "http://localhost/w")
