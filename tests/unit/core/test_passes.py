from __future__ import annotations

from typing import Any

from multitransport.core.log import Retention
from multitransport.core.publication import Publication, Slice
from multitransport.core.reader import Gap, Reader
from multitransport.protocol.position import Position
from tests.unit.core.state_rooms import ENOUGH, Owner, log_of, parts, put, read, told

# Passes


def test_a_newcomer_gets_the_current_value_of_each_key_and_then_what_follows() -> None:
    log = log_of("a", "b", "a")
    reader = Reader(Owner())
    reader.add(log, log.newest(50).offset)
    assert read(reader) == [("b", 2, False), ("a", 3, False)]
    put(log, "b")
    assert read(reader) == [("b", 4, False)]
    assert read(reader) == []


def test_readers_at_one_place_share_a_pass() -> None:
    log = log_of("a", "b")
    readers = [Reader(Owner()) for _ in range(2)]
    for reader in readers:
        reader.add(log, 1)
    one, other = (reader.take(ENOUGH)[0] for reader in readers)
    assert one is other


def test_readers_at_one_place_share_the_parts_of_a_large_pass_as_long_as_nothing_changes() -> None:
    log = log_of("a", "b", "c", "d")
    readers = [Reader(Owner(name)) for name in ("me", "other", "late")]
    for reader in readers:
        reader.add(log, 0)
    mine, others = ([item for _ in range(2) for item in reader.take(1)] for reader in readers[:2])
    assert [id(each) for each in mine] == [id(each) for each in others]
    put(log, "d", exclude="other")
    assert [parts(reader) for reader in readers] == [
        [[("c", 3, False)], [("d", 5, False)]],
        [[("c", 3, False)], []],
        [[("a", 1, False)], [("b", 2, False)], [("c", 3, False)], [("d", 5, False)]],
    ]


def test_what_changed_is_looked_through_once_for_all_readers_at_one_place() -> None:
    looks = []

    class Counted(dict[int, Publication]):
        def values(self) -> Any:
            looks.append(len(self))
            return super().values()

    log = log_of(*(f"k{number}" for number in range(100)))
    log._publications = Counted(log._publications)
    for limit in (ENOUGH, 1_000):
        readers = [Reader(Owner()) for _ in range(50)]
        for reader in readers:
            reader.add(log, 0)
        batches = [[told(reader.take(limit)) for _ in range(6)] for reader in readers]
        assert all(each == batches[0] for each in batches)
        assert sum(map(len, batches[0])) == 100
    assert len(looks) <= 4


def test_few_large_passes_are_kept() -> None:
    log = log_of(*(f"k{number}" for number in range(20)))
    assert [len(log.begin(after).keys) for after in range(20)] == list(range(20, 0, -1))
    assert len(log._passes) <= 8


def test_a_pass_in_one_batch_ends_with_its_position() -> None:
    reader = Reader(Owner())
    reader.add(log_of("a"), 0)
    assert reader.take(ENOUGH)[0].frames.endswith(b'\n["at","r",["e1",1]]')


def test_a_large_pass_goes_out_in_parts_each_value_as_it_is_then() -> None:
    log = log_of(*(f"k{n}" for n in range(6)))
    reader = Reader(Owner())
    cursor = reader.add(log, 0)
    first = told(reader.take(1))
    put(log, "k1")
    put(log, "k0")
    put(log, "k5", deleted=True)
    assert (first, cursor.offset) == ([("k0", 1, False)], 0)
    rest = [[("k1", 7, False)], [("k2", 3, False)], [("k3", 4, False)], [("k4", 5, False)]]
    assert [told(reader.take(1)) for _ in range(4)] == rest
    last = reader.take(1)
    assert told(last) == [("k5", 9, True)]
    assert last[0].frames.endswith(b'\n["at","r",["e1",6]]')
    assert cursor.offset == 6
    assert read(reader) == [("k1", 7, False), ("k0", 8, False), ("k5", 9, True)]
    assert cursor.offset == 9


def test_no_pass_follows_another_unless_the_reader_was_told_to_read_meanwhile() -> None:
    """Whoever bounds the rate of passes tells it less often than there is news."""
    log = log_of("a", "b")
    reader = Reader(Owner())
    cursor = reader.add(log, 0)
    reader.take(1)
    put(log, "c")
    assert parts(reader) == [[("b", 2, False)]]
    assert cursor.behind
    cursor.flush()
    assert parts(reader) == [[("c", 3, False)]]
    put(log, "a")
    put(log, "b")
    cursor.flush()
    reader.take(1)
    put(log, "c")
    put(log, "d")
    cursor.flush()
    assert [told(reader.take(1)) for _ in range(2)] == [[("b", 5, False)], [("c", 6, False)]]
    put(log, "e")
    assert parts(reader) == [[("d", 7, False)]]


def test_busy_keys_do_not_hold_up_the_others() -> None:
    keys = [f"k{n}" for n in range(20)]
    log = log_of(*keys)
    reader = Reader(Owner())
    reader.add(log, 0)
    seen: set[str] = set()
    for _ in range(20):
        seen.update(key for key, _, _ in read(reader, 1))
        for key in keys:
            put(log, key)
    assert seen == set(keys)


def test_a_reader_that_does_not_come_back_gets_its_pass_whole() -> None:
    log = log_of("a", "b", "c")
    reader = Reader(Owner(), whole=True)
    cursor = reader.add(log, 0)
    assert told(reader.take(1)) == [("a", 1, False), ("b", 2, False), ("c", 3, False)]
    assert cursor.offset == 3
    assert not reader.ready


def test_a_room_that_begins_anew_with_nothing_is_a_gap_and_no_pass() -> None:
    log = log_of("a")
    reader = Reader(Owner())
    reader.add(log, 1).flush()
    log.restart(Position("e2", 0))
    reader.cursors[log.room].flush()
    [gap] = reader.take(ENOUGH)
    assert isinstance(gap, Gap)
    assert gap.position == Position("e2", 0)
    assert not reader.ready


def test_a_single_large_publication_goes_out_in_one_batch_with_its_position() -> None:
    log = log_of("a")
    reader = Reader(Owner())
    cursor = reader.add(log, 0)
    assert told(reader.take(1)) == [("a", 1, False)]
    assert cursor.offset == 1


# Forgotten deletions


def test_a_reader_from_before_a_forgotten_deletion_is_told_and_begins_anew() -> None:
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


def test_a_newcomer_who_has_seen_nothing_is_not_told_of_a_forgotten_deletion() -> None:
    log = log_of("a", "b", "c", retention=Retention(keys=10, seconds=10))
    put(log, "a", 4, deleted=True)
    log.trim(15)
    put(log, "b", 15, deleted=True)
    reader = Reader(Owner())
    reader.add(log, log.newest(0).offset)
    log.trim(30)
    assert [type(item) for item in reader.take(ENOUGH)] == [Slice]


def test_a_newcomer_is_not_told_of_what_was_deleted_before_its_pass() -> None:
    log = log_of("a", "b", "c", "d", retention=Retention(keys=10, seconds=10))
    put(log, "a", 5, deleted=True)
    log.trim(16)
    put(log, "c", 16, deleted=True)
    reader = Reader(Owner())
    reader.add(log, 0)
    assert read(reader, 1) == [("b", 2, False)]
    log.trim(30)
    assert parts(reader) == [[("d", 4, False)], []]


def test_a_newcomer_who_has_seen_a_part_begins_anew_where_what_it_saw_may_be_deleted() -> None:
    log = log_of("a", "b", "c", "d", retention=Retention(keys=10, seconds=10))
    put(log, "a", 5, deleted=True)
    log.trim(16)
    reader = Reader(Owner())
    reader.add(log, 0)
    assert read(reader, 1) == [("b", 2, False)]
    put(log, "b", 17, deleted=True)
    log.trim(30)
    gap, first = reader.take(1)
    assert (type(gap), told([first])) == (Gap, [("c", 3, False)])
    assert parts(reader) == [[("d", 4, False)]]


def test_a_reader_that_comes_back_to_the_very_beginning_may_have_seen_a_part() -> None:
    log = log_of("a", "b", retention=Retention(keys=10, seconds=10))
    reader = Reader(Owner())
    put(log, "a", 3, deleted=True)
    reader.add(log, log.recover(Position("e1", 0)).offset)
    log.trim(14)
    assert type(reader.take(ENOUGH)[0]) is Gap


# Exclusion


def test_who_is_excluded_is_not_sent_it_in_whole_passes_and_in_parts() -> None:
    for limit in (ENOUGH, 1):
        log = log_of("a", "b")
        put(log, "a", exclude="other")
        reader = Reader(Owner())
        reader.add(log, 1)
        put(log, "c", exclude="me")
        put(log, "d", exclude="me")
        put(log, "e")
        assert read(reader, limit) + read(reader, limit) + read(reader, limit) == [
            ("b", 2, False),
            ("a", 3, False),
            ("e", 6, False),
        ]
        assert not reader.ready


def test_a_pass_of_which_nothing_is_for_the_reader_moves_it() -> None:
    log = log_of("a")
    reader = Reader(Owner())
    cursor = reader.add(log, 1)
    put(log, "b", exclude="me")
    cursor.flush()
    assert [item.frames for item in reader.take(ENOUGH)] == [b'["at","r",["e1",2]]']


def test_who_begins_anew_is_sent_also_the_values_that_exclude_it() -> None:
    """It has cleared what it had, its own values too."""
    log = log_of("a", "b", retention=Retention(keys=10, seconds=10))
    reader = Reader(Owner())
    cursor = reader.add(log, 2)
    put(log, "c", exclude="me")
    put(log, "a", 3, deleted=True)
    log.trim(14)
    cursor.flush()
    assert [told([item]) for item in reader.take(ENOUGH)] == [[], [("b", 2, False), ("c", 3, False)]]
    put(log, "d", exclude="me")
    assert read(reader) == []
