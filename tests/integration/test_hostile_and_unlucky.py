"""What is rare or meant badly: handlers that raise the unexpected, floods, lost welcomes, stops in the middle."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec
import pytest
import websockets
from quart import Quart

from multitransport import Failed, MultiTransport, Refuse, Refused, Session
from multitransport.node.attachment import Close
from multitransport.protocol.codes import CloseCode
from multitransport.testing.server import serve
from multitransport.testing.waiting import eventually

NDJSON = {"content-type": "application/x-ndjson"}


class Fussy(msgspec.Struct):
    name: str

    def __post_init__(self) -> None:
        raise LookupError(self.name)


def app_of(rt: MultiTransport, **config: Any) -> Quart:
    app = Quart("hostile")
    app.secret_key = "of the tests"
    app.config.update({f"MULTITRANSPORT_{name.upper()}": value for name, value in config.items()})
    rt.init_app(app)
    return app


def node_of(app: Quart) -> Any:
    return app.extensions["multitransport"].running.node


def hello(attach: int = 1, **options: Any) -> str:
    return json.dumps(["hello", {"v": 1, "new": secrets.token_urlsafe(16), "attach": attach, **options}])


@asynccontextmanager
async def socket(url: str, *messages: str) -> AsyncIterator[websockets.ClientConnection]:
    async with websockets.connect(f"{url.replace('http', 'ws', 1)}/realtime/websocket") as one:
        for message in messages:
            await one.send(message)
        yield one


async def closed(one: websockets.ClientConnection) -> tuple[int | None, str | None]:
    await asyncio.wait_for(one.wait_closed(), 5)
    return one.close_code, one.close_reason


async def test_whatever_a_handler_does_its_request_ends_and_the_next_one_runs(caplog: pytest.LogCaptureFixture) -> None:
    rt = MultiTransport()
    app = app_of(rt)

    @rt.on("number")
    async def number(client: Session, data: Any) -> None:
        raise Refuse(403)  # type: ignore[arg-type] # as somebody will write it

    @rt.on("object")
    async def object_(client: Session, data: Any) -> None:
        raise Refuse("nope", ValueError("why"))  # type: ignore[arg-type]

    @rt.on("surrogate")
    async def surrogate(client: Session, data: Any) -> None:
        raise Refuse("nope", "\ud800")

    @rt.on("cancelled")
    async def cancelled(client: Session, data: Any) -> None:
        other = asyncio.ensure_future(asyncio.sleep(60))
        other.cancel()
        await other

    @rt.on("fussy")
    async def fussy(client: Session, data: Fussy) -> None:
        """Its payload refuses to be made."""

    @rt.on("echo")
    async def echo(client: Session, data: Any) -> Any:
        return data

    async with app.test_app(), rt.test_client() as client:
        for event, code in [("number", "403"), ("object", "nope"), ("surrogate", "nope")]:
            with pytest.raises(Refused) as refused:
                await client.request(event, None, timeout=5)
            assert refused.value.code == code
        for event in ("cancelled", "fussy"):
            with pytest.raises(Failed, match="reference"):
                await client.request(event, {"name": "x"}, timeout=5)
        assert await client.request("echo", 1, timeout=5) == 1
    assert not [record for record in caplog.records if "never retrieved" in record.getMessage()]


async def test_a_message_of_too_many_frames_is_refused_before_they_are_decoded() -> None:
    rt = MultiTransport()
    async with serve(app_of(rt)) as url, httpx.AsyncClient(base_url=f"{url}/realtime/") as http:
        answer = await http.post("poll", headers=NDJSON, content="[1]\n" * 250_000)
        assert (answer.status_code, answer.json()[1]) == (400, 3503)
        async with socket(url, hello(), "[1]\n" * 1_000 + '["bye"]') as one:
            assert (await closed(one))[0] == 3503


async def test_hellos_with_many_rooms_pile_nothing_up() -> None:
    rt = MultiTransport()
    app = app_of(rt, max_session_rooms=20)
    release = asyncio.Event()

    @rt.room("slow/<int:n>")
    async def slow(client: Session, n: int) -> None:
        await release.wait()

    rooms: dict[str, Any] = {f"slow/{n}": {} for n in range(20)}
    async with serve(app) as url:
        async with socket(url, hello(rooms={**rooms, "slow/20": {}})) as one:
            assert (await closed(one))[0] == 3503
        assert not node_of(app).sessions
        new = secrets.token_urlsafe(16)
        for attach in range(1, 6):
            async with socket(url, hello(attach, new=new, rooms=rooms)) as one:
                await one.recv()
        [client] = node_of(app).sessions.values()
        assert len(client.jobs) <= 20
        release.set()
        await eventually(lambda: len(client.rooms) == 20)


async def test_the_deadline_of_a_superseded_transport_does_not_end_the_session() -> None:
    rt = MultiTransport()
    app, ended = app_of(rt, hello_seconds=0.6, close_seconds=5.0), []

    @rt.on_disconnect
    async def gone(client: Session, reason: str) -> None:
        ended.append(reason)

    new = secrets.token_urlsafe(16)
    async with serve(app) as url, socket(url, hello(new=new)) as lost:
        await lost.recv()
        [client] = node_of(app).sessions.values()
        former = client.attachment
        async with socket(url, hello(2, new=new), '["pong",1]') as one:
            await eventually(lambda: client.attachment is not former and client.state.value == "attached")
            # Past the first one's deadline, by what the server's own clock says of it.
            loop = asyncio.get_running_loop()
            late = loop.time() + 1.0
            await eventually(lambda: loop.time() > late)
            await one.send('["ping",7]')
            told = ""
            while '["pong",7' not in told:
                told = str(await asyncio.wait_for(one.recv(), 5))
            assert (ended, node_of(app).sessions == {client.session_id: client}) == ([], True)


async def test_a_room_that_was_joined_between_two_polls_is_news() -> None:
    rt = MultiTransport()
    app = app_of(rt)
    release = asyncio.Event()

    @rt.room("late")
    async def late(client: Session) -> None:
        await release.wait()

    async with serve(app) as url, httpx.AsyncClient(base_url=f"{url}/realtime/", headers=NDJSON) as http:
        new = secrets.token_urlsafe(16)
        rooms: dict[str, Any] = {"late": {}}
        first = await http.post("poll", content=hello(1, new=new, rooms=rooms))
        token = json.loads(first.text.split("\n")[0])[1]["token"]
        release.set()
        [client] = node_of(app).sessions.values()
        await eventually(lambda: client.rooms == {"late"})
        second = await http.post("poll", content=hello(2, new=new, token=token, rooms=rooms), timeout=5)
        assert [json.loads(line)[0] for line in second.text.split("\n")] == ["welcome", "ack", "joined"]


async def test_the_connect_check_of_a_resume_knows_the_session_and_may_change_its_data() -> None:
    rt = MultiTransport()
    app, seen, role = app_of(rt), [], ["admin"]

    @rt.on_connect
    async def check(client: Session) -> None:
        seen.append((client.session_id, client.resumed, dict(client.data)))
        client.data["role"] = role[-1]

    @rt.on("role")
    async def asked(client: Session, data: Any) -> Any:
        return [client.data["role"], client.resumed, client.session_id]

    async with app.test_app(), rt.test_client() as client:
        made = await client.request("role", None)
        role.append("guest")
        await client.cut()
        resumed = await client.request("role", None)
    session_id = made[2]
    assert (made, resumed) == (["admin", False, session_id], ["guest", True, session_id])
    assert seen == [(session_id, False, {}), (session_id, True, {"role": "admin"})]


async def test_a_user_is_settled_once_the_connect_check_is_over() -> None:
    rt = MultiTransport()
    app = app_of(rt)

    @rt.on("become")
    async def become(client: Session, data: str) -> None:
        client.user_id = data

    async with app.test_app(), rt.test_client(user="ann") as client:
        with pytest.raises(Failed):
            await client.request("become", "bob")
        [session] = node_of(app).sessions.values()
        assert session.user_id == "ann"


async def test_a_stop_announces_each_session_once_and_after_its_handler() -> None:
    rt = MultiTransport()
    app = app_of(rt)
    told: list[tuple[str, str]] = []
    started = asyncio.Event()

    @rt.on("long")
    async def long(client: Session, data: str) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            told.append(("handler", "over"))

    @rt.on_disconnect
    async def gone(client: Session, reason: str) -> None:
        told.append(("begin", reason))
        await asyncio.sleep(0)
        told.append(("end", reason))

    async with app.test_app(), rt.test_client() as client:
        asking = asyncio.create_task(client.send("long", ""))
        await started.wait()
        node = node_of(app)
        [session] = node.sessions.values()
        node.end(session, "bye")  # and the stop comes before its callbacks have run
        await node.stop()
        asking.cancel()
    assert told == [("handler", "over"), ("begin", "bye"), ("end", "bye")]


async def test_rooms_that_hold_nothing_make_room_for_others() -> None:
    rt = MultiTransport()
    app = app_of(rt, max_rooms=10)

    @rt.room("any/<name>")
    async def anyone(client: Session, name: str) -> None:
        """Everybody may join."""

    async with app.test_app():
        async with rt.test_client() as client:
            for number in range(10):
                await client.join(f"any/{number}")
        await eventually(lambda: not node_of(app).sessions)
        await node_of(app).hub.sweep()
        assert (await rt.publish("any/other", "said", 1)).offset == 1


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:The `websockets` implementation")
@pytest.mark.parametrize("implementation", ["websockets", "wsproto"])
async def test_uvicorn_closes_with_the_code_whatever_carries_its_websockets(
    implementation: str, caplog: pytest.LogCaptureFixture
) -> None:
    import uvicorn

    rt = MultiTransport()
    app = app_of(rt)
    config = uvicorn.Config(app, port=0, ws=implementation, log_level="error", lifespan="on")
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    try:
        port = server.servers[0].sockets[0].getsockname()[1]
        async with socket(f"http://127.0.0.1:{port}", hello()) as one:
            await one.recv()
            [client] = node_of(app).sessions.values()
            assert client.attachment is not None
            client.attachment.close(Close(CloseCode.GOING_AWAY, "it stops"))
            assert (await closed(one))[0] == 3000
    finally:
        await server.shutdown()
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize(("content_type", "answered"), [("application/x-ndjson", 413), ("text/plain", 415)])
async def test_who_sends_far_too_much_is_read_to_the_end_and_sees_the_answer(content_type: str, answered: int) -> None:
    piece = b"x" * 65_536
    pieces = 128
    async with serve(app_of(MultiTransport())) as url, asyncio.timeout(20):
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        head = f"POST /realtime/poll HTTP/1.1\r\nhost: x\r\ncontent-type: {content_type}\r\n"
        writer.write(f"{head}content-length: {pieces * len(piece)}\r\n\r\n".encode())
        for _ in range(pieces):
            writer.write(piece)
            await writer.drain()
        assert (await reader.readline()).startswith(b"HTTP/1.1 %d" % answered)
        writer.close()


async def test_nobody_is_read_for_ever() -> None:
    async with serve(app_of(MultiTransport())) as url, asyncio.timeout(20):
        _, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(b"POST /realtime/poll HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-ndjson\r\n")
        writer.write(b"transfer-encoding: chunked\r\n\r\n")

        async def write_on() -> None:
            for _ in range(1_000):
                writer.write(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
                await writer.drain()

        with pytest.raises(ConnectionError):
            await write_on()
        writer.close()
