from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from multitransport.core.log import Log, Retention
from multitransport.core.publication import Draft, Publication, Slice, publish_frame
from multitransport.core.reader import Flash, Gap, Reader
from multitransport.protocol.position import Position

ENOUGH = 1 << 20


class Owner:
    """Counts how often it is told."""

    def __init__(self) -> None:
        self.session_id = "me"
        self.woken = self.flushed = 0

    def wake(self) -> None:
        self.woken += 1

    def flush(self) -> None:
        self.flushed += 1


def log_of(room: str, count: int, retention: Retention | None = None) -> Log:
    log = Log(room, "e1", retention or Retention())
    for offset in range(1, count + 1):
        log.append(Draft("n", b"%d" % offset), 0.0)
    return log


def told(items: list[Slice | Gap]) -> list[tuple[str, int]]:
    """Return what was taken, as a client sees it: each publication with its room and offset, a gap with its end."""
    frames = [msgspec.json.decode(line) for item in items for line in item.frames.splitlines()]
    return [(frame[1], frame[2] if frame[0] == "pub" else -frame[2][1]) for frame in frames]


def test_a_reader_starts_after_its_offset_and_tells_that_there_is_something() -> None:
    owner = Owner()
    reader = Reader(owner)
    reader.add(log_of("a", 3), 1)
    assert (owner.woken, owner.flushed) == (1, 0)
    assert told(reader.take(ENOUGH)) == [("a", 2), ("a", 3)]
    assert reader.take(ENOUGH) == []


def test_a_reader_at_the_end_waits_for_what_comes() -> None:
    owner = Owner()
    reader = Reader(owner)
    log = log_of("a", 3)
    cursor = reader.add(log, 3)
    assert (owner.woken, reader.take(ENOUGH)) == (0, [])
    log.append(Draft("n", b"4"), 0.0)
    assert reader.take(ENOUGH) == []
    cursor.flush()
    assert owner.flushed == 1
    assert told(reader.take(ENOUGH)) == [("a", 4)]


def test_a_reader_that_was_told_and_has_not_read_stands_in_line_once() -> None:
    owner = Owner()
    reader = Reader(owner)
    log = log_of("a", 0)
    cursor = reader.add(log, 0)
    for _ in range(3):
        log.append(Draft("n", b"0"), 0.0)
        cursor.flush()
    assert len(reader.ready) == 1
    assert told(reader.take(ENOUGH)) == [("a", 1), ("a", 2), ("a", 3)]
    assert reader.ready == []


def test_rooms_are_served_in_turn() -> None:
    reader = Reader(Owner())
    hot, quiet = log_of("hot", 6), log_of("quiet", 1)
    one = len(hot.slice(0, 1).frames)
    reader.add(hot, 0)
    reader.add(quiet, 0)
    batches = []
    while items := reader.take(2 * (one + 1)):
        batches.append(told(items))
    assert batches == [
        [("hot", 1), ("hot", 2), ("quiet", 1)],
        [("hot", 3), ("hot", 4), ("hot", 5), ("hot", 6)],
    ]


def test_a_batch_has_at_least_one_item_and_ends_past_its_limit() -> None:
    reader = Reader(Owner())
    reader.add(log_of("a", 3), 0)
    assert [told(reader.take(1)) for _ in range(4)] == [[("a", 1)], [("a", 2)], [("a", 3)], []]


def test_a_second_cursor_in_a_room_takes_the_place_of_the_first() -> None:
    reader = Reader(Owner())
    log = log_of("a", 3)
    first = reader.add(log, 0)
    second = reader.add(log, 2)
    assert first is not second
    assert told(reader.take(ENOUGH)) == [("a", 3)]


def test_a_room_that_is_left_is_read_no_more() -> None:
    reader = Reader(Owner())
    cursor = reader.add(log_of("a", 3), 0)
    assert reader.remove("a") is cursor
    assert reader.remove("a") is None
    assert (reader.take(ENOUGH), reader.cursors) == ([], {})


def test_a_room_without_news_is_left() -> None:
    reader = Reader(Owner())
    cursor = reader.add(log_of("a", 3), 3)
    assert reader.remove("a") is cursor
    assert reader.ready == []


def test_a_reader_that_is_held_waits_until_it_is_told() -> None:
    owner = Owner()
    reader = Reader(owner)
    cursor = reader.add(log_of("a", 1), 0, held=True)
    assert (owner.woken, reader.take(ENOUGH)) == (0, [])
    cursor.flush()
    assert told(reader.take(ENOUGH)) == [("a", 1)]


# What is volatile


def volatile(data: bytes, exclude: str | None = None, log: Log | None = None) -> Flash:
    draft = Draft("n", data, exclude=exclude)
    found = Slice([Publication(0, draft, publish_frame("a", None, draft), 0.0)], 0)
    log = log_of("a", 0) if log is None else log
    return Flash(found, log, log.top)


def test_what_is_volatile_is_read_once_among_what_is_not_as_it_was_published() -> None:
    reader = Reader(Owner())
    log = log_of("a", 1)
    cursor = reader.add(log, 0)
    reader.flash(volatile(b"2", log=log))
    assert [item.frames for item in reader.take(ENOUGH)] == [b'["pub","a",1,"n",1]', b'["pub","a",null,"n",2]']
    assert reader.take(ENOUGH) == []
    reader.flash(volatile(b"3", log=log))
    log.append(Draft("n", b"4"), 0.0)
    cursor.flush()
    reader.flash(volatile(b"5", log=log))
    assert [item.frames for item in reader.take(ENOUGH)] == [
        b'["pub","a",null,"n",3]',
        b'["pub","a",2,"n",4]',
        b'["pub","a",null,"n",5]',
    ]


def test_who_is_excluded_is_not_sent_what_is_volatile() -> None:
    reader = Reader(Owner())
    reader.flash(volatile(b"1", "me"))
    reader.flash(volatile(b"2", "other"))
    assert [item.frames for item in reader.take(ENOUGH)] == [b'["pub","a",null,"n",2]']


def test_a_reader_that_does_not_read_misses_what_is_volatile_beyond_some_bytes() -> None:
    reader = Reader(Owner())
    for _ in range(1000):
        reader.flash(volatile(b"1" * 20_000))
    assert len(reader.take(1)) == 4
    reader.flash(volatile(b"1" * 100_000))
    assert len(reader.take(1)) == 1


@given(
    st.lists(st.sampled_from("ab") | st.integers(1, 200), max_size=60),
    st.integers(1, 4),
)
def test_every_publication_is_read_once_and_in_order_or_told_as_lost(steps: list[str | int], count: int) -> None:
    """A letter publishes to that room, a number reads that many bytes."""
    reader = Reader(Owner())
    logs = {room: log_of(room, 0, Retention(count=count)) for room in "ab"}
    cursors = {room: reader.add(log, 0) for room, log in logs.items()}
    position = {"a": 0, "b": 0}

    def read(limit: int) -> None:
        for item in reader.take(limit):
            if isinstance(item, Gap):
                room = msgspec.json.decode(item.frames)[1]
                assert item.position.offset == position[room] + (item.lost or 0)
                position[room] = item.position.offset
            else:
                for room, offset in told([item]):
                    assert offset == position[room] + 1
                    position[room] = offset

    for step in steps:
        if isinstance(step, str):
            logs[step].append(Draft("n", b"0"), 0.0)
            cursors[step].flush()
        else:
            read(step)
    while reader.ready:
        read(100)
    assert position == {room: log.top for room, log in logs.items()}


# A log that begins anew


def test_a_reader_is_told_of_another_epoch_even_where_nothing_was_published() -> None:
    owner = Owner()
    reader = Reader(owner)
    log = log_of("a", 3)
    cursor = reader.add(log, 3)
    log.restart(Position("e2", 1))
    assert cursor.behind
    cursor.flush()
    [gap] = reader.take(ENOUGH)
    assert isinstance(gap, Gap)
    assert (gap.position, gap.lost) == (Position("e2", 1), None)
    assert reader.take(ENOUGH) == []
    log.append(Draft("n", b"2"), 0.0)
    cursor.flush()
    assert told(reader.take(ENOUGH)) == [("a", 2)]


def test_what_follows_in_another_epoch_is_read_after_the_gap() -> None:
    reader = Reader(Owner())
    log = log_of("a", 3)
    cursor = reader.add(log, 1)
    log.restart(Position("e2", 0))
    log.append(Draft("n", b"1"), 0.0)
    cursor.flush()
    assert told(reader.take(ENOUGH)) == [("a", 0), ("a", 1)]


def test_a_hole_that_nobody_can_fill_is_a_gap() -> None:
    reader = Reader(Owner())
    log = log_of("a", 3)
    cursor = reader.add(log, 3)
    log.restart(Position("e1", 10))
    log.append(Draft("n", b"11"), 0.0)
    cursor.flush()
    gap, _ = items = reader.take(ENOUGH)
    assert isinstance(gap, Gap)
    assert (gap.lost, told(items)) == (7, [("a", -10), ("a", 11)])
