from __future__ import annotations

import pytest

from multitransport.core.log import Log, Recovery, Retention
from multitransport.core.publication import Draft
from multitransport.core.reader import Gap, Reader
from multitransport.core.state import StateLog, new_log
from multitransport.errors import RoomFull
from multitransport.protocol.position import Position
from tests.unit.core.state_rooms import ENOUGH, Owner, log_of, put, told


def test_a_room_with_keys_is_a_state_room() -> None:
    assert isinstance(new_log("r", "e", Retention(keys=1)), StateLog)
    assert type(new_log("r", "e", Retention())) is Log


def test_a_publication_takes_the_place_of_the_one_with_its_key() -> None:
    log = log_of("a", "b", "a")
    assert [(each.offset, each.draft.key) for each in log.values()] == [(2, "b"), (3, "a")]
    assert (log.top, len(log)) == (3, 2)


def test_a_key_has_its_newest_value_until_it_is_deleted() -> None:
    log = log_of("a", "b", "a")
    value = log.value("a")
    assert value is not None
    assert value.offset == 3
    put(log, "a", deleted=True)
    assert [log.value(key) for key in ("a", "c")] == [None, None]


def test_a_publication_needs_a_key() -> None:
    with pytest.raises(ValueError, match="key"):
        log_of().append(Draft("v", b"1"), 0.0)


def test_a_repeated_id_adds_nothing() -> None:
    log = log_of()
    assert [put(log, "a", id="x"), put(log, "a", id="x"), log.top] == [1, 1, 1]


def test_a_pass_ends_with_its_position() -> None:
    log = log_of("a")
    assert log.slice(0, ENOUGH).frames.endswith(b'["at","r",["e1",1]]')


def test_a_deleted_key_says_so() -> None:
    log = log_of("a", "b")
    put(log, "a", deleted=True)
    assert told([log.slice(1, ENOUGH)]) == [("b", 2, False), ("a", 3, True)]
    assert [each.draft.key for each in log.values()] == ["b"]


def test_a_reader_from_before_a_forgotten_deletion_begins_anew() -> None:
    log = log_of("a", "b", retention=Retention(keys=10, seconds=10))
    put(log, "a", 3, deleted=True)
    log.trim(13)
    assert log.recover(Position("e1", 2)) == Recovery(2, True, None)
    log.trim(13.5)
    assert (log.base, len(log)) == (3, 1)
    assert log.recover(Position("e1", 2)) == Recovery(0, False, None)
    assert log.recover(Position("e1", 3)) == Recovery(3, True, None)
    assert log.recover(Position("e1", 0)) == Recovery(0, False, None)
    assert log.recover(Position("other", 3)) == log.recover(Position("e1", 4)) == Recovery(0, False, None)


def test_a_newcomer_begins_before_all_values_and_where_there_are_none_at_the_end() -> None:
    log = log_of()
    assert log.newest(9) == Recovery(0, True, None)
    put(log, "a")
    assert log.newest(9) == Recovery(0, True, None)
    put(log, "a", deleted=True)
    assert log.newest(9) == Recovery(2, True, None)


def test_what_fits_is_all_that_changed_or_a_single_publication() -> None:
    log = log_of("a", "b", "c")
    whole = sum(each.size + 1 for each in log.values())

    def fits(after: int, limit_bytes: int) -> bool:
        return log.whole(after, limit_bytes) is not None

    assert (fits(0, whole), fits(0, whole - 1)) == (True, False)
    assert (fits(2, 1), fits(1, 1), fits(0, 1), fits(2, 1), fits(3, 0)) == (True, False, False, True, True)
    put(log, "c")
    assert (fits(2, 1), fits(3, 1)) == (True, True)


def test_the_bounds_are_keys_and_bytes() -> None:
    log = log_of("a", "b", retention=Retention(keys=2))
    put(log, "a")
    with pytest.raises(RoomFull, match="2 keys"):
        put(log, "c")
    small = log_of("a", retention=Retention(keys=9, bytes=60))
    put(small, "a")
    with pytest.raises(RoomFull, match="60 bytes"):
        put(small, "b")
    assert (small.top, len(small)) == (2, 1)


def test_deletions_are_forgotten_early_where_keys_run_out() -> None:
    log = log_of("a", "b", retention=Retention(keys=2))
    put(log, "a", deleted=True)
    put(log, "c")
    assert (log.base, [each.draft.key for each in log.values()]) == (3, ["b", "c"])


def test_deletions_are_forgotten_early_where_bytes_run_out_the_oldest_first() -> None:
    log = log_of("a", "b", "c", retention=Retention(keys=9, bytes=110))
    put(log, "a", deleted=True)
    assert (log.base, len(log)) == (0, 3)
    put(log, "b", deleted=True)
    assert (log.base, len(log)) == (4, 2)
    put(log, "c", deleted=True)
    assert (log.base, len(log), log.size <= 110) == (4, 2, True)


def test_a_deletion_that_takes_more_than_its_value_did_is_forgotten_at_once() -> None:
    log = log_of("a", retention=Retention(keys=9, bytes=35))
    put(log, "a", deleted=True)
    assert (log.base, log.top, len(log), log.size) == (2, 2, 0, 0)


def test_a_refused_publication_costs_no_deletion() -> None:
    log = log_of("a", "b", "c", retention=Retention(keys=9, bytes=150))
    put(log, "a", deleted=True)
    with pytest.raises(RoomFull):
        log.append(Draft("v", b"1" * 100, key="c"), 0.0)
    assert (log.base, log.top, len(log)) == (0, 4, 3)


def test_to_delete_what_is_not_there_leaves_nothing() -> None:
    log = log_of("a", retention=Retention(keys=1, bytes=40, count=10))
    kept = log.size
    assert [put(log, f"k{n}", deleted=True, id=f"i{n}") for n in range(100)] == list(range(2, 102))
    assert (log.base, len(log), log.size, len(log._ids)) == (0, 1, kept, 10)


def test_a_repeated_id_brings_no_former_value_back() -> None:
    log = log_of()
    assert [put(log, "a", id="x"), put(log, "b"), put(log, "a", id="x")] == [1, 2, 1]
    assert [put(log, "a"), put(log, "a", id="x"), log.top] == [3, 1, 3]
    assert [put(log, "a", deleted=True, id="y"), put(log, "a"), put(log, "a", deleted=True, id="y")] == [4, 5, 4]
    assert [(each.draft.key, each.offset) for each in log.values()] == [("b", 2), ("a", 5)]
    log.trim(1e6)
    assert log._ids == {}
    assert put(log, "a", id="x") == 6


def test_a_deleted_key_may_come_back() -> None:
    log = log_of("a", retention=Retention(keys=1))
    put(log, "a", deleted=True)
    assert put(log, "a") == 3
    assert (log.base, [each.offset for each in log.values()]) == (0, [3])


# A state room that is kept elsewhere


def changed(log: StateLog, after: int) -> list[str | None]:
    return [each.draft.key for each in log.slice(after, ENOUGH).publications]


def test_values_are_taken_with_the_offsets_they_have_elsewhere() -> None:
    log = log_of()
    log.restart(Position("e2", 2))
    log.take(1, Draft("v", b"1", key="a"), 1.0)
    log.take(4, Draft("v", b"4", key="b"), 1.0)
    log.take(5, Draft("v", b"null", key="c", deleted=True), 1.0)
    log.skip_to(7)
    assert (log.base, log.position) == (2, Position("e2", 7))
    assert changed(log, 1) == ["b", "c"]
    assert put(log, "a") == 8
    assert changed(log, 0) == ["b", "c", "a"]
    log.skip_to(3)
    assert log.top == 8


def test_no_bound_applies_to_what_was_taken_elsewhere() -> None:
    log = log_of(retention=Retention(keys=1, bytes=1))
    for offset, key in enumerate("ab", 1):
        log.take(offset, Draft("v", b"1", key=key), 0.0)
    assert len(log) == 2


def test_deletions_are_forgotten_up_to_an_offset() -> None:
    log = log_of("a", "b", "c")
    for key in "ab":
        put(log, key, deleted=True)
    log.forget_through(4)
    assert (log.base, changed(log, 0)) == (4, ["c", "b"])
    log.forget_through(3)
    assert log.base == 4


def test_a_state_room_begins_anew_and_its_reader_with_it() -> None:
    log = log_of("a", "b")
    put(log, "b", deleted=True)
    reader = Reader(Owner())
    reader.add(log, 2)
    log.restart(Position("e2", 0))
    log.take(1, Draft("v", b"1", key="b"), 0.0)
    for cursor in reader.cursors.values():
        cursor.flush()
    items = reader.take(ENOUGH)
    assert isinstance(items[0], Gap)
    assert (items[0].position, told(items[1:])) == (Position("e2", 0), [("b", 1, False)])
    assert [each.offset for each in log.values()] == [1]


def test_a_pass_under_way_ends_with_its_epoch() -> None:
    log = log_of("a", "b", "c")
    reader = Reader(Owner())
    reader.add(log, 0)
    assert told(reader.take(1)) == [("a", 1, False)]
    log.restart(Position("e2", 0))
    log.take(1, Draft("v", b"1", key="z"), 0.0)
    items = reader.take(ENOUGH)
    assert isinstance(items[0], Gap)
    assert told(items[1:]) == [("z", 1, False)]
    assert reader.take(ENOUGH) == []
