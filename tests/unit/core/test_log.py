from __future__ import annotations

import sys

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multitransport.core.log import Log, Recovery, Retention
from multitransport.core.publication import Draft
from multitransport.protocol.position import Position

ENOUGH = 1 << 20


def log_of(count: int, retention: Retention | None = None) -> Log:
    """Return a log of one publication a second, the first at time 1; what each says is its offset."""
    log = Log("room", "e1", retention or Retention())
    for offset in range(1, count + 1):
        log.append(Draft("n", b"%d" % offset), float(offset))
    return log


def offsets(log: Log, after: int | None = None, limit_bytes: int = ENOUGH) -> list[int]:
    after = log.base if after is None else after
    return [each.offset for each in log.slice(after, limit_bytes).publications]


# What a publication is


def test_a_publication_gets_the_next_offset() -> None:
    log = log_of(0)
    assert [log.append(Draft("e", b"1"), 0.0).offset for _ in range(3)] == [1, 2, 3]
    assert (log.base, log.top, len(log), log.position) == (0, 3, 3, Position("e1", 3))


def test_the_frame_of_a_publication() -> None:
    publication = Log('a "room"', "e1", Retention()).append(Draft('an "event"', b'{"x": 1}'), 2.5)
    assert publication.frame == b'["pub","a \\"room\\"",1,"an \\"event\\"",{"x": 1}]'
    assert (publication.event, publication.data, publication.at) == ('an "event"', b'{"x": 1}', 2.5)


def test_the_frame_names_the_session_it_is_from() -> None:
    publication = log_of(0).append(Draft("e", b"null", source="session 1"), 0.0)
    assert msgspec.json.decode(publication.frame) == ["pub", "room", 1, "e", None, {"from": "session 1"}]


# Retention, exactly


def test_as_many_are_kept_as_the_count_says() -> None:
    log = log_of(5, Retention(count=3))
    assert (log.base, offsets(log)) == (2, [3, 4, 5])


def test_none_is_kept_where_the_count_says_so() -> None:
    log = log_of(2, Retention(count=0))
    assert (log.base, log.top, len(log), log.size) == (2, 2, 0, 0)


def test_one_as_old_as_the_seconds_say_is_kept_and_an_older_one_is_not() -> None:
    log = log_of(3, Retention(seconds=10.0))
    log.trim(11.0)
    assert log.base == 0
    log.trim(11.000001)
    assert log.base == 1
    log.trim(13.5)
    assert (log.base, log.top, len(log), log.size) == (3, 3, 0, 0)


def test_time_is_kept_by_each_publication() -> None:
    log = log_of(1, Retention(seconds=10.0))
    log.append(Draft("n", b"2"), 11.5)
    assert (log.base, offsets(log)) == (1, [2])


def test_as_many_bytes_are_kept_as_the_retention_says() -> None:
    one = len(log_of(1).slice(0, ENOUGH).frames)
    assert log_of(3, Retention(bytes=3 * one)).base == 0
    assert log_of(3, Retention(bytes=3 * one - 1)).base == 1


def test_a_single_one_over_the_bytes_is_kept_alone() -> None:
    log = log_of(3, Retention(bytes=1))
    assert offsets(log) == [3]
    assert log.size > 1


def test_offsets_go_on_where_nothing_is_left() -> None:
    log = log_of(2, Retention(seconds=1.0))
    log.trim(100.0)
    assert log.append(Draft("n", b"3"), 100.0).offset == 3


STEPS = st.tuples(st.floats(0, 5), st.integers(0, 40))


@given(st.lists(STEPS, max_size=40), st.integers(0, 6), st.floats(0, 12), st.integers(1, 200))
def test_what_is_kept_is_the_longest_end_that_fits(
    steps: list[tuple[float, int]], count: int, seconds: float, size: int
) -> None:
    log = Log("r", "e", Retention(count, seconds, size))
    entries: list[tuple[float, int]] = []
    now = 0.0
    kept = 0
    for wait, length in steps:
        now += wait
        publication = log.append(Draft("e", b'"%s"' % (b"x" * length)), now)
        entries.append((now, len(publication.frame)))
        kept += 1
        while kept:
            end = entries[-kept:]
            fits = kept <= count and now - end[0][0] <= seconds
            if fits and (kept == 1 or sum(each for _, each in end) <= size):
                break
            kept -= 1
        assert (len(log), log.top) == (kept, len(entries))
        assert log.size == sum(each for _, each in entries[len(entries) - kept :])
        if kept:
            assert offsets(log, limit_bytes=1 << 30) == list(range(log.base + 1, log.top + 1))


# Slices


def test_a_slice_begins_after_the_offset() -> None:
    assert offsets(log_of(5), after=2) == [3, 4, 5]


def test_a_slice_ends_where_its_limit_is_met() -> None:
    log = log_of(5)
    one = len(log.slice(4, 1).frames)
    assert offsets(log, 0, 2 * (one + 1)) == [1, 2]
    assert offsets(log, 0, 2 * (one + 1) + 1) == [1, 2, 3]


def test_a_slice_has_at_least_one_publication() -> None:
    assert offsets(log_of(5), 0, 1) == [1]


def test_the_forms_of_a_slice() -> None:
    cut = log_of(2).slice(0, ENOUGH)
    assert cut.frames == b'["pub","room",1,"n",1]\n["pub","room",2,"n",2]'
    assert cut.messages() == [cut.frames.decode()]
    assert cut.event == b'data: ["pub","room",1,"n",1]\ndata: ["pub","room",2,"n",2]\n\n'
    assert (cut.size, cut.last) == (len(cut.frames), 2)


def test_readers_at_one_place_share_what_was_encoded_once() -> None:
    log = log_of(3)
    one, other = log.slice(1, ENOUGH), log.slice(1, ENOUGH)
    assert one is other
    assert one.event is other.event
    assert one.encoded is other.encoded
    assert log.slice(1, 1) is not one


def test_a_slice_does_not_outlive_the_next_publication() -> None:
    log = log_of(2)
    before = log.slice(0, ENOUGH)
    log.append(Draft("n", b"3"), 3.0)
    assert log.slice(0, ENOUGH).last == 3
    assert before.last == 2


def test_no_slice_keeps_what_the_retention_does_not() -> None:
    log = log_of(2, Retention(seconds=10.0))
    cut = log.slice(0, ENOUGH)
    held = sys.getrefcount(cut)
    log.trim(11.5)
    assert sys.getrefcount(cut) == held - 1
    assert offsets(log) == [2]


def test_few_slices_are_kept() -> None:
    log = log_of(20)
    first = log.slice(0, ENOUGH)
    for after in range(1, 20):
        log.slice(after, ENOUGH)
    assert log.slice(0, ENOUGH) is not first


def test_few_bytes_of_slices_are_kept() -> None:
    log = Log("r", "e", Retention(bytes=1 << 30))
    for _ in range(3):
        log.append(Draft("n", b"1" * 200_000), 0.0)
    slices = [log.slice(after, 1) for after in range(3)]
    assert log.slice(2, 1) is slices[2]
    assert log.slice(0, 1) is not slices[0]
    assert log.slice(0, 1 << 30) is not log.slice(0, 1 << 30)
    assert log.slice(0, 1) is log.slice(0, 1)


# Ids


def test_a_repeated_id_adds_nothing_as_long_as_it_is_remembered() -> None:
    log = Log("room", "e1", Retention(count=2))
    offsets = [log.append(Draft("n", b"1", id=each), 0.0).offset for each in ("x", "y", "x", "z", "x", "y")]
    assert offsets == [1, 2, 1, 3, 4, 5]
    assert set(log._ids) == {"x", "y"}


def test_an_id_is_remembered_for_as_long_as_the_retention_says_whatever_became_of_its_publication() -> None:
    log = Log("room", "e1", Retention(bytes=1, seconds=10))

    def append(id: str | None, now: float) -> int:
        return log.append(Draft("n", b"1", id=id), now).offset

    assert [append("x", 0), append(None, 5), append("x", 10), len(log)] == [1, 2, 1, 1]
    log.trim(10.1)
    assert log._ids == {}
    assert append("x", 11) == 3


# Where readers start


@pytest.mark.parametrize(("count", "offset"), [(0, 5), (2, 3), (3, 2), (4, 2), (100, 2)])
def test_a_newcomer_gets_the_latest(count: int, offset: int) -> None:
    log = log_of(5, Retention(count=3))
    assert log.newest(count) == Recovery(offset, True, None)


@pytest.mark.parametrize(
    ("position", "recovery"),
    [
        (Position("e1", 5), Recovery(5, True, None)),
        (Position("e1", 3), Recovery(3, True, None)),
        (Position("e1", 2), Recovery(2, True, None)),
        (Position("e1", 1), Recovery(2, False, 1)),
        (Position("e1", 0), Recovery(2, False, 2)),
        (Position("e1", 6), Recovery(2, False, None)),
        (Position("e0", 3), Recovery(2, False, None)),
    ],
)
def test_a_position_is_recovered_where_nothing_after_it_is_missing(position: Position, recovery: Recovery) -> None:
    assert log_of(5, Retention(count=3)).recover(position) == recovery


def test_an_empty_log_recovers_its_own_beginning() -> None:
    log = log_of(0)
    assert log.recover(Position("e1", 0)) == Recovery(0, True, None)
    assert log.newest(10) == Recovery(0, True, None)


# The end of a log that is kept elsewhere


def test_what_was_given_its_offset_elsewhere_is_taken_as_it_is() -> None:
    log = log_of(2, Retention(count=2))
    log.take(3, Draft("n", b"3"), 3.0)
    assert (log.base, log.top, offsets(log)) == (0, 3, [1, 2, 3])
    log.trim(3.0)
    assert offsets(log) == [2, 3]


def test_older_publications_are_put_before_the_others() -> None:
    log = log_of(0)
    log.restart(Position("e2", 2))
    log.take(3, Draft("n", b"3", id="three"), 3.0)
    seen = offsets(log)
    log.prepend(Draft("n", b"2", id="two"), 2.0)
    log.prepend(Draft("n", b"1"), 1.0)
    assert (seen, log.base, offsets(log), offsets(log, 2)) == ([3], 0, [1, 2, 3], [3])
    assert log.size == sum(len(publication.frame) for publication in log.slice(0, ENOUGH).publications)
    log.trim(1000.0)
    assert (log.base, log.size) == (3, 0)


def test_a_log_begins_anew() -> None:
    log = log_of(3)
    log.append(Draft("n", b"4", id="four"), 4.0)
    log.slice(0, ENOUGH)
    written = log.written
    log.restart(Position("e2", 1))
    assert (log.base, log.top, len(log), log.size, log.position) == (1, 1, 0, 0, Position("e2", 1))
    assert log.written == written
    assert log.append(Draft("n", b"2", id="four"), 5.0).offset == 2
    assert log.recover(Position("e1", 1)) == Recovery(1, False, None)


def test_a_publication_is_found_by_its_offset() -> None:
    log = log_of(3, Retention(count=2))
    found = log.get(3)
    assert found is not None
    assert found.data == b"3"
    assert (log.get(1), log.get(4)) == (None, None)


def test_the_same_id_twice_in_a_log_that_is_kept_elsewhere_does_no_harm() -> None:
    log = log_of(0, Retention(count=1))
    for offset in (1, 2, 3):
        log.take(offset, Draft("n", b"1", id="same"), 0.0)
    log.trim(0.0)
    assert offsets(log) == [3]
