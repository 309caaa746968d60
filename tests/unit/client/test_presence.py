"""Changes of who is there: each told once, and none that did not happen."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from multitransport.brokers.base import Member, Meta
from multitransport.client.events import CaughtUp, Gap, Publication
from multitransport.client.presence import MemberChange, Presence
from multitransport.protocol.position import Position

ROOM = "@presence/r"
GAP = Gap(ROOM, Position("e", 0), None)


def told(member_id: str, *metas: Any, deleted: bool = False) -> Publication:
    data = {"user": member_id, "metas": [{"session": "s", "transport": "sse", "meta": meta} for meta in metas]}
    return Publication(ROOM, "member", None if deleted else data, Position("e", 1), key=member_id, deleted=deleted)


def member(member_id: str, *metas: Any) -> Member:
    return Member(member_id, member_id, [Meta("s", "sse", meta) for meta in metas])


def test_members_come_change_and_leave() -> None:
    presence = Presence()
    assert presence.take(told("ann", 1)) == [MemberChange("joined", member("ann", 1))]
    assert presence.take(told("ann", 1, 2)) == [MemberChange("changed", member("ann", 1, 2))]
    assert presence.take(told("ann", 1, 2)) == []
    assert presence.members == {"ann": member("ann", 1, 2)}
    assert presence.take(told("ann", deleted=True)) == [MemberChange("left", member("ann", 1, 2))]
    assert presence.take(told("ann", deleted=True)) == []
    assert presence.members == {}


def test_after_a_loss_only_what_changed_is_a_change() -> None:
    presence = Presence()
    for name in ("ann", "bob", "eve"):
        presence.take(told(name, 1))
    assert presence.take(GAP) == []
    assert set(presence.members) == {"ann", "bob", "eve"}
    assert presence.take(told("ann", 1)) == []
    assert presence.take(told("bob", 2)) == [MemberChange("changed", member("bob", 2))]
    assert presence.take(told("mia", 1)) == [MemberChange("joined", member("mia", 1))]
    assert presence.take(CaughtUp(ROOM)) == [MemberChange("left", member("eve", 1))]
    assert presence.take(CaughtUp(ROOM)) == []
    assert set(presence.members) == {"ann", "bob", "mia"}


def test_who_left_during_a_loss_has_left_once() -> None:
    presence = Presence()
    presence.take(told("ann", 1))
    presence.take(GAP)
    assert presence.take(told("ann", deleted=True)) == [MemberChange("left", member("ann", 1))]
    assert presence.take(CaughtUp(ROOM)) == []


def test_what_a_newer_server_adds_is_ignored_and_what_is_no_member_is_refused() -> None:
    presence = Presence()
    data = {"user": None, "metas": [{"session": "s", "transport": None, "since": 5}], "more": 1}
    assert presence.take(Publication(ROOM, "member", data, Position("e", 1), key="session:s")) == [
        MemberChange("joined", Member("session:s", None, [Meta("s", None)]))
    ]
    assert presence.take(Publication(ROOM, "weather", 1, None)) == []
    with pytest.raises(msgspec.ValidationError):
        presence.take(Publication(ROOM, "member", {"metas": 1}, Position("e", 2), key="x"))
