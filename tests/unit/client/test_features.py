"""The client against a real server, on each transport: state, presence, the inbox, questions and bytes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from quart import Quart

from multitransport import ConnectionClosed, MultiTransport, Refuse, Refused, Session
from multitransport.client import Client, Gap, MemberChange, Publication, Room, connect
from multitransport.testing.server import serve
from multitransport.testing.waiting import eventually

TRANSPORTS = ("websocket", "sse", "poll")
BYTES = bytes(range(256))
LARGE = BYTES * 150


class Server:
    """An application with a room of each kind; ``sessions`` are those that came, by session id."""

    def __init__(self) -> None:
        self.rt = MultiTransport()
        self.app = Quart(__name__)
        self.app.config["SECRET_KEY"] = "secret"
        self.rt.init_app(self.app)
        self.sessions: dict[str, Session] = {}
        self.url = ""
        self._declare()

    def _declare(self) -> None:
        rt = self.rt

        async def anybody(client: Session, event: str, data: Any, name: str) -> None:
            pass

        @rt.on_connect
        async def connected(client: Session, auth: Any) -> None:
            client.user_id = auth
            self.sessions[client.session_id] = client

        @rt.room("log/<name>", history=10, on_publish=anybody)
        async def log(client: Session, name: str) -> None:
            pass

        @rt.room("state/<name>", mode="state", on_publish=anybody)
        async def state(client: Session, name: str) -> None:
            pass

        @rt.room("team/<name>", presence=True)
        async def team(client: Session, name: str) -> None:
            pass

        @rt.on("echo")
        async def echo(client: Session, data: Any) -> Any:
            return data

        @rt.on("ask me")
        async def ask_me(client: Session, data: Any) -> Any:
            return await client.request("question", data, timeout=5)

    def session(self, client: Client) -> Session:
        assert client.session_id is not None
        return self.sessions[client.session_id]

    @contextlib.asynccontextmanager
    async def client(self, transport: str = "websocket", user: str | None = None) -> AsyncIterator[Client]:
        async with connect(f"{self.url}/realtime", transports=[transport], auth=user) as client:
            yield client


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    async with serve(server.app) as url:
        server.url = url
        yield server


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def next_publication(room: AsyncIterator[Publication | Gap]) -> Publication:
    async with asyncio.timeout(5):
        item = await anext(room)
    assert isinstance(item, Publication)
    return item


def metas(room: Room, member_id: str) -> list[tuple[str, Any]]:
    member = room.members.get(member_id)
    return [] if member is None else [(each.session, each.meta) for each in member.metas]


async def test_a_state_room_is_a_live_map(server: Server, transport: str) -> None:
    rt = server.rt
    await rt.publish("state/a", "set", 1, key="x")
    await rt.publish("state/a", "set", 2, key="y")
    async with server.client(transport) as client:
        room = await client.join("state/a")
        await eventually(lambda: room.state == {"x": 1, "y": 2})
        await rt.publish("state/a", "set", 3, key="x")
        await rt.publish("state/a", "gone", None, key="y", deleted=True)
        await eventually(lambda: room.state == {"x": 3})
        await client.cut()
        await rt.publish("state/a", "set", 4, key="z")
        await eventually(lambda: room.state == {"x": 3, "z": 4})
        assert room.mode == "state"
        await room.publish("set", 5, key="mine")
        await eventually(lambda: room.state.get("mine") == 5)
        await room.publish("gone", key="mine", deleted=True)
        await eventually(lambda: "mine" not in room.state)


async def test_a_state_room_yields_keys_and_ends_of_keys(server: Server, transport: str) -> None:
    async with server.client(transport) as client:
        room = await client.join("state/a")
        await server.rt.publish("state/a", "set", 1, key="x")
        first = await next_publication(room)
        await server.rt.publish("state/a", "gone", None, key="x", deleted=True)
        second = await next_publication(room)
        assert (first.key, first.deleted, first.data) == ("x", False, 1)
        assert (second.key, second.deleted, second.data) == ("x", True, None)


async def test_the_rate_of_a_state_room_can_be_changed(server: Server, transport: str) -> None:
    async with server.client(transport) as client:
        room = await client.join("state/a", max_rate=0.1)
        await server.rt.publish("state/a", "set", 1, key="x")
        await server.rt.publish("state/a", "set", 2, key="x")
        await room.set_max_rate(1000)
        await eventually(lambda: room.state == {"x": 2})
        await room.set_max_rate(None)
        with pytest.raises(ValueError, match=r"0\.001 to 1000"):
            await room.set_max_rate(0)
        with pytest.raises(ValueError, match=r"0\.001 to 1000"):
            client.join("state/b", max_rate=1001)


async def test_members_come_change_and_leave(server: Server, transport: str) -> None:
    async with server.client(transport, "ann") as ann:
        room = await ann.join("team/a")
        changes: list[MemberChange] = []
        room.on_presence(changes.append)
        await eventually(lambda: list(room.members) == ["user:ann"])
        async with server.client(user="bob") as bob:
            with_bob = await bob.join("team/a")
            await eventually(lambda: set(with_bob.members) == {"user:ann", "user:bob"})
            await with_bob.presence({"typing": True})
            await eventually(lambda: room.members["user:bob"].metas[0].meta == {"typing": True})
            member = room.members["user:bob"]
            assert (member.id, member.user) == ("user:bob", "bob")
            assert (member.metas[0].session, member.metas[0].transport) == (bob.session_id, "websocket")
        await eventually(lambda: list(room.members) == ["user:ann"])
        kinds = [change.kind for change in changes if change.member.id == "user:bob"]
        assert (kinds[0], kinds[-1], set(kinds[1:-1])) == ("joined", "left", {"changed"})
        await room.leave()
        async with server.client(user="eve") as eve:
            with_eve = await eve.join("team/a")
            await eventually(lambda: set(with_eve.members) == {"user:eve"})
        assert not any(change.member.id == "user:eve" for change in changes)


async def test_what_is_for_one_session_or_user_comes_to_the_inbox(server: Server, transport: str) -> None:
    rt = server.rt
    async with server.client(transport, "ann") as client:
        await rt.publish(rt.session(client.session_id or ""), "hi", 1)
        await rt.publish(rt.user("ann"), "hi", 2)
        assert {(await next_publication(client.inbox)).data for _ in range(2)} == {1, 2}
        await client.cut()
        await rt.publish(rt.user("ann"), "hi", 3)
        assert (await next_publication(client.inbox)).data == 3
    with pytest.raises(ConnectionClosed):
        await anext(client.inbox)


async def test_the_server_puts_a_session_in_a_room_and_out_of_it(server: Server, transport: str) -> None:
    async with server.client(transport, "ann") as client:
        appeared: asyncio.Queue[Room] = asyncio.Queue()
        client.on_room(appeared.put)
        await server.rt.join("log/a", user="ann")
        await server.rt.publish("log/a", "said", "hello")
        async with asyncio.timeout(5):
            room = await appeared.get()
        assert room.name == "log/a"
        assert client.join("log/a") is room
        assert (await next_publication(room)).data == "hello"
        await server.rt.leave("log/a", user="ann")
        with pytest.raises(Refused, match="removed"):
            await next_publication(room)
        assert not client.rooms
        await client.cut()
        await client.request("echo", None)
        assert not client.rooms


async def test_the_server_asks(server: Server, transport: str) -> None:
    async with server.client(transport) as client:

        @client.on("plain")
        def plain(data: int) -> int:
            return data + 1

        @client.on("later")
        async def later(data: bytes) -> bytes:
            await asyncio.sleep(0)
            return data[::-1]

        @client.on("refused")
        def refused(data: Any) -> None:
            raise Refuse("not_now", "busy with tea")

        client.handle("unsayable", lambda _: object())

        session = server.session(client)
        assert await session.request("plain", 1) == 2
        assert await session.request("later", BYTES) == BYTES[::-1]
        for event, code in (("refused", "not_now"), ("nobody", "unknown_event"), ("unsayable", "invalid")):
            with pytest.raises(Exception, match=code):
                await session.request(event, None)


async def test_a_handler_that_fails_tells_no_details(
    server: Server, transport: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with server.client(transport) as client:

        @client.on("broken")
        def broken(data: Any) -> None:
            raise KeyError("secret")

        with pytest.raises(Exception, match="failed: the handler raised"):
            await server.session(client).request("broken", None)
    assert "the handler of 'broken' failed" in caplog.text


async def test_a_handler_may_ask_its_own_client_however_much_waits(server: Server, transport: str) -> None:
    async with server.client(transport) as client:
        client.handle("question", lambda data: data * 2)
        asked = [asyncio.create_task(client.request("ask me", number)) for number in range(80)]
        assert await asyncio.gather(*asked) == [2 * number for number in range(80)]


async def test_bytes_are_bytes(server: Server, transport: str) -> None:
    async with server.client(transport) as client:
        room = await client.join("log/a")
        await server.rt.publish("log/a", "blob", BYTES)
        assert (await next_publication(room)).data == BYTES
        await room.publish("blob", memoryview(BYTES))
        publication = await next_publication(room)
        assert (publication.data, publication.sender) == (BYTES, client.session_id)
        answers = await asyncio.gather(*(client.request("echo", data) for data in (1, b"", BYTES, "text", LARGE)))
        assert answers == [1, b"", BYTES, "text", LARGE]


async def test_a_volatile_publication_has_no_position(server: Server, transport: str) -> None:
    async with server.client(transport) as client:
        room = await client.join("log/a")
        before = room.position

        async def publish() -> None:
            while True:  # Nobody is owed it: who is between two polls misses it.
                await server.rt.publish("log/a", "cursor", 1, volatile=True)
                await asyncio.sleep(0.01)

        publishing = asyncio.create_task(publish())
        publication = await next_publication(room)
        publishing.cancel()
        assert (publication.data, publication.position) == (1, None)
        assert room.position == before


async def test_what_it_excludes_is_passed_over(server: Server, transport: str) -> None:
    async with server.client(transport) as client:
        room = await client.join("log/a")
        await server.rt.publish("log/a", "said", 1, exclude=client.session_id)
        position = await server.rt.publish("log/a", "said", 2)
        assert (await next_publication(room)).data == 2
        assert room.position == position


async def test_a_page_that_was_rendered_goes_on_from_its_position(server: Server, transport: str) -> None:
    await server.rt.publish("log/a", "said", 1)
    page = await server.rt.read("log/a", history=1)
    await server.rt.publish("log/a", "said", 2)
    async with server.client(transport) as client:
        room = await client.join("log/a", position=page.position)
        assert (await next_publication(room)).data == 2
        other = await client.join("log/b", position=(await server.rt.read("log/b")).position)
        await client.cut()
        await server.rt.publish("log/b", "said", 3)
        assert (await next_publication(other)).data == 3


async def test_a_session_of_its_own_begins_where_the_former_was(server: Server, transport: str) -> None:
    async with server.client(transport, "ann") as client, server.client(user="bob") as bob:
        watched = await bob.join("team/a")
        changes: list[MemberChange] = []
        watched.on_presence(changes.append)
        team, state = await client.join("team/a"), await client.join("state/a")
        await team.presence("here")
        await server.rt.publish("state/a", "set", 1, key="x")
        await server.rt.publish("state/a", "set", 2, key="y")
        await eventually(lambda: state.state == {"x": 1, "y": 2} and len(team.members) == 2)
        former = client.session_id
        await server.rt.disconnect(session=former, code=4000, reason="again")
        await server.rt.publish("state/a", "gone", None, key="y", deleted=True)
        await eventually(lambda: client.status == "connected" and client.session_id != former)
        await eventually(lambda: state.state == {"x": 1})
        await eventually(lambda: metas(watched, "user:ann") == [(client.session_id, "here")])
        await eventually(lambda: team.members == watched.members)
        await server.rt.publish(server.rt.session(client.session_id or ""), "hi", 1)
        assert (await next_publication(client.inbox)).data == 1


async def test_what_is_asked_while_the_client_is_away_is_answered_once(server: Server, transport: str) -> None:
    async with server.client(transport) as client:
        asked: list[Any] = []
        client.handle("note", asked.append)
        session = server.session(client)
        await session.request("note", 0)
        await client.cut()
        assert await asyncio.gather(*(session.request("note", number) for number in range(1, 4))) == [None] * 3
        await client.cut()
        await session.request("note", 4)
        assert asked == [0, 1, 2, 3, 4]
