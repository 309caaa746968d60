"""How a tail follows what is announced, and what it makes of what Redis has."""

from __future__ import annotations

import pytest

from multitransport.brokers.redis.rooms.announcements import Entry, Published
from multitransport.brokers.redis.rooms.tail import Snapshot, Tail
from multitransport.core.log import Retention
from multitransport.core.publication import Draft
from multitransport.core.state import StateLog
from multitransport.protocol.position import Position

STATE = Retention(keys=100)
NOW = 100.0


def entry(offset: int, entry_id: str | None = None, key: str | None = None, deleted: bool = False) -> Entry:
    draft = Draft("e", b"%d" % offset, key=key, deleted=deleted, id=entry_id or f"i{offset}")
    return Entry(offset, draft, 1.0)


def snapshot(*entries: Entry, top: int | None = None, epoch: str = "e1", whole: bool = True, base: int = 0) -> Snapshot:
    last = entries[-1] if entries else None
    if top is None:
        top = last.offset if last else 0
    last_id = last.draft.id or "" if last and last.offset == top else f"i{top}"
    return Snapshot(epoch, top, last_id, whole, False, base, list(entries))


def tail_of(*offsets: int, retention: Retention | None = None, held: int = 1000) -> Tail:
    """Return a live tail that was read with these entries, the keys of a state room being k<offset>."""
    tail = Tail("r", retention or Retention(), lambda: NOW, held)
    keyed = retention is not None and retention.keys > 0
    tail.load(snapshot(*(entry(offset, key=f"k{offset}" if keyed else None) for offset in offsets)))
    assert tail.release()
    return tail


def announce(tail: Tail, offset: int, entry_id: str | None = None, epoch: str = "e1", key: str | None = None) -> bool:
    published = Published("r", epoch, offset, entry_id or f"i{offset}", 0)
    draft = Draft("e", b"%d" % offset, key=key, id=published.id)
    return tail.announced(published, draft, 10)


def kept(tail: Tail) -> list[int]:
    return [offset for offset in range(1, 50) if tail.log.get(offset)]


# Following


def test_what_comes_next_is_added_and_what_is_there_passed_over() -> None:
    tail = tail_of(1, 2)
    assert all(announce(tail, offset) for offset in (3, 3, 2, 4, 1))
    assert (kept(tail), tail.newest, tail.log.position) == ([1, 2, 3, 4], (4, "i4"), Position("e1", 4))


@pytest.mark.parametrize(
    ("offset", "entry_id", "epoch"), [(4, "i4", "e1"), (2, "x", "e1"), (1, "x", "e1"), (3, "i3", "e2")]
)
def test_a_hole_another_publication_and_another_epoch_stop_it(offset: int, entry_id: str, epoch: str) -> None:
    tail = tail_of(1, 2)
    assert not announce(tail, offset, entry_id, epoch)
    assert not tail.live
    assert not announce(tail, 3), "until it was read"
    assert kept(tail) == [1, 2]


def test_what_is_older_than_all_that_is_kept_tells_nothing() -> None:
    tail = tail_of(5, 6)
    assert announce(tail, 3, "whatever")


def test_what_was_held_joins_on_to_what_was_read() -> None:
    tail = tail_of(1)
    for offset in (3, 4, 5):
        announce(tail, offset)
    tail.load(snapshot(entry(1), entry(2), entry(3)))
    assert tail.release()
    assert (kept(tail), tail.live, tail.newest) == ([1, 2, 3, 4, 5], True, (5, "i5"))


def test_what_was_held_and_does_not_join_on_is_held_on() -> None:
    tail = tail_of(1)
    for offset in (3, 5):
        announce(tail, offset)
    tail.load(snapshot(entry(1), entry(2)))
    assert not tail.release()
    assert (kept(tail), tail.live) == ([1, 2, 3], False)
    tail.load(snapshot(entry(3), entry(4), entry(5)))
    assert tail.release()
    assert kept(tail) == [1, 2, 3, 4, 5]


def test_no_more_is_held_than_the_bound() -> None:
    tail = tail_of(1, held=25)
    for offset in (3, 4, 5, 6):
        announce(tail, offset)
    tail.load(snapshot(entry(1), entry(2), entry(3)))
    assert not tail.release(), "what was dropped has to be read"
    tail.load(snapshot(*(entry(offset) for offset in (3, 4, 5, 6))))
    assert tail.release()
    assert kept(tail) == [1, 2, 3, 4, 5, 6]


def test_what_was_held_of_another_epoch_is_read_once_more() -> None:
    tail = tail_of(1)
    announce(tail, 1, "x", "e2")
    announce(tail, 1, "y", "e3")
    tail.load(snapshot(entry(1, "x"), epoch="e2"))
    assert not tail.release()
    tail.load(snapshot(entry(1, "y"), epoch="e3"))
    assert tail.release()


# Judging


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (snapshot(entry(2), entry(3)), True),
        (snapshot(top=2), True),
        (snapshot(entry(1)), False),
        (snapshot(entry(2, "x")), False),
        (snapshot(entry(2, "x"), entry(3)), False),
        (snapshot(entry(1, "x"), entry(2), entry(3)), False),
        (snapshot(entry(4), entry(5)), None),
    ],
)
def test_a_snapshot_continues_a_log_or_does_not(found: Snapshot, verdict: bool | None) -> None:
    tail = tail_of(1, 2)
    assert tail.judge(found, *tail.newest) is verdict


def test_nothing_says_whether_an_empty_log_is_continued() -> None:
    tail = tail_of()
    assert tail.judge(snapshot(entry(1)), *tail.newest) is None
    assert tail.judge(snapshot(), *tail.newest) is None


def test_what_was_confirmed_to_a_publisher_counts_as_known() -> None:
    tail = tail_of(1)
    tail.confirmed(Position("e1", 3), "i3")
    assert tail.newest == (3, "i3")
    for found, verdict in [
        (snapshot(entry(1), entry(2)), False),
        (snapshot(entry(1), entry(2), entry(3)), True),
        (snapshot(entry(1), entry(2), entry(3, "x")), False),
        (snapshot(entry(1), entry(2), entry(3, "x"), entry(4)), False),
    ]:
        assert tail.judge(found, *tail.newest) is verdict
    tail.confirmed(Position("e0", 9), "i9")
    assert tail.newest == (1, "i1")


def test_what_came_while_it_was_read_is_no_fork() -> None:
    tail = tail_of(1)
    known = tail.newest
    announce(tail, 2)
    assert tail.judge(snapshot(entry(1)), *known) is True
    tail.load(snapshot(entry(1)))
    assert (kept(tail), tail.newest) == ([1, 2], (2, "i2"))


def test_a_value_of_a_state_room_that_was_never_there_is_a_fork() -> None:
    tail = tail_of(1, 3, retention=STATE)
    assert tail.judge(snapshot(entry(1, key="k1"), entry(4, key="k3")), *tail.newest) is None
    assert tail.judge(snapshot(entry(1, key="k1"), entry(2, key="new"), entry(4, key="k3")), *tail.newest) is False
    gone = entry(2, key="gone", deleted=True)
    assert tail.judge(snapshot(gone, entry(3, key="k3"), entry(4, key="k4")), *tail.newest) is True


# Loading


def test_a_log_reaches_back_further_once_older_entries_are_read() -> None:
    tail = tail_of(3, 4)
    tail.load(snapshot(*(entry(offset) for offset in (1, 2, 3, 4, 5))))
    assert (kept(tail), tail.log.base) == ([1, 2, 3, 4, 5], 0)


def test_what_redis_no_longer_has_is_a_hole() -> None:
    tail = tail_of(1, 2)
    tail.load(snapshot(entry(5), entry(6)))
    assert (kept(tail), tail.log.base) == ([5, 6], 4)
    tail.load(snapshot(top=9))
    assert (kept(tail), tail.log.base, tail.newest) == ([], 9, (9, "i9"))


def test_another_epoch_goes_on_after_what_both_have() -> None:
    tail = tail_of(1, 2, 3)
    tail.load(snapshot(entry(1), entry(2), entry(3, "x"), entry(4), epoch="e2"))
    assert (kept(tail), tail.log.position) == ([3, 4], Position("e2", 4))
    assert (tail.log.base, tail.complete) == (2, False)


def test_a_state_room_is_replaced_as_a_whole() -> None:
    tail = tail_of(1, 2, retention=STATE)
    tail.load(snapshot(entry(2, key="k2"), entry(4, key="k1"), top=5, base=3))
    assert (kept(tail), tail.log.base, tail.log.top, tail.newest) == ([2, 4], 3, 5, (5, "i5"))
    assert isinstance(tail.log, StateLog)
    assert [each.draft.key for each in tail.log.slice(2, 1 << 20).publications] == ["k1"]
    assert announce(tail, 6, key="k9")
    tail.load(snapshot(top=6, base=3))
    assert kept(tail) == [2, 4, 6]
