"""Which transport carries the session, and how it moves from one to another."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest
from websockets.asyncio.client import connect as websocket

from multitransport.client import Publication, attachment, backoff, connect, fallback
from multitransport.errors import ConnectionClosed, TimedOut
from multitransport.protocol.codes import CloseCode
from multitransport.testing.asgi_call import App, Event, Receive, Send
from multitransport.testing.proxy import FaultProxy
from multitransport.testing.waiting import eventually
from tests.unit.client.served import Served, served


@pytest.fixture
async def app() -> AsyncIterator[Served]:
    async with served() as running:
        yield running


@pytest.fixture
async def proxy(app: Served) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(app.url) as between:
        yield between


def first_event_only(app: App) -> App:
    """Let the first event of each stream through, and hold the others back."""

    async def held(scope: Event, receive: Receive, send: Send) -> None:
        sent = 0

        async def send_first(event: Event) -> None:
            nonlocal sent
            sent += event["type"] == "http.response.body"
            if sent < 2:
                await send(event)

        await app(scope, receive, send_first if scope.get("path", "").endswith("/sse") else send)

    return held


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a transport half a second to come about."""
    monkeypatch.setattr(attachment, "ATTEMPT_SECONDS", 0.5)


class TestFallback:
    async def test_websocket_is_first(self, proxy: FaultProxy) -> None:
        async with connect(proxy.url) as client:
            assert client.transport == "websocket"
            await eventually(lambda: client.round_trip_seconds)
            assert 0 < (client.round_trip_seconds or 0) < 1

    @pytest.mark.parametrize("how", ["block", "strip"])
    async def test_with_websocket_kept_out_it_is_sse(self, proxy: FaultProxy, how: str) -> None:
        proxy.websocket = how  # type: ignore[assignment]
        async with connect(proxy.url) as client:
            assert client.transport == "sse"
            await eventually(lambda: client.round_trip_seconds)
        assert proxy.blocked_handshakes == 1

    @pytest.mark.usefixtures("impatient")
    async def test_with_streams_held_back_too_it_is_poll(self, app: Served, proxy: FaultProxy) -> None:
        proxy.websocket = "block"
        proxy.buffer_responses = 1 << 20
        async with connect(proxy.url) as client:
            assert client.transport == "poll"
            room = await client.join("chat/1")
            await app.publish(1)
            assert isinstance(await anext(room), Publication)

    @pytest.mark.usefixtures("impatient")
    async def test_a_stream_that_lets_the_welcome_through_and_no_more_is_left(self) -> None:
        async with served(through=first_event_only) as app, connect(app.url, transports=("sse", "poll")) as client:
            await eventually(lambda: client.transport == "poll")
            assert await client.request("echo", 1) == 1

    async def test_a_dead_network_changes_nothing(
        self, proxy: FaultProxy, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(backoff, "BACKOFF_CAP_SECONDS", 0.1)
        caplog.set_level(logging.DEBUG, "multitransport.client")
        async with connect(proxy.url) as client:
            await proxy.refuse()
            await client.cut()
            await eventually(lambda: caplog.text.count("connecting:") >= 4)
            await proxy.accept()
            await eventually(lambda: client.status == "connected")
            assert client.transport == "websocket"

    @pytest.mark.parametrize("transport", ["websocket", "sse", "poll"])
    async def test_a_time_limit_that_gets_out_of_a_library_costs_the_transport_and_not_the_client(
        self, app: Served, transport: str
    ) -> None:
        async with connect(app.url, transports=(transport,)) as client:
            carried = client._connection.attachment
            assert carried is not None
            carried.task.cancel()
            await eventually(lambda: client.reconnects == 1)
            assert await client.request("echo", 1) == 1

    async def test_one_the_application_does_not_serve_is_skipped(self) -> None:
        async with served(transports=("sse", "poll")) as app, connect(app.url) as client:
            assert client.transport == "sse"

    async def test_with_none_left_the_session_ends(self) -> None:
        async with served(transports=("poll",)) as app:
            with pytest.raises(ConnectionClosed) as ended:
                async with connect(app.url, transports=("websocket", "sse")):
                    pass
            assert ended.value.code == CloseCode.TRANSPORT_NOT_ALLOWED

    async def test_a_better_one_is_tried_in_the_background(
        self, app: Served, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(fallback, "UPGRADE_BASE_SECONDS", 0.1)
        proxy.websocket = "block"
        async with connect(proxy.url) as client:
            room = await client.join("chat/1")
            await eventually(lambda: proxy.blocked_handshakes >= 2)
            assert client.transport == "sse"
            await app.publish(1)
            proxy.websocket = "pass"
            await eventually(lambda: client.transport == "websocket")
            await app.publish(2)
            assert [item.data for item in [await anext(room), await anext(room)] if isinstance(item, Publication)] == [
                1,
                2,
            ]


class TestSwitching:
    async def test_under_load_nothing_is_lost_or_repeated(self, app: Served, proxy: FaultProxy) -> None:
        async def publish() -> None:
            for number in range(300):
                await app.publish(number)
                await asyncio.sleep(0.001)

        async with connect(proxy.url) as client:
            room = await client.join("chat/1")
            publishing = asyncio.create_task(publish())
            replies = []
            for transport in ("sse", "poll", "websocket", "poll", "sse", "websocket"):
                request = asyncio.create_task(client.request("echo", transport))
                await client.use(transport)
                assert client.transport == transport
                replies.append(await request)
            await publishing
            items = [await asyncio.wait_for(anext(room), 5) for _ in range(300)]
            assert [item.data for item in items if isinstance(item, Publication)] == list(range(300))
            assert replies == app.runs == ["sse", "poll", "websocket", "poll", "sse", "websocket"]
            assert client.reconnects == 6

    @pytest.mark.usefixtures("impatient")
    async def test_one_that_does_not_come_about_leaves_all_as_it_was(self, proxy: FaultProxy) -> None:
        async with connect(proxy.url, transports=("sse", "websocket")) as client:
            proxy.websocket = "block"
            with pytest.raises(TimedOut, match="websocket"):
                await client.use("websocket")
            assert client.transport == "sse"
            assert await client.request("echo", 1) == 1

    async def test_while_offline_it_is_what_comes_next(self, proxy: FaultProxy) -> None:
        async with connect(proxy.url) as client:
            await proxy.refuse()
            await client.cut()
            switching = asyncio.create_task(client.use("poll"))
            await asyncio.sleep(0)
            await proxy.accept()
            await asyncio.wait_for(switching, 5)
            assert client.transport == "poll"

    async def test_only_transports_it_has(self, proxy: FaultProxy) -> None:
        async with connect(proxy.url, transports=("sse",)) as client:
            with pytest.raises(ValueError, match="websocket"):
                await client.use("websocket")


async def test_a_copied_client_starts_a_session_of_its_own(app: Served) -> None:
    """As a duplicated tab does: the copy carries the session on, the original notices."""
    async with connect(app.url) as client:
        room = await client.join("chat/1")
        session_id = client.session_id
        hello = client._session.send_hello(client._session.attach + 1).decode()
        async with websocket(app.url.replace("http", "ws") + "/websocket") as copy:
            await copy.send(hello)
            assert f'"session":"{session_id}"' in str(await copy.recv())
            await eventually(lambda: client.session_id != session_id and client.status == "connected")
        await app.publish(1)
        item = await anext(room)
        assert isinstance(item, Publication)
        assert item.data == 1
