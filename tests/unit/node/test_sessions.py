from __future__ import annotations

from typing import cast

import pytest

from multitransport.core.session import SessionRecord
from multitransport.node.request import Request
from multitransport.node.session import Session, Verbs
from multitransport.node.sessions import Sessions


def session(session_id: str, user_id: str | None = None) -> Session:
    request = Request({"type": "http", "path": "/", "headers": []})
    return Session(SessionRecord(session_id, "n", b"", user_id, 0), request, cast("Verbs", None))


def test_sessions_are_found_by_id_and_by_user() -> None:
    sessions = Sessions()
    one, two, other, nobody = session("1", "ann"), session("2", "ann"), session("3", "bob"), session("4")
    for each in (one, two, other, nobody):
        sessions.add(each)
    assert (len(sessions), list(sessions), sessions["4"]) == (4, ["1", "2", "3", "4"], nobody)
    assert (sessions.of_user("ann"), sessions.of_user("cleo")) == ([one, two], [])


def test_what_is_removed_leaves_nothing() -> None:
    sessions = Sessions()
    one, two = session("1", "ann"), session("2", "ann")
    for each in (one, two):
        sessions.add(each)
    sessions.remove(one)
    assert sessions.of_user("ann") == [two]
    for each in (one, two, session("3", "cleo")):
        sessions.remove(each)
    assert (dict(sessions), sessions._by_user) == ({}, {})


def test_the_sessions_of_a_user_may_change_while_they_are_gone_through() -> None:
    sessions = Sessions()
    for each in (session("1", "ann"), session("2", "ann")):
        sessions.add(each)
    for each in sessions.of_user("ann"):
        sessions.remove(each)
    assert len(sessions) == 0


def test_a_user_is_a_string() -> None:
    one = session("1")
    with pytest.raises(TypeError, match=r"user_id is a string, not 7; say str"):
        one.user_id = 7  # type: ignore[assignment]
    with pytest.raises(ValueError, match="say None"):
        one.user_id = ""
    one.user_id = "7"
    one.settled = True
    with pytest.raises(AttributeError, match="connect check"):
        one.user_id = None
    assert one.user_id == "7"
