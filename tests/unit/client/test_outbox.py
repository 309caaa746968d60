"""Frames that wait for their outcome."""

from __future__ import annotations

import pytest

from multitransport.client.limits import MAX_UNSENT_BYTES, MAX_UNSENT_FRAMES
from multitransport.client.outbox import Outbox, Pending
from multitransport.errors import QueueFull

PLENTY = 1 << 20


def outbox(count: int, window: int = 64) -> Outbox:
    box = Outbox()
    box.window = window
    for ticket in range(1, count + 1):
        box.add(Pending(ticket, "send", b'"e",1'))
    return box


def send(box: Outbox, attach: int = 1) -> list[int]:
    sent = []
    while (pending := box.next(attach, PLENTY)) is not None:
        sent.append(pending.seq)
    return sent


def test_frames_are_numbered_when_they_are_sent() -> None:
    box = outbox(1)
    assert box.sent_tickets() == set()
    pending = box.next(1, PLENTY)
    assert pending is not None
    assert pending.encode() == b'["send",1,"e",1]'
    assert box.sent_tickets() == {1}


def test_the_window_holds_further_frames_back_until_outcomes_come() -> None:
    box = outbox(5, window=2)
    assert send(box) == [1, 2]
    box.answered(2)
    assert (box.received, send(box)) == (0, [])
    box.answered(1)
    assert (box.received, send(box)) == (2, [3, 4])


def test_an_ack_is_the_outcome_of_those_that_had_none() -> None:
    box = outbox(4)
    send(box)
    box.answered(2)
    assert [pending.seq for pending in box.acknowledged(3)] == [1, 3]
    assert box.received == 3
    assert box.acknowledged(3) == []


def test_what_was_received_out_of_order_is_known_by_its_seq() -> None:
    box = outbox(4)
    assert box.received_beyond() == []
    send(box)
    box.answered(2)
    box.answered(4)
    assert (box.received, box.received_beyond()) == (0, [2, 4])
    box.answered(1)
    assert (box.received, box.received_beyond()) == (2, [4])
    box.acknowledged(3)
    assert (box.received, box.received_beyond()) == (4, [])


def test_a_repeated_outcome_is_no_outcome() -> None:
    box = outbox(1)
    send(box)
    assert box.answered(1) is not None
    assert box.answered(1) is None


def test_what_the_server_has_not_taken_is_repeated_in_order_before_the_rest() -> None:
    box = outbox(5, window=4)
    assert send(box) == [1, 2, 3, 4]
    box.answered(1)
    box.repeat_above(2, attach=2)
    assert send(box, attach=2) == [3, 4, 5]


def test_a_repeat_cut_short_is_taken_up_again() -> None:
    box = outbox(4)
    send(box)
    box.repeat_above(0, attach=2)
    first = box.next(2, PLENTY)
    assert first is not None
    assert first.seq == 1
    box.repeat_above(0, attach=3)
    assert send(box, attach=3) == [1, 2, 3, 4]


def test_what_was_sent_with_this_attach_is_not_repeated_by_its_welcome() -> None:
    box = outbox(2)
    assert send(box, attach=3) == [1, 2]
    box.repeat_above(0, attach=3)
    assert send(box, attach=3) == []


def test_an_outcome_stops_a_repeat() -> None:
    box = outbox(2)
    send(box)
    box.repeat_above(0, attach=2)
    box.answered(1)
    assert send(box, attach=2) == [2]


def test_a_new_session_numbers_anew_and_gives_back_what_was_sent() -> None:
    box = outbox(4, window=2)
    send(box)
    box.repeat_above(1, attach=2)
    lost = box.restart()
    assert [pending.ticket for pending in lost] == [1, 2]
    box.put_back(lost[:1])
    assert send(box) == [1, 2]
    assert box.sent_tickets() == {1, 3}


def test_only_what_was_never_sent_can_be_withdrawn() -> None:
    box = outbox(3, window=1)
    send(box)
    assert box.withdraw(1) is None
    assert box.withdraw(2) is not None
    assert box.withdraw(2) is None
    box.answered(1)
    assert send(box) == [2]
    assert box.sent_tickets() == {3}


def test_it_is_bounded_in_frames() -> None:
    box = outbox(MAX_UNSENT_FRAMES)
    with pytest.raises(QueueFull):
        box.add(Pending(0, "send", b"1"))
    send(box)
    box.answered(1)
    box.add(Pending(0, "send", b"1"))


def test_it_is_bounded_in_bytes_whatever_becomes_of_the_body() -> None:
    box = Outbox()
    large = Pending(1, "join", b"x" * (MAX_UNSENT_BYTES - 10))
    box.add(large)
    with pytest.raises(QueueFull):
        box.add(Pending(2, "send", b"x" * 11))
    large.body += b"longer"
    box.withdraw(1)
    box.add(Pending(3, "send", b"x" * MAX_UNSENT_BYTES))


def test_a_frame_that_does_not_fit_waits() -> None:
    box = outbox(1)
    assert box.next(1, most_bytes=3) is None
    assert box.next(1, most_bytes=5) is not None


def test_an_urgent_frame_goes_before_those_never_sent_and_after_repeats() -> None:
    box = outbox(3, window=8)
    send(box)
    box.add(Pending(4, "send", b"1"))
    box.add(Pending(5, "answer", b"1", urgent=True))
    box.add(Pending(6, "answer", b"1", urgent=True))
    box.repeat_above(2, attach=2)
    order = []
    while (pending := box.next(2, PLENTY)) is not None:
        order.append(pending.ticket)
    assert order == [3, 5, 6, 4]


def test_part_of_the_window_is_for_urgent_frames() -> None:
    box = outbox(20, window=16)
    assert len(send(box)) == 14
    for ticket in (21, 22, 23):
        box.add(Pending(ticket, "answer", b"1", urgent=True))
    assert send(box) == [15, 16]


def test_urgent_frames_mean_nothing_to_another_session() -> None:
    box = outbox(1)
    box.add(Pending(2, "answer", b"1", urgent=True))
    assert [pending.ticket for pending in box.restart()] == [2]
    assert send(box) == [1]
    for ticket in range(MAX_UNSENT_FRAMES - 1):
        box.add(Pending(ticket, "send", b"1"))
    with pytest.raises(QueueFull):
        box.add(Pending(0, "send", b"1"))
