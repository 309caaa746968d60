from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multitransport.core.log import Log, Recovery, Retention
from multitransport.core.publication import Draft, Slice
from multitransport.core.reader import Gap, Reader
from multitransport.core.state import StateLog, new_log
from multitransport.errors import RoomFull
from multitransport.protocol.position import Position

ENOUGH = 1 << 20


class Owner:
    session_id = "me"

    def wake(self) -> None:
        """Nobody waits."""

    flush = wake


def log_of(*keys: str, retention: Retention | None = None) -> StateLog:
    """Return a state log of these publications, one a second from time 1; what each says is its offset."""
    log = StateLog("r", "e1", retention or Retention(keys=100))
    for at, key in enumerate(keys, 1):
        put(log, key, at=at)
    return log


def put(log: StateLog, key: str, at: float = 0.0, **options: bool | str) -> int:
    return log.append(msgspec.structs.replace(Draft("v", b"%d" % (log.top + 1), key=key), **options), at).offset


def told(items: Sequence[Slice | Gap]) -> list[tuple[str, int, bool]]:
    frames = [msgspec.json.decode(line) for item in items for line in item.frames.split(b"\n")]
    return [(each[5]["key"], each[2], "deleted" in each[5]) for each in frames if each[0] == "pub"]


def read(reader: Reader, limit: int = ENOUGH) -> list[tuple[str, int, bool]]:
    for cursor in reader.cursors.values():
        cursor.flush()
    return told(list(reader.take(limit)))


def test_a_room_with_keys_is_a_state_room() -> None:
    assert isinstance(new_log("r", "e", Retention(keys=1)), StateLog)
    assert type(new_log("r", "e", Retention())) is Log


def test_a_publication_takes_the_place_of_the_one_with_its_key() -> None:
    log = log_of("a", "b", "a")
    assert [(each.offset, each.draft.key) for each in log.values()] == [(2, "b"), (3, "a")]
    assert (log.top, len(log)) == (3, 2)


def test_a_publication_needs_a_key() -> None:
    with pytest.raises(ValueError, match="key"):
        log_of().append(Draft("v", b"1"), 0.0)


def test_a_repeated_id_adds_nothing() -> None:
    log = log_of()
    assert [put(log, "a", id="x"), put(log, "a", id="x"), log.top] == [1, 1, 1]


def test_a_newcomer_gets_the_current_value_of_each_key_and_then_what_follows() -> None:
    log = log_of("a", "b", "a")
    reader = Reader(Owner())
    reader.add(log, log.newest(50).offset)
    assert read(reader) == [("b", 2, False), ("a", 3, False)]
    put(log, "b")
    assert read(reader) == [("b", 4, False)]
    assert read(reader) == []


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
    assert log.recover(Position("e1", 0)) == Recovery(0, True, None)
    assert log.recover(Position("other", 3)) == log.recover(Position("e1", 4)) == Recovery(0, False, None)


def test_an_attached_reader_from_before_a_forgotten_deletion_is_told_and_begins_anew() -> None:
    log = log_of("a", "b", retention=Retention(keys=10, seconds=10))
    reader = Reader(Owner())
    cursor = reader.add(log, 1)
    put(log, "a", 3, deleted=True)
    log.trim(14)
    items = reader.take(ENOUGH)
    assert isinstance(items[0], Gap)
    assert (items[0].position, items[0].lost) == (Position("e1", 0), None)
    assert told(items[1:]) == [("b", 2, False)]
    assert cursor.offset == 3


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


def test_deletions_are_forgotten_early_where_room_runs_out() -> None:
    log = log_of("a", "b", retention=Retention(keys=2))
    put(log, "a", deleted=True)
    put(log, "c")
    assert (log.base, [each.draft.key for each in log.values()]) == (3, ["b", "c"])


def test_a_deleted_key_may_come_back() -> None:
    log = log_of("a", retention=Retention(keys=1))
    put(log, "a", deleted=True)
    assert put(log, "a") == 3
    assert (log.base, [each.offset for each in log.values()]) == (0, [3])


def test_a_large_pass_goes_out_in_parts_each_value_as_it_is_then() -> None:
    log = log_of(*(f"k{n}" for n in range(6)))
    reader = Reader(Owner())
    cursor = reader.add(log, 0)
    first = told(list(reader.take(1)))
    put(log, "k1")
    put(log, "k0")
    put(log, "k5", deleted=True)
    assert (first, cursor.offset) == ([("k0", 1, False)], 0)
    parts = [told(list(reader.take(1))) for _ in range(5)]
    assert parts == [[("k1", 7, False)], [("k2", 3, False)], [("k3", 4, False)], [("k4", 5, False)], [("k5", 9, True)]]
    assert cursor.offset == 6
    assert told(list(reader.take(ENOUGH))) == [("k1", 7, False), ("k0", 8, False), ("k5", 9, True)]
    assert cursor.offset == 9


def test_a_key_that_is_forgotten_during_a_pass_is_left_out() -> None:
    log = log_of("a", "b", "c", retention=Retention(keys=9, seconds=10))
    put(log, "b", 4, deleted=True)
    reader = Reader(Owner())
    reader.add(log, 0)
    assert told(list(reader.take(1))) == [("a", 1, False)]
    log.trim(20)
    assert told(list(reader.take(ENOUGH))) == [("c", 3, False)]


def test_what_excludes_a_session_is_kept_from_it_in_whole_passes_and_in_parts() -> None:
    log = log_of("a", "b")
    put(log, "a", exclude="me")
    reader = Reader(Owner())
    reader.add(log, 0)
    assert read(reader) == [("b", 2, False)]
    reader.add(log, 0)
    assert [read(reader, 1), read(reader, 1)] == [[("b", 2, False)], []]
    assert not reader.ready


@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.booleans(), st.integers(0, 3)), max_size=30),
    st.integers(1, 200),
)
def test_what_a_reader_saw_last_of_each_key_is_what_the_room_says(
    steps: list[tuple[str, bool, int]], limit: int
) -> None:
    log = log_of(retention=Retention(keys=4, seconds=5))
    reader = Reader(Owner())
    reader.add(log, 0)
    seen: dict[str, int] = {}

    def receive() -> None:
        for cursor in reader.cursors.values():
            cursor.flush()
        for item in reader.take(limit):
            if isinstance(item, Gap):
                seen.clear()
            for key, offset, deleted in told([item]) if not isinstance(item, Gap) else []:
                if deleted:
                    seen.pop(key, None)
                else:
                    seen[key] = max(offset, seen.get(key, 0))

    for at, (key, deleted, reads) in enumerate(steps):
        put(log, key, at, deleted=deleted)
        for _ in range(reads):
            receive()
    while reader.ready or any(cursor.behind for cursor in reader.cursors.values()):
        receive()
    assert seen == {each.draft.key: each.offset for each in log.values()}


# A state room that is kept elsewhere


def test_values_are_taken_with_the_offsets_they_have_elsewhere() -> None:
    log = log_of()
    log.begin(Position("e2", 2))
    log.take(1, Draft("v", b"1", key="a"), 1.0)
    log.take(4, Draft("v", b"4", key="b"), 1.0)
    log.take(5, Draft("v", b"null", key="c", deleted=True), 1.0)
    log.skip_to(7)
    assert (log.base, log.position) == (2, Position("e2", 7))
    assert log.keys_after(1) == ["b", "c"]
    assert put(log, "a") == 8
    assert log.keys_after(0) == ["b", "c", "a"]
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
    assert (log.base, log.keys_after(0)) == (4, ["c", "b"])
    log.forget_through(3)
    assert log.base == 4


def test_a_state_room_begins_anew_and_its_reader_with_it() -> None:
    log = log_of("a", "b")
    reader = Reader(Owner())
    reader.add(log, 2)
    log.begin(Position("e2", 0))
    log.take(1, Draft("v", b"1", key="b"), 0.0)
    for cursor in reader.cursors.values():
        cursor.flush()
    items = reader.take(ENOUGH)
    assert isinstance(items[0], Gap)
    assert (items[0].position, told(items[1:])) == (Position("e2", 0), [("b", 1, False)])
    assert log.values() == log.current(["a", "b"])
