"""What a room shows of what it is delivered."""

from __future__ import annotations

from typing import Any

import pytest

from multitransport import Position, Refused
from multitransport.client import Gap, MemberChange, Publication, Room
from multitransport.client.events import CaughtUp


def room(mode: Any = "state") -> Room:
    nowhere: Any = None  # it only receives
    made = Room("r", nowhere)
    made.joined(mode)
    return made


def keyed(key: str, offset: int, *, deleted: bool = False) -> Publication:
    return Publication("r", "e", offset, Position("x", offset), key=key, deleted=deleted)


def member(name: str) -> Publication:
    return Publication("@presence/r", "member", {"user": name, "transport": "sse"}, Position("x", 1), key=f"{name}1")


def test_the_state_follows_what_is_delivered() -> None:
    state = room()
    for item in (keyed("a", 1), keyed("b", 2), keyed("a", 3), keyed("b", 4, deleted=True), keyed("c", 5, deleted=True)):
        state.put(item)
    state.put(Publication("r", "cursor", 9, None, key="a"))
    assert state.state == {"a": 3}
    state.put(Gap("r", Position("x", 0), None))
    assert state.state == {}


def test_a_log_room_has_no_state() -> None:
    log = room("log")
    log.put(Publication("r", "e", 1, Position("x", 1)))
    assert log.state == {}


def test_a_listener_that_fails_keeps_nothing_from_the_others(caplog: pytest.LogCaptureFixture) -> None:
    watched = room()
    changes: list[MemberChange] = []

    @watched.on_presence
    def fails(change: MemberChange) -> None:
        raise ZeroDivisionError

    watched.on_presence(changes.append)
    watched.put_presence(member("ann"))
    watched.put_presence(Publication("@presence/r", "member", {"user": 1}, Position("x", 2), key="bob"))
    watched.put_presence(CaughtUp("@presence/r"))
    assert [change.kind for change in changes] == ["joined"]
    assert list(watched.members) == ["user:ann"]
    assert "a listener to the presence of r failed" in caplog.text
    assert "that is none" in caplog.text


async def test_what_waited_is_yielded_before_the_end() -> None:
    ended = room()
    ended.put(keyed("a", 1))
    ended.end(Refused("removed"))
    assert await anext(ended) == keyed("a", 1)
    for _ in range(2):
        with pytest.raises(Refused, match="removed"):
            await anext(ended)
