"""The extension in real applications: contexts, lifespans, factories, several applications, prefixes."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
import quart_auth
from hypercorn.config import Config
from quart import Quart, abort, current_app, g, request, session

from multitransport import ConfigurationError, MultiTransport, MultiTransportError, Refused, Session
from multitransport.client import Publication, Room, connect
from multitransport.testing.server import serve
from multitransport.testing.waiting import eventually
from tests.redis_server import RedisServer

TRANSPORTS = ["websocket", "sse", "poll"]


def make(rt: MultiTransport, name: str = "app", **config: Any) -> Quart:
    app = Quart(name)
    app.secret_key = "of the tests"
    app.config.update(config)

    @app.post("/login/<user>")
    async def login(user: str) -> str:
        session["user"] = user
        return ""

    rt.init_app(app)
    return app


def hall(rt: MultiTransport) -> MultiTransport:
    @rt.room("hall", history=10)
    async def join_hall(client: Session) -> None:
        """Everybody may join."""

    return rt


async def heard(room: Room) -> Any:
    publication = await anext(room)
    assert isinstance(publication, Publication)
    return publication.data


def sessions_of(app: Quart) -> dict[str, Session]:
    sessions: dict[str, Session] = app.extensions["multitransport"].running.node.sessions
    return sessions


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_the_connect_check_sees_the_request_on_every_transport(transport: str) -> None:
    rt, seen = MultiTransport(), []
    app = make(rt)

    @rt.on_connect
    async def check(client: Session) -> None:
        seen.append((session["user"], request.headers["X-Trace"], request.method, request.endpoint, request.is_secure))
        client.user_id = session["user"]

    browser = app.test_client()
    await browser.post("/login/ann")
    async with rt.test_client(cookies=browser, headers={"X-Trace": "7"}, transport=transport) as client:
        assert [one.user_id for one in sessions_of(app).values()] == ["ann"]
        assert client.transport == transport
    assert set(seen) == {("ann", "7", "GET", f"multitransport.{transport}", False)}


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_each_session_has_the_current_user_of_its_own_cookie(transport: str) -> None:
    rt = MultiTransport()
    app = make(rt)
    auth = quart_auth.QuartAuth(app, cookie_secure=False)

    @rt.on_connect
    async def check(client: Session) -> None:
        client.user_id = quart_auth.current_user.auth_id

    @rt.on("whoami")
    async def whoami(client: Session, data: None) -> str | None:
        return client.user_id

    async with serve(app) as url:
        for user in ("ann", "bob"):
            cookies = {str(auth.cookie_name): auth.dump_token(user, app)}
            async with connect(f"{url}/realtime", cookies=cookies, transports=(transport,)) as client:
                assert await client.request("whoami") == user


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_before_request_function_refuses_before_anything_is_made(transport: str) -> None:
    rt = MultiTransport()
    app = make(rt)

    @rt.on_connect
    async def check(client: Session) -> None:
        pytest.fail("the connect check must not run")

    @app.before_request
    async def only_members() -> None:
        if "user" not in session:
            abort(401, "log in first")

    async with app.test_app():
        with pytest.raises(Refused, match="log in first") as refused:
            async with rt.test_client(transport=transport):
                pytest.fail("it must not connect")
        assert refused.value.code == "unauthorized"
        assert sessions_of(app) == {}


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_the_connect_check_may_abort_and_teardown_functions_run(transport: str) -> None:
    rt, torn_down = MultiTransport(), []
    app = make(rt)

    @app.teardown_request
    async def teardown(error: BaseException | None) -> None:
        torn_down.append(error)

    @rt.on_connect
    def check(client: Session, auth: Any) -> None:
        if auth != "please":
            abort(403)

    async with app.test_app():
        with pytest.raises(Refused) as refused:
            async with rt.test_client(transport=transport):
                pytest.fail("it must not connect")
        assert refused.value.code == "forbidden"
        async with rt.test_client(transport=transport, auth="please"):
            assert len(sessions_of(app)) == 1
    assert set(torn_down) == {None}
    assert len(torn_down) >= 2


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_handlers_and_checks_run_in_an_application_context_of_their_own(transport: str) -> None:
    rt, seen = MultiTransport(), []
    app = make(rt)

    def look() -> None:
        seen.append((current_app.name, hasattr(g, "mark")))
        g.mark = True

    @app.before_serving
    async def startup() -> None:
        look()

    @rt.on_connect
    async def check(client: Session) -> None:
        look()

    @rt.room("hall")
    async def join_hall(client: Session) -> None:
        look()

    @rt.on("greet")
    def greet(client: Session, data: str) -> str:
        look()
        return f"hello {data}"

    @rt.on_disconnect
    async def bye(client: Session, reason: str) -> None:
        look()

    async with app.app_context():
        g.mark = True
        async with app.test_app():
            async with rt.test_client(transport=transport) as client:
                await client.join("hall")
                assert await client.request("greet", "ann") == "hello ann"
            await eventually(lambda: len(seen) == 5)
    assert seen == [("app", False)] * 5


async def test_a_plain_function_publishes_from_its_thread() -> None:
    rt = hall(MultiTransport())
    app = make(rt)

    @app.get("/publish")
    def view() -> str:
        position = rt.publish_from_thread("hall", "said", "by a view")
        return str(position.offset)

    @rt.on("say")
    def say(client: Session, data: str) -> int:
        return rt.publish_from_thread("hall", "said", data).offset

    async with rt.test_client() as client:
        room = await client.join("hall")
        assert await (await app.test_client().get("/publish")).get_data(as_text=True) == "1"
        assert await client.request("say", "by a handler") == 2
        assert [await heard(room) for _ in range(2)] == ["by a view", "by a handler"]


async def test_publishing_where_it_cannot_be_is_said() -> None:
    rt = hall(MultiTransport())
    app = make(rt)
    with pytest.raises(MultiTransportError, match="not running"):
        await rt.publish("hall", "said", 1)
    with pytest.raises(MultiTransportError, match="not running"):
        await asyncio.to_thread(rt.publish_from_thread, "hall", "said", 1)
    async with app.test_app():
        with pytest.raises(MultiTransportError, match=r"await rt\.publish"):
            rt.publish_from_thread("hall", "said", 1)
        assert (await rt.publish("hall", "said", 1)).offset == 1
        assert await asyncio.to_thread(lambda: asyncio.run(rt.publish("hall", "said", 2)).offset) == 2


async def test_what_is_waited_for_while_the_application_stops_may_publish() -> None:
    async with RedisServer() as redis:
        for broker, waited_for in [("memory", ["callback stopped"]), (redis.url, ["handler"])]:
            assert await published_while_stopping(broker) == waited_for


async def published_while_stopping(broker: str) -> list[str]:
    rt = hall(MultiTransport(broker=broker))
    app = make(rt)
    begun = asyncio.Event()
    published: list[str] = []

    async def publish(what: str) -> None:
        await rt.publish("hall", "said", what)
        published.append(what)

    @rt.on("slow")
    async def slow(client: Session, data: Any) -> None:
        begun.set()
        await eventually(lambda: app.extensions["multitransport"].running.node.draining)
        await publish("handler")

    @rt.on_disconnect
    async def bye(client: Session, reason: str) -> None:
        await publish(f"callback {reason}")

    async with AsyncExitStack() as stack:
        async with app.test_app():
            client = await stack.enter_async_context(rt.test_client())
            asking = asyncio.create_task(client.request("slow"))
            stack.callback(asking.cancel)
            await begun.wait()
        with pytest.raises(MultiTransportError, match="not running"):
            await rt.publish("hall", "said", "too late")
    return published


async def test_one_declaration_serves_two_applications() -> None:
    rt = hall(MultiTransport(ping_seconds=7.0))
    one, two = make(rt, "one"), make(rt, "two", MULTITRANSPORT_PING_SECONDS=9.0, MULTITRANSPORT_PREFIX="/live")
    async with one.test_app(), two.test_app():
        with pytest.raises(MultiTransportError, match="several applications"):
            await rt.publish("hall", "said", "to whom?")
        with pytest.raises(MultiTransportError, match="2 applications"):
            async with rt.test_client():
                pytest.fail("which one?")
        async with rt.test_client(one) as client_of_one, rt.test_client(two) as client_of_two:
            rooms = await client_of_one.join("hall"), await client_of_two.join("hall")
            for app in (one, two):
                async with app.app_context():
                    await rt.publish("hall", "said", app.name)
            assert [await heard(room) for room in rooms] == ["one", "two"]
    settings = [app.extensions["multitransport"].running for app in (one, two)]
    assert settings == [None, None]


async def test_another_extension_s_application_is_not_published_to() -> None:
    rt, other = hall(MultiTransport()), MultiTransport()
    ours, theirs = make(rt, "ours"), make(other, "theirs")
    async with ours.test_app(), theirs.test_app(), theirs.app_context():
        assert (await rt.publish("hall", "said", 1)).offset == 1


async def test_every_lifespan_begins_anew() -> None:
    rt = hall(MultiTransport())
    app = make(rt)
    epochs = set()
    for _ in range(3):
        async with app.test_app():
            position = await rt.publish("hall", "said", 1)
            assert position.offset == 1
            epochs.add(position.epoch)
    assert len(epochs) == 3


async def test_one_application_has_one_lifespan_at_a_time() -> None:
    app = make(MultiTransport())
    async with app.test_app():
        running = app.extensions["multitransport"].running
        with pytest.raises(ConfigurationError, match="lifespan"):
            await app.extensions["multitransport"].start()
        assert app.extensions["multitransport"].running is running


async def test_a_startup_that_fails_leaves_nothing_behind() -> None:
    rt = hall(MultiTransport())
    app = make(rt)
    before = asyncio.all_tasks()

    @app.before_serving
    async def fail() -> None:
        await rt.publish("hall", "said", 1)
        raise RuntimeError("no database")

    with pytest.raises(Exception, match="no database"):
        async with app.test_app():
            pytest.fail("it must not start")
    assert app.extensions["multitransport"].running is None
    await eventually(lambda: asyncio.all_tasks() == before)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"MULTITRANSPORT_PREFIX": "/later"}, "set it before"),
        ({"MULTITRANSPORT_PINGSECONDS": 1}, "did you mean MULTITRANSPORT_PING_SECONDS"),
    ],
)
async def test_configuration_that_cannot_be_stops_the_startup(config: dict[str, Any], message: str) -> None:
    app = make(MultiTransport())
    app.config.update(config)
    with pytest.raises(Exception, match=message):
        async with app.test_app():
            pytest.fail("it must not start")


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_below_a_root_path_with_and_without_the_prefix(transport: str) -> None:
    rt = hall(MultiTransport())
    app = make(rt)
    config = Config()
    config.root_path = "/app"
    async with serve(app, config=config) as url:
        for path in ("/app/realtime", "/realtime"):
            async with connect(f"{url}{path}", transports=(transport,)) as client:
                await client.join("hall")
                assert client.transport == transport


async def test_a_signed_in_test_client_skips_the_connect_check() -> None:
    rt = MultiTransport()
    app = make(rt)

    @rt.on_connect
    async def check(client: Session) -> None:
        pytest.fail("the connect check must not run")

    async with rt.test_client(user="ann"):
        assert [one.user_id for one in sessions_of(app).values()] == ["ann"]


async def test_the_rest_of_the_application_is_served_as_ever() -> None:
    rt = MultiTransport()
    app = make(rt)

    @app.get("/realtimes")
    async def view() -> str:
        return "a view of its own"

    async with serve(app) as url, httpx.AsyncClient(base_url=url) as client:
        assert (await client.get("/realtimes")).text == "a view of its own"
        assert (await client.get("/realtime/health")).json() == {"status": "ready"}
        assert (await client.get("/nothing")).status_code == 404
