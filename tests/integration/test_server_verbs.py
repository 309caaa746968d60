"""What an application writes to publish, ask, move and see who is there, through a real Quart application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, assert_type

import pytest
from quart import Quart

from multitransport import (
    Answers,
    Call,
    ConfigurationError,
    ConnectionClosed,
    Invalid,
    Member,
    MultiTransport,
    Namespace,
    Position,
    Refuse,
    Refused,
    RoomPage,
    Session,
    TimedOut,
)
from multitransport.client import Client, Publication, Room
from multitransport.testing.waiting import eventually

TRANSPORTS = ["websocket", "sse", "poll"]
BYTES = bytes(range(256))


def application() -> tuple[Quart, MultiTransport]:
    """Return an application with a room of each kind."""
    app, rt = Quart("app"), MultiTransport()
    app.secret_key = "of the tests"

    @rt.room("team/<id>", presence=True, history=5)
    async def team(client: Session, id: str) -> None:
        """Let everybody in."""

    @rt.room("cpu", mode="state", max_keys=3)
    async def cpu(client: Session) -> None:
        """Let everybody in."""

    @rt.room("secret")
    async def secret(client: Session) -> None:
        raise Refuse

    @rt.on("rename")
    async def rename(client: Session, data: str) -> None:
        await client.presence("team/1", {"name": data})

    @rt.on("confirm")
    async def confirm(client: Session, data: Any) -> Any:
        return await client.request("sure?", data)

    rt.init_app(app)
    return app, rt


async def heard(items: AsyncIterator[Any]) -> Any:
    async with asyncio.timeout(10):
        item = await anext(items)
    assert isinstance(item, Publication)
    return item.data


def names(room: Room) -> dict[str, list[Any]]:
    return {key: [meta.meta for meta in member.metas] for key, member in room.members.items()}


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_who_is_there_is_seen_by_clients_and_by_the_server(transport: str) -> None:
    app, rt = application()
    async with app.test_app(), rt.test_client(user="ann", transport=transport) as ann:
        async with rt.test_client(user="bob") as bob:
            room, other = await ann.join("team/1"), await bob.join("team/1")
            await eventually(lambda: names(room) == names(other) == {"user:ann": [None], "user:bob": [None]})
            await bob.request("rename", "Bob")
            await room.presence({"name": "Ann"})
            expected = {"user:ann": [{"name": "Ann"}], "user:bob": [{"name": "Bob"}]}
            await eventually(lambda: names(room) == names(other) == expected)
            members = assert_type(await rt.members("team/1"), list[Member])
            assert {(each.user, each.metas[0].transport) for each in members} == {
                ("ann", transport),
                ("bob", "websocket"),
            }
        await eventually(lambda: list(names(room)) == ["user:ann"])
    with pytest.raises(Exception, match="not running"):
        await rt.members("team/1")


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_bytes_reach_a_room_of_mixed_transports(transport: str) -> None:
    app, rt = application()
    async with app.test_app(), rt.test_client(transport=transport) as one, rt.test_client() as other:
        rooms = [await each.join("team/1") for each in (one, other)]
        await rt.publish("team/1", "image", BYTES)
        assert [await heard(room) for room in rooms] == [BYTES, BYTES]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_the_server_asks_a_client_within_its_own_handler(transport: str) -> None:
    app, rt = application()
    async with app.test_app(), rt.test_client(transport=transport) as client:

        @client.on("sure?")
        async def sure(data: Any) -> Any:
            return [data, BYTES.hex()] if data != "bytes" else BYTES

        assert await client.request("confirm", 1) == [1, BYTES.hex()]
        assert await client.request("confirm", "bytes") == BYTES


async def test_a_room_is_asked() -> None:
    app, rt = application()
    async with app.test_app(), rt.test_client() as one, rt.test_client() as two, rt.test_client() as three:
        for each in (one, two, three):
            await each.join("team/1")
        one.handle("vote", lambda data: f"{data}: yes")

        @two.on("vote")
        async def late(data: Any) -> None:
            await asyncio.Event().wait()

        answers = assert_type(await rt.request_all("team/1", "vote", "lunch", timeout=2.0), Answers)
        assert answers.answers == {one.session_id: "lunch: yes"}
        assert {key: error.code for key, error in answers.errors.items()} == {three.session_id: "unknown_event"}
        assert answers.missing == [two.session_id]


async def test_users_are_moved_told_and_sent_away() -> None:
    app, rt = application()
    async with app.test_app(), rt.test_client(user="ann") as ann, rt.test_client(user="bob") as bob:
        await rt.join("secret", user="ann")
        await eventually(lambda: "secret" in ann.rooms)
        secret = ann.rooms["secret"]
        await rt.publish("secret", "psst", 1)
        assert await heard(secret) == 1
        await rt.leave("secret", user="ann")
        with pytest.raises(Refused) as taken_out:
            await anext(secret)
        assert taken_out.value.code == "removed"
        await rt.publish(rt.user("bob"), "hint", "for bob")
        assert await heard(bob.inbox) == "for bob"
        assert ann.session_id is not None
        await rt.publish(rt.session(ann.session_id), "hint", "for ann")
        assert await heard(ann.inbox) == "for ann"
        room = await ann.join("team/1")
        await rt.disconnect(user="ann", code=4501, reason="closed for today")
        with pytest.raises(ConnectionClosed) as closed:
            await anext(room)
        assert (closed.value.code, closed.value.reason) == (4501, "closed for today")
        assert bob.status == "connected"


async def test_the_ways_to_publish() -> None:
    app, rt = application()
    async with app.test_app(), rt.test_client() as one, rt.test_client() as other:
        rooms = [await each.join("team/1") for each in (one, other)]
        first = assert_type(await rt.publish("team/1", "said", 1, exclude=one.session_id), Position)
        assert assert_type(await rt.publish("team/1", "typing", 2, volatile=True), Position | None) is None
        again = [await rt.publish("team/1", "said", 3, id="order 7") for _ in range(2)]
        many = assert_type(await rt.publish(["team/1", "team/2"], "said", 4), list[Position | None])
        assert (again[0], [each and each.offset for each in many]) == (again[1], [3, 1])
        assert sorted([await heard(rooms[0]) for _ in range(3)]) == [2, 3, 4]
        assert sorted([await heard(rooms[1]) for _ in range(4)]) == [1, 2, 3, 4]
        assert first.offset == 1
        cpu = await one.join("cpu")
        await rt.publish("cpu", "load", 0.5, key="cpu0")
        await eventually(lambda: dict(cpu.state) == {"cpu0": 0.5})
        await rt.publish("cpu", "gone", None, key="cpu0", deleted=True)
        await eventually(lambda: dict(cpu.state) == {})


async def test_a_plain_view_publishes_with_all_options_from_its_thread() -> None:
    app, rt = application()

    @app.get("/load")
    def load() -> str:
        positions = [rt.publish_from_thread("cpu", "load", 1, key="cpu0", id="x") for _ in range(2)]
        return str([position.offset for position in positions])

    async with rt.test_client() as client:
        room = await client.join("cpu")
        assert await (await app.test_client().get("/load")).get_data(as_text=True) == "[1, 1]"
        await eventually(lambda: dict(room.state) == {"cpu0": 1})


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_page_is_rendered_with_its_position_and_continued_without_a_gap(transport: str) -> None:
    app, rt = application()
    async with app.test_app(), rt.test_client(transport=transport) as client:
        await rt.publish("team/1", "said", "on the page")
        page = assert_type(await rt.read("team/1"), RoomPage)
        await rt.publish("team/1", "said", "while it loads")
        room = await client.join("team/1", position=page.position)
        assert ([each.data for each in page.publications], await heard(room)) == (["on the page"], "while it loads")


async def test_a_question_to_a_client_that_is_away_waits_for_it() -> None:
    app, rt = application()
    sessions: dict[str, Session] = {}

    @rt.on_connect
    async def connect(client: Session) -> None:
        sessions[client.session_id] = client

    async with app.test_app(), rt.test_client() as client:
        client.handle("still there?", lambda data: True)
        session = sessions[client.session_id or ""]
        asking = asyncio.create_task(session.request("still there?"))
        await client.cut()
        assert await asking is True
        with pytest.raises(Refused, match="no handler"):
            await session.request("other", timeout=5)
        client.handle("slow", lambda data: asyncio.Event().wait())
        with pytest.raises(TimedOut):
            await session.request("slow", timeout=0.05)


# Namespaces and middleware


def chat_namespace() -> Namespace:
    chat = Namespace("chat")

    @chat.on_connect
    async def members_only(client: Session) -> None:
        if client.user_id is None:
            raise Refuse("members_only", "Log in to chat.")

    @chat.room("<id>", history=10)
    async def join(client: Session, id: str) -> None:
        """Let every member in."""

    @chat.on("say")
    async def say(client: Session, data: list[str]) -> str:
        return " ".join(data)

    return chat


def factory(chat: Namespace) -> tuple[Quart, MultiTransport]:
    app, rt = Quart("app"), MultiTransport()
    rt.init_app(app)
    rt.register(chat)
    return app, rt


async def test_one_namespace_in_applications_of_a_factory() -> None:
    chat = chat_namespace()
    for _ in range(2):
        app, rt = factory(chat)
        async with app.test_app(), rt.test_client(user="ann") as ann, rt.test_client() as stranger:
            room = await ann.join("chat/1")
            await rt.publish("chat/1", "said", "hello")
            assert await heard(room) == "hello"
            assert await ann.request("chat/say", ["a", "b"]) == "a b"
            with pytest.raises(Refused) as refused:
                await stranger.join("chat/1")
            assert (refused.value.code, refused.value.message) == ("members_only", "Log in to chat.")
            with pytest.raises(Refused):
                await stranger.request("chat/say", ["a"])
        with pytest.raises(ConfigurationError, match="registered already"):
            rt.register(chat)


async def test_a_middleware_counts_refuses_and_sees_results() -> None:
    app, rt = application()
    seen: list[Any] = []

    @rt.middleware
    async def audit(client: Session, call: Call, proceed: Callable[[], Awaitable[Any]]) -> Any:
        if call.name == "cpu":
            raise Refuse("not_today")
        result = await proceed()
        seen.append((call.kind, call.name, result))
        return result

    @rt.on("double")
    async def double(client: Session, data: int) -> int:
        return 2 * data

    async with app.test_app(), rt.test_client() as client:
        await client.join("team/1")
        assert await client.request("double", 4) == 8
        with pytest.raises(Refused) as refused:
            await client.join("cpu")
        with pytest.raises(Invalid):
            await client.request("double", "x")
    assert refused.value.code == "not_today"
    assert seen == [("join", "team/1", None), ("send", "double", 8)]


def test_decorated_functions_keep_their_types() -> None:
    rt, chat = MultiTransport(), Namespace("chat")

    @rt.middleware
    async def middleware(client: Session, call: Call, proceed: Callable[[], Awaitable[Any]]) -> str:
        return call.kind

    @chat.on("say", concurrent=True)
    async def say(client: Session, data: int) -> int:
        return data

    @chat.room("<int:id>", mode="state", slow="disconnect")
    def join(client: Session, id: int) -> bool:
        return id > 0

    async def typed(client: Session, proceed: Callable[[], Awaitable[Any]]) -> None:
        assert_type(join(client, 1), bool)
        assert_type(await say(client, 1), int)
        assert_type(await middleware(client, Call("join", "a"), proceed), str)

    assert callable(typed)
    assert rt.middlewares == [middleware]


async def test_a_model_is_read_and_what_is_wrong_with_it_is_told() -> None:
    pydantic = pytest.importorskip("pydantic")
    model = pydantic.create_model("Order", item=(str, ...), count=(int, 1))
    app, rt = application()

    async def order(client: Session, data: Any) -> list[Any]:
        return [data.item, data.count]

    async def echo(client: Session, data: Any) -> Any:
        return data

    for function in (order, echo):
        function.__annotations__["data"] = model
        rt.on(function.__name__)(function)
    async with app.test_app(), rt.test_client() as client:
        assert await client.request("order", {"item": "tea", "count": "2"}) == ["tea", 2]
        assert await client.request("echo", {"item": "tea"}) == {"item": "tea", "count": 1}
        room = await client.join("team/1")
        await rt.publish("team/1", "ordered", {"orders": [model(item="tea")]})
        assert await heard(room) == {"orders": [{"item": "tea", "count": 1}]}
        with pytest.raises(Invalid, match=r"\$\.item"):
            await client.request("order", {"count": 1})


def test_a_client_is_of_the_library() -> None:
    """Pin what ``rt.test_client`` gives."""

    async def use(rt: MultiTransport) -> None:
        async with rt.test_client() as client:
            assert_type(client, Client)

    assert callable(use)
