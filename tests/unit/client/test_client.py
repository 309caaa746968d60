"""The client against a real server, over each transport."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from multitransport.client import Client, Gap, Publication, Room, attachment, connect, sender
from multitransport.errors import ConnectionClosed, Failed, Invalid, OutcomeUnknown, QueueFull, Refused, TimedOut
from multitransport.protocol.position import Position
from multitransport.testing.asgi_call import App, Event, Receive, Send
from multitransport.testing.proxy import FaultProxy
from multitransport.testing.server import free_port
from multitransport.testing.waiting import eventually
from tests.unit.client.served import Served, served

TRANSPORTS = ("websocket", "sse", "poll")


@pytest.fixture
async def app() -> AsyncIterator[Served]:
    async with served() as running:
        yield running


@pytest.fixture
async def proxy(app: Served) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(app.url) as between:
        yield between


@pytest.fixture(params=TRANSPORTS)
async def client(request: pytest.FixtureRequest, proxy: FaultProxy) -> AsyncIterator[Client]:
    async with connect(proxy.url, transports=(request.param,)) as connected:
        assert connected.transport == request.param
        yield connected


async def numbers(room: Room, count: int) -> list[object]:
    """Return the data of the next items; a gap stands for itself."""
    items = [await asyncio.wait_for(anext(room), 10) for _ in range(count)]
    return [item.data if isinstance(item, Publication) else item for item in items]


class TestRequests:
    async def test_a_reply_comes_back(self, client: Client) -> None:
        assert await client.request("echo", {"a": [1, None, "ä"]}) == {"a": [1, None, "ä"]}
        assert client.status == "connected"
        assert client.session_id

    async def test_requests_run_in_order(self, app: Served, client: Client) -> None:
        replies = await asyncio.gather(*(client.request("echo", n) for n in range(200)))
        assert replies == list(range(200))
        assert app.runs == list(range(200))

    async def test_a_send_returns_when_it_has_run(self, app: Served, client: Client) -> None:
        await client.send("note", 1)
        assert app.runs == [1]

    async def test_what_goes_wrong_is_told_apart(self, client: Client, caplog: pytest.LogCaptureFixture) -> None:
        with pytest.raises(Refused) as refused:
            await client.request("no")
        assert (refused.value.code, refused.value.message) == ("not_today", "come back later")
        with pytest.raises(Refused, match="unknown_event"):
            await client.request("nobody_handles_this")
        with pytest.raises(Invalid):
            await client.request("slow", "no number")
        with pytest.raises(Invalid):
            await client.request("echo", object())
        with pytest.raises(Failed):
            await client.request("broken")
        assert "a fault of the application" in caplog.text

    async def test_one_that_takes_too_long_times_out(self, client: Client) -> None:
        with pytest.raises(TimedOut):
            await client.request("slow", 0.3, timeout=0.05)
        assert await client.request("echo", "next") == "next"


class TestRooms:
    async def test_a_newcomer_gets_history_and_then_what_follows(self, app: Served, client: Client) -> None:
        await app.publish(1, 2, 3)
        room = await client.join("chat/1", history=2)
        await app.publish(4, 5)
        assert await numbers(room, 4) == [2, 3, 4, 5]
        assert room.position == client.position("chat/1")
        assert room.position is not None
        assert room.position.offset == 5

    async def test_a_position_is_where_one_goes_on(self, app: Served, client: Client) -> None:
        await app.publish(1, 2, 3)
        first = await anext(await client.join("chat/1", history=3))
        assert isinstance(first, Publication)
        async with connect(app.url) as later:
            assert await numbers(await later.join("chat/1", position=first.position), 2) == [2, 3]

    async def test_another_epoch_is_a_gap(self, app: Served, client: Client) -> None:
        await app.publish(1, 2)
        room = await client.join("chat/1", position=Position("before", 7))
        gap, *rest = await numbers(room, 3)
        assert isinstance(gap, Gap)
        assert (gap.lost, rest) == (None, [1, 2])

    async def test_a_join_need_not_be_awaited(self, app: Served, client: Client) -> None:
        await app.publish(1)
        got = []
        async for item in client.join("chat/1"):
            assert isinstance(item, Publication)
            got.append(item.data)
            if item.data == 3:
                break
            await app.publish(item.data + 1)
        assert got == [1, 2, 3]

    async def test_joining_twice_is_the_same_room(self, client: Client) -> None:
        assert await client.join("chat/1") is await client.join("chat/1")

    async def test_a_refusal_is_raised_from_both_ways_to_wait(self, client: Client) -> None:
        with pytest.raises(Refused, match="members_only"):
            await client.join("chat/secret")
        with pytest.raises(Refused, match="members_only"):
            await anext(client.join("chat/secret"))
        with pytest.raises(Refused, match="unknown_room"):
            await client.join("nowhere")

    async def test_a_client_publishes_where_it_may(self, client: Client) -> None:
        room = await client.join("chat/1")
        await room.publish("said", "hello")
        item = await anext(room)
        assert isinstance(item, Publication)
        assert (item.event, item.data, item.sender) == ("said", "hello", client.session_id)
        with pytest.raises(Refused, match="too_loud"):
            await room.publish("shout", "HELLO")
        with pytest.raises(Refused, match="not_joined"):
            await client.publish("chat/2", "said", "hello")

    async def test_leaving_ends_the_iteration(self, app: Served, client: Client) -> None:
        room = await client.join("chat/1")
        await app.publish(1)
        await eventually(lambda: room.position and room.position.offset == 1)
        await room.leave()
        await app.publish(2)
        assert [item.data async for item in room if isinstance(item, Publication)] == [1]
        again = await client.join("chat/1", history=1)
        assert again is not room
        assert await numbers(again, 1) == [2]


class TestCuts:
    async def test_nothing_is_lost_or_repeated(self, app: Served, proxy: FaultProxy, client: Client) -> None:
        room = await client.join("chat/1")
        for start in range(0, 60, 20):
            await app.publish(*range(start, start + 10))
            assert proxy.cut() > 0
            await app.publish(*range(start + 10, start + 20))
        assert await numbers(room, 60) == list(range(60))
        assert client.reconnects >= 1 or client.transport == "poll", "only a poll may be between two connections"

    async def test_a_reply_in_flight_arrives_and_its_handler_ran_once(
        self, app: Served, proxy: FaultProxy, client: Client
    ) -> None:
        request = asyncio.create_task(client.request("slow", 0.2))
        await eventually(lambda: app.runs)
        proxy.cut()
        assert await request == "done"
        assert app.runs == [0.2]

    async def test_what_is_asked_while_offline_runs_once_when_back(
        self, app: Served, proxy: FaultProxy, client: Client
    ) -> None:
        session_id = client.session_id
        await proxy.refuse()
        await client.cut()
        assert client.status == "reconnecting"
        assert client.transport is None
        requests = [asyncio.create_task(client.request("echo", n)) for n in range(3)]
        room = client.join("chat/1")
        await app.publish(1)
        await proxy.accept()
        assert await asyncio.gather(*requests) == [0, 1, 2]
        assert app.runs == [0, 1, 2]
        assert await numbers(room, 1) == [1]
        assert client.session_id == session_id

    async def test_too_much_of_it_is_refused(self, proxy: FaultProxy, client: Client) -> None:
        await proxy.refuse()
        await client.cut()
        requests = [asyncio.create_task(client.send("note", n)) for n in range(1_000)]
        await asyncio.sleep(0)
        with pytest.raises(QueueFull):
            await client.send("note", "one too many")
        requests[0].cancel()
        await asyncio.gather(requests[0], return_exceptions=True)
        requests.append(asyncio.create_task(client.send("note", "room again")))
        await proxy.accept()
        await asyncio.gather(*requests[1:])

    async def test_a_silent_line_is_given_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(attachment, "ATTEMPT_SECONDS", 0.5)
        async with (
            served(ping_seconds=0.1, grace_seconds=0.2) as app,
            FaultProxy(app.url) as proxy,
            connect(proxy.url, transports=("websocket", "sse")) as client,
        ):
            room = await client.join("chat/1")
            proxy.black_hole = True
            await app.publish(1)
            await eventually(lambda: client.status == "reconnecting")
            proxy.black_hole = False
            assert await numbers(room, 1) == [1]

    @pytest.mark.parametrize("transport", ["sse", "poll"])
    async def test_a_send_that_is_never_answered_is_repeated_and_runs_once(
        self, monkeypatch: pytest.MonkeyPatch, transport: str
    ) -> None:
        def first_answer_lost(app: App) -> App:
            lost: list[Event] = []

            async def losing(scope: Event, receive: Receive, send: Send) -> None:
                async def swallow(event: Event) -> None:
                    lost.append(event)

                if not scope.get("path", "").endswith("/send") or lost:
                    await app(scope, receive, send)
                else:
                    await app(scope, receive, swallow)
                    while (await receive())["type"] != "http.disconnect":
                        pass

            return losing

        monkeypatch.setattr(sender, "SEND_SECONDS", 0.2)
        async with served(through=first_answer_lost) as app, connect(app.url, transports=(transport,)) as client:
            assert await asyncio.wait_for(client.request("slow", 0.5), 5) == "done"
            assert app.runs == [0.5]
            assert client.reconnects == 1


class TestEnds:
    async def test_closing_says_bye_and_is_not_slow(self, app: Served) -> None:
        loop = asyncio.get_running_loop()
        for transport in TRANSPORTS:
            async with connect(app.url, transports=(transport,)) as client:
                room = await client.join("chat/1")
                started = loop.time()
            assert loop.time() - started < 0.5, transport
            assert client.status == "closed"
            await eventually(lambda: len(app.left) == len(app.connected))
            assert app.left[-1] == (client.session_id, "bye")
            with pytest.raises(ConnectionClosed):
                await anext(room)
            with pytest.raises(ConnectionClosed):
                await client.request("echo", 1)
            with pytest.raises(ConnectionClosed):
                client.join("chat/2")
            await client.close()

    async def test_a_request_in_flight_at_the_end_is_unknown_and_one_unsent_is_not(self, app: Served) -> None:
        async with FaultProxy(app.url) as proxy, connect(proxy.url) as client:
            sent = asyncio.create_task(client.request("slow", 5))
            await eventually(lambda: app.runs)
            await proxy.refuse()
            await client.cut()
            unsent = asyncio.create_task(client.request("echo", 1))
            await asyncio.sleep(0)
            await client.close()
            with pytest.raises(OutcomeUnknown):
                await sent
            with pytest.raises(ConnectionClosed):
                await unsent

    @pytest.mark.parametrize("transport", TRANSPORTS)
    async def test_being_refused_has_the_applications_code(self, app: Served, transport: str) -> None:
        with pytest.raises(Refused) as refused:
            async with connect(app.url, transports=(transport,), auth="stranger"):
                pass
        assert (refused.value.code, refused.value.message) == ("members_only", "who are you?")
        assert app.connected == []

    async def test_no_server_is_told_after_a_time_with_the_reason(self) -> None:
        with pytest.raises(TimedOut, match=r"no transport came about within 0\.5 s: connecting: .*Connect"):
            async with connect(f"http://127.0.0.1:{free_port()}/realtime", connect_seconds=0.5):
                pass

    @pytest.mark.parametrize("transport", ["websocket", "poll"])
    async def test_a_url_without_the_prefix_is_told_from_a_server_that_is_gone(
        self, app: Served, transport: str
    ) -> None:
        with pytest.raises(TimedOut, match="404; the URL ends in the prefix of the server"):
            async with connect(app.url.removesuffix("/realtime"), transports=(transport,), connect_seconds=1):
                pass

    async def test_a_client_that_fails_inside_says_so(
        self, app: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fault(*_: object) -> None:
            raise ZeroDivisionError

        async with connect(app.url) as client:
            room = await client.join("chat/1")
            monkeypatch.setattr(Room, "put", fault)
            await app.publish(1)
            with pytest.raises(ConnectionClosed, match="ZeroDivisionError"):
                await anext(room)
        assert "ZeroDivisionError" in caplog.text
