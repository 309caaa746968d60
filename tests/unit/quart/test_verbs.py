"""What is wrong in a call of a verb is said, and not passed over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from quart import Quart

from multitransport import ConfigurationError, MultiTransport, Namespace, Session


def application() -> tuple[Quart, MultiTransport]:
    """Return an application that puts its sessions in ``met``."""
    app, rt = Quart("app"), MultiTransport()
    app.secret_key = "of the tests"
    met: list[Session] = []

    @rt.room("team/<id>")
    async def team(client: Session, id: str) -> None:
        met.append(client)

    @rt.room("market", mode="state")
    async def market(client: Session) -> None:
        """Let everybody in."""

    app.config["met"] = met
    rt.init_app(app)
    return app, rt


@pytest.mark.parametrize("verb", ["join", "leave", "disconnect"])
@pytest.mark.parametrize(
    ("named", "error", "words"),
    [
        ({"user": 5}, TypeError, r"a user id is a string, not 5; say str\(…\)"),
        ({"user": ""}, ValueError, "a user id is not empty"),
        ({"session": 5}, TypeError, "a session is a Session or its id, a string, not 5"),
        ({"session": ""}, ValueError, "a session id is not empty"),
        ({}, TypeError, "either user= or session="),
        ({"user": "a", "session": "b"}, TypeError, "either user= or session="),
    ],
)
async def test_who_cannot_be_meant_is_told(
    verb: str, named: dict[str, Any], error: type[Exception], words: str
) -> None:
    app, rt = application()
    rooms = [] if verb == "disconnect" else ["team/1"]
    async with app.test_app():
        with pytest.raises(error, match=words):
            await getattr(rt, verb)(*rooms, **named)


@pytest.mark.parametrize("inbox", [MultiTransport().user, MultiTransport().session])
def test_an_inbox_is_somebodys(inbox: Callable[[Any], str]) -> None:
    for nobody in (None, 5):
        with pytest.raises(TypeError, match="a string, not"):
            inbox(nobody)
    with pytest.raises(ValueError, match="not empty"):
        inbox("")


async def test_a_session_may_be_named_by_itself() -> None:
    app, rt = application()
    async with app.test_app(), rt.test_client() as client:
        await client.join("team/1")
        [session] = app.config["met"]
        assert rt.session(session) == rt.session(session.session_id)
        await rt.join("team/2", session=session)
        assert session.rooms == {"team/1", "team/2"}
        await rt.leave("team/2", session=session)
        assert session.rooms == {"team/1"}
        await rt.disconnect(session=session)
    assert client.status == "closed"


@pytest.mark.parametrize("misspelt", ["exclud", "volitile", "ky"])
async def test_a_misspelt_option_is_told(misspelt: str) -> None:
    app, rt = application()
    options: dict[str, Any] = {misspelt: "a"}
    async with app.test_app():
        with pytest.raises(TypeError, match=misspelt):
            await rt.publish("team/1", "e", 1, **options)
        with pytest.raises(TypeError, match=misspelt):
            await asyncio.to_thread(rt.publish_from_thread, "team/1", "e", 1, **options)


async def test_who_cannot_be_excluded_is_told() -> None:
    app, rt = application()
    nobody: Any = 5
    async with app.test_app():
        with pytest.raises(TypeError, match="a session is a Session or its id, a string, not 5"):
            await rt.publish("team/1", "e", 1, exclude=nobody)


async def test_rooms_may_come_from_a_generator() -> None:
    app, rt = application()
    async with app.test_app():
        positions = await rt.publish((f"team/{number}" for number in range(2)), "e", 1)
        assert [position and position.offset for position in positions] == [1, 1]


@pytest.mark.parametrize("room", [5, None, ["team/1", 5]])
async def test_what_is_no_room_is_told(room: Any) -> None:
    app, rt = application()
    async with app.test_app():
        with pytest.raises(TypeError, match="a room is a string, or several are a list of strings, not "):
            await rt.publish(room, "e", 1)


async def test_what_ends_a_key_needs_no_data() -> None:
    app, rt = application()
    async with app.test_app():
        await rt.publish("market", "price", 1, key="a")
        await rt.publish("market", "price", key="a", deleted=True)
        assert (await rt.read("market")).state == {}


async def test_what_is_declared_after_the_start_is_told() -> None:
    app, rt = application()
    declare: list[Callable[[], object]] = [
        lambda: rt.room("late"),
        lambda: rt.on("late"),
        lambda: rt.on_disconnect(print),
        lambda: rt.register(Namespace("late")),
    ]
    async with app.test_app():
        for late in declare:
            with pytest.raises(ConfigurationError, match="app runs already: declare it before"):
                late()
    rt.room("late")


def test_a_namespace_is_registered_not_its_class() -> None:
    rt: Any = MultiTransport()
    with pytest.raises(ConfigurationError, match=r'a Namespace\("chat"\) can be registered, not <class'):
        rt.register(Namespace)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"code": "4000"}, "'4000' is not a close code of an application"),
        ({"reason": "é" * 62}, r"a reason is at most 123 bytes, not 'é+\.\.\.é+'"),
    ],
)
async def test_how_nobody_can_be_disconnected_is_told(options: dict[str, Any], words: str) -> None:
    app, rt = application()
    async with app.test_app(), rt.test_client(user="ann") as client:
        with pytest.raises(ValueError, match=words):
            await rt.disconnect(user="ann", **options)
        assert client.status == "connected"
        await rt.disconnect(user="ann", reason="é" * 61)


async def test_a_key_that_is_too_long_is_not_told_whole() -> None:
    app, rt = application()
    async with app.test_app():
        with pytest.raises(ValueError, match=r"key is 1 to 255 characters, not 'k+\.\.\.k+'") as raised:
            await rt.publish("market", "e", 1, key="k" * 100_000)
    assert len(str(raised.value)) < 100
