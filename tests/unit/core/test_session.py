from __future__ import annotations

import msgspec
import pytest

from multitransport.core.session import TRANSITIONS, Event, SessionRecord, State, next_state
from multitransport.protocol.position import Position


def test_what_other_nodes_hold_is_what_is_not_done_and_not_ones_own() -> None:
    record = SessionRecord("s", "n", b"", None, 1)
    record.inbox.claim([1, 2, 3, 4, 5], 64)
    assert record.held_elsewhere("a") == {}
    record.holders = {1: "b", 2: "a", 3: "", 4: None, 5: "b"}
    assert record.held_elsewhere("a") == {1: "b", 3: "", 4: None, 5: "b"}
    assert record.held_elsewhere("a", 3) == {1: "b", 3: ""}
    record.inbox.commit(1, None, 0)
    record.inbox.commit(4, None, 0)
    assert record.held_elsewhere("a") == {3: "", 5: "b"}


def after(*events: Event) -> State:
    state = State.UNCONFIRMED
    for event in events:
        state = next_state(state, event)
    return state


def test_a_session_is_attached_once_its_client_speaks() -> None:
    assert after(Event.SIGN_OF_LIFE) is State.ATTACHED


def test_a_resume_confirms_a_session() -> None:
    assert after(Event.DETACH, Event.ATTACH) is State.ATTACHED


def test_a_session_that_was_never_confirmed_stays_so_without_its_transport() -> None:
    assert after(Event.DETACH) is State.UNCONFIRMED


def test_a_confirmed_session_is_detached_and_attached_again() -> None:
    assert after(Event.SIGN_OF_LIFE, Event.DETACH) is State.DETACHED
    assert after(Event.SIGN_OF_LIFE, Event.DETACH, Event.ATTACH) is State.ATTACHED


def test_a_sign_of_life_is_no_transport() -> None:
    assert after(Event.SIGN_OF_LIFE, Event.DETACH, Event.SIGN_OF_LIFE) is State.DETACHED


def test_a_newer_transport_may_come_before_the_older_is_gone() -> None:
    assert after(Event.SIGN_OF_LIFE, Event.ATTACH) is State.ATTACHED


@pytest.mark.parametrize("state", [state for state in State if state is not State.ENDED])
def test_every_session_can_end(state: State) -> None:
    assert next_state(state, Event.END) is State.ENDED


@pytest.mark.parametrize("event", Event)
def test_nothing_happens_to_a_session_that_has_ended(event: Event) -> None:
    with pytest.raises(ValueError, match=f"{event.value} cannot happen to a session that is ended"):
        next_state(State.ENDED, event)


def test_what_is_detached_cannot_be_detached() -> None:
    with pytest.raises(ValueError, match="detach cannot happen to a session that is detached"):
        after(Event.SIGN_OF_LIFE, Event.DETACH, Event.DETACH)


def test_the_table_knows_every_state() -> None:
    assert set(TRANSITIONS) == set(State)


def test_a_record_travels() -> None:
    record = SessionRecord("id", "new", b"hash", "ann", 3, {"a": Position("e", 1)})
    record.inbox.claim([1], 64)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(record), type=SessionRecord) == record


def test_records_share_nothing() -> None:
    one, other = (SessionRecord("id", "new", b"hash", None, 0) for _ in range(2))
    one.rooms["a"] = Position("e", 1)
    one.inbox.claim([1], 64)
    assert (other.rooms, other.inbox.claimed) == ({}, 0)
