"""What is wrong in a call of a verb is said, and not passed over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from quart import Quart

from multitransport import MultiTransport, Session


def application() -> tuple[Quart, MultiTransport]:
    """Return an application that puts its sessions in ``met``."""
    app, rt = Quart("app"), MultiTransport()
    app.secret_key = "of the tests"
    met: list[Session] = []

    @rt.room("team/<id>")
    async def team(client: Session, id: str) -> None:
        met.append(client)

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
