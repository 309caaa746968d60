"""Changes of who is there: each told once, and none that did not happen."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from multitransport.client.events import CaughtUp, Gap, Publication
from multitransport.client.presence import MemberChange, Presence
from multitransport.core.members import Member, Meta
from multitransport.protocol.position import Position

ROOM = "@presence/r"
GAP = Gap(ROOM, Position("e", 0), None)


def told(user: str | None, session: str, meta: Any = None, *, deleted: bool = False) -> Publication:
    data = None if deleted else {"user": user, "transport": "sse", "meta": meta}
    return Publication(ROOM, "member", data, Position("e", 1), key=session, deleted=deleted)


def left(session: str) -> Publication:
    return told(None, session, deleted=True)


def member(user: str, **metas: Any) -> Member:
    return Member(f"user:{user}", user, [Meta(session, "sse", meta) for session, meta in metas.items()])


def test_a_member_joins_with_the_first_session_and_leaves_with_the_last() -> None:
    presence = Presence()
    assert presence.take(told("ann", "s1", 1)) == [MemberChange("joined", member("ann", s1=1))]
    assert presence.take(told("ann", "s2", 2)) == [MemberChange("changed", member("ann", s1=1, s2=2))]
    assert presence.take(left("s1")) == [MemberChange("changed", member("ann", s2=2))]
    assert presence.members == {"user:ann": member("ann", s2=2)}
    assert presence.take(left("s2")) == [MemberChange("left", member("ann", s2=2))]
    assert presence.take(left("s2")) == []
    assert presence.members == {}
    assert presence.take(told("ann", "s1", 1)) == [MemberChange("joined", member("ann", s1=1))]


def test_what_changed_last_is_last_and_what_is_told_again_is_no_change() -> None:
    presence = Presence()
    for session in ("s1", "s2"):
        presence.take(told("ann", session, 1))
    assert presence.take(told("ann", "s1", 2)) == [MemberChange("changed", member("ann", s2=1, s1=2))]
    assert presence.take(told("ann", "s2", 1)) == []
    assert presence.members == {"user:ann": member("ann", s1=2, s2=1)}


def test_anonymous_sessions_are_each_somebody() -> None:
    presence = Presence()
    for session in ("s1", "s2"):
        [change] = presence.take(told(None, session))
        assert change == MemberChange("joined", Member(f"session:{session}", None, [Meta(session, "sse")]))
    assert [change.kind for change in presence.take(left("s1"))] == ["left"]
    assert list(presence.members) == ["session:s2"]


def test_another_transport_is_a_change() -> None:
    presence = Presence()
    presence.take(told("ann", "s1"))
    by_poll = Publication(ROOM, "member", {"user": "ann", "transport": "poll"}, Position("e", 2), key="s1")
    assert presence.take(by_poll) == [MemberChange("changed", Member("user:ann", "ann", [Meta("s1", "poll")]))]


def test_after_a_loss_only_what_changed_is_a_change() -> None:
    presence = Presence()
    for name in ("ann", "bob", "eve"):
        for tab in (1, 2):
            presence.take(told(name, f"{name}{tab}", 1))
    assert presence.take(GAP) == []
    assert len(presence.members) == 3
    for tab in (1, 2):
        assert presence.take(told("ann", f"ann{tab}", 1)) == []
    assert presence.take(told("bob", "bob1", 2)) == [MemberChange("changed", member("bob", bob2=1, bob1=2))]
    assert presence.take(told("mia", "mia1", 1)) == [MemberChange("joined", member("mia", mia1=1))]
    changes = {change.member.id: change for change in presence.take(CaughtUp(ROOM))}
    assert changes == {
        "user:bob": MemberChange("changed", member("bob", bob1=2)),
        "user:eve": MemberChange("left", member("eve", eve1=1, eve2=1)),
    }
    assert presence.take(CaughtUp(ROOM)) == []
    assert set(presence.members) == {"user:ann", "user:bob", "user:mia"}


def test_who_left_during_a_loss_has_left_once() -> None:
    presence = Presence()
    presence.take(told("ann", "s1", 1))
    presence.take(GAP)
    assert presence.take(left("s1")) == [MemberChange("left", member("ann", s1=1))]
    assert presence.take(CaughtUp(ROOM)) == []


def test_what_a_newer_server_adds_is_ignored_and_what_shows_no_session_is_refused() -> None:
    presence = Presence()
    data = {"user": None, "transport": None, "since": 5}
    assert presence.take(Publication(ROOM, "member", data, Position("e", 1), key="s")) == [
        MemberChange("joined", Member("session:s", None, [Meta("s", None)]))
    ]
    assert presence.take(Publication(ROOM, "weather", 1, None)) == []
    with pytest.raises(msgspec.ValidationError):
        presence.take(Publication(ROOM, "member", {"user": 1}, Position("e", 2), key="x"))
    assert list(presence.members) == ["session:s"]
