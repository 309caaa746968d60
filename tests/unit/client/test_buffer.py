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
