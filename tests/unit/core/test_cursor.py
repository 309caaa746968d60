from __future__ import annotations

from multitransport.core.cursor import Gap
from multitransport.core.log import Log, Retention
from multitransport.core.publication import Draft
from multitransport.core.reader import Reader
from multitransport.protocol.position import Position

ENOUGH = 1 << 20


class Owner:
    def __init__(self) -> None:
        self.session_id = "me"

    def wake(self) -> None:
        """Nobody waits."""

    flush = wake


def log_of(count: int, retention: Retention | None = None) -> Log:
    log = Log("a", "e1", retention or Retention())
    for offset in range(1, count + 1):
        log.append(Draft("n", b"%d" % offset), 0.0)
    return log


def read(reader: Reader, limit: int = ENOUGH) -> list[bytes]:
    for cursor in reader.cursors.values():
        cursor.flush()
    return [item.frames for item in reader.take(limit)]


def test_a_reader_behind_the_retention_is_told_what_it_lost() -> None:
    reader = Reader(Owner())
    log = log_of(2, Retention(count=2))
    reader.add(log, 0)
    for offset in (3, 4, 5):
        log.append(Draft("n", b"%d" % offset), 0.0)
    gap, rest = reader.take(ENOUGH)
    assert isinstance(gap, Gap)
    assert (gap.position, gap.lost) == (Position("e1", 3), 3)
    assert gap.frames == b'["gap","a",["e1",3],3]'
    assert rest.frames == b'["pub","a",4,"n",4]\n["pub","a",5,"n",5]'


def test_a_reader_of_which_nothing_is_left_is_told_so() -> None:
    reader = Reader(Owner())
    log = log_of(2, Retention(seconds=1.0))
    reader.add(log, 0)
    log.trim(10.0)
    assert [item.frames for item in reader.take(ENOUGH)] == [b'["gap","a",["e1",2],2]']
    assert reader.take(ENOUGH) == []


def test_who_disconnects_for_it_is_told_in_the_gap() -> None:
    assert not Gap(log_of(1), 1, 1).disconnect
    assert Gap(log_of(1, Retention(disconnect=True)), 1, 1).disconnect


def test_who_is_excluded_is_not_sent_it_and_moves_past_it() -> None:
    log = log_of(1)
    reader, other = Reader(Owner()), Reader(Owner())
    other.owner.session_id = "other"
    cursor = reader.add(log, 0)
    other.add(log, 0)
    log.append(Draft("n", b"2", exclude="me"), 0.0)
    assert read(reader) == [b'["pub","a",1,"n",1]\n["at","a",["e1",2]]']
    assert read(other) == [b'["pub","a",1,"n",1]\n["pub","a",2,"n",2]']
    assert cursor.offset == 2
    log.append(Draft("n", b"3", exclude="me"), 0.0)
    log.append(Draft("n", b"4"), 0.0)
    assert read(reader) == [b'["pub","a",4,"n",4]']


def test_where_nothing_of_a_slice_is_for_the_reader_it_moves_nevertheless() -> None:
    log = log_of(0)
    reader = Reader(Owner())
    cursor = reader.add(log, 0)
    for _ in range(3):
        log.append(Draft("n", b"1", exclude="me"), 0.0)
    assert [read(reader, 1) for _ in range(4)] == [[b'["at","a",["e1",%d]]' % n] for n in (1, 2, 3)] + [[]]
    assert cursor.offset == 3
