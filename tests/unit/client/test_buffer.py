"""What waits for the program is bounded, and what had to go is counted."""

from __future__ import annotations

import pytest

from multitransport.client.buffer import RoomBuffer
from multitransport.client.events import Gap, Publication
from multitransport.protocol.position import Position


def publication(offset: int) -> Publication:
    return Publication("r", "e", offset, Position("x", offset))


def drain(buffer: RoomBuffer) -> list[Publication | Gap]:
    return [buffer.take() for _ in range(len(buffer))]


def test_items_come_out_in_order() -> None:
    buffer = RoomBuffer()
    items: list[Publication | Gap] = [publication(1), Gap("r", Position("x", 5), 4), publication(6)]
    for item in items:
        buffer.put(item)
    assert drain(buffer) == items
    with pytest.raises(IndexError):
        buffer.take()


def test_the_oldest_are_dropped_and_counted() -> None:
    buffer = RoomBuffer(max_items=2)
    for offset in range(1, 6):
        buffer.put(publication(offset))
    assert drain(buffer) == [Gap("r", Position("x", 3), 3), publication(4), publication(5)]


def test_a_dropped_gap_is_counted_with_what_it_counted() -> None:
    buffer = RoomBuffer(max_items=1)
    for item in (publication(1), Gap("r", Position("x", 8), 7), publication(9)):
        buffer.put(item)
    assert drain(buffer) == [Gap("r", Position("x", 8), 8), publication(9)]


def test_an_unknown_loss_stays_unknown() -> None:
    buffer = RoomBuffer(max_items=1)
    for item in (Gap("r", Position("y", 0), None), publication(1), publication(2)):
        buffer.put(item)
    assert drain(buffer) == [Gap("r", Position("x", 1), None), publication(2)]


def keyed(key: str, offset: int) -> Publication:
    return Publication("r", "e", offset, Position("x", offset), key=key)


def conflating(max_items: int = 10) -> RoomBuffer:
    buffer = RoomBuffer(max_items)
    buffer.conflate = True
    return buffer


def test_of_a_state_room_only_the_newest_of_each_key_waits_in_the_place_of_the_first() -> None:
    buffer = conflating(max_items=2)
    for item in (keyed("a", 1), keyed("b", 2), keyed("a", 3), keyed("a", 4)):
        buffer.put(item)
    assert drain(buffer) == [keyed("a", 4), keyed("b", 2)]
    for item in (keyed("a", 5), keyed("b", 6), keyed("c", 7)):
        buffer.put(item)
    assert drain(buffer) == [Gap("r", Position("x", 5), 1), keyed("b", 6), keyed("c", 7)]


def test_a_gap_of_a_state_room_makes_what_waits_void() -> None:
    buffer = conflating()
    gap = Gap("r", Position("x", 0), None)
    for item in (keyed("a", 1), gap, keyed("a", 2)):
        buffer.put(item)
    assert drain(buffer) == [gap, keyed("a", 2)]


def test_volatile_publications_are_neither_conflated_nor_counted() -> None:
    buffer = conflating(max_items=2)
    volatile = Publication("r", "cursor", 1, None, key="a")
    for item in (volatile, volatile, keyed("a", 1)):
        buffer.put(item)
    assert drain(buffer) == [volatile, keyed("a", 1)]


def test_a_log_room_keeps_them_all() -> None:
    buffer = RoomBuffer()
    buffer.put(keyed("a", 1))
    buffer.put(keyed("a", 2))
    assert drain(buffer) == [keyed("a", 1), keyed("a", 2)]
