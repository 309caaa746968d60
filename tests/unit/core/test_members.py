"""Sessions grouped by who they are."""

from __future__ import annotations

from multitransport.core.members import Member, Meta, Shown, members_of


def test_sessions_of_a_user_are_one_member_and_each_anonymous_one_is_another() -> None:
    sessions = [
        ("s1", Shown("ann", "sse", 1)),
        ("s2", Shown(None, "poll")),
        ("s3", Shown("ann", None)),
        ("s4", Shown(None, "websocket")),
    ]
    assert members_of(sessions) == [
        Member("user:ann", "ann", [Meta("s1", "sse", 1), Meta("s3", None)]),
        Member("session:s2", None, [Meta("s2", "poll")]),
        Member("session:s4", None, [Meta("s4", "websocket")]),
    ]


def test_a_user_is_nobody_elses_session() -> None:
    assert [each.id for each in members_of([("x", Shown("session:x", None)), ("y", Shown(None, None))])] == [
        "user:session:x",
        "session:y",
    ]


def test_nobody_is_no_member() -> None:
    assert members_of([]) == []
