from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest

from multitransport.core.heartbeat import Heartbeat, Pulse
from multitransport.core.log import Log, Retention
from multitransport.core.publication import Draft
from multitransport.core.session import SessionRecord
from multitransport.node.attachment import Attachment, Batch, Close
from multitransport.node.turn import Turn
from multitransport.protocol.codes import CloseCode
from tests.simulated import simulated, simulated_loop
from tests.unit.node.site import frames_of

ENOUGH = 1 << 20


class Carried:
    """An attachment, and how often its transport is told of news."""

    def __init__(self) -> None:
        self.record = SessionRecord("s", "n", b"", None, 1)
        pulse = Pulse(math.inf, math.inf, math.inf, math.inf)
        heartbeat = Heartbeat(pulse, simulated_loop().time(), confirmed=True)
        self.attachment = Attachment(self.record, "sse", 1, heartbeat, Turn(simulated_loop()), 2.0)
        self.attachment.on_news = self.note
        self.told = 0
        self.log = Log("r", "e", Retention())

    def note(self) -> None:
        self.told += 1

    def publish(self) -> None:
        self.log.append(Draft("n", b"1"), 0.0)

    def process(self, seq: int, outcome: bytes | None = None) -> None:
        """Do as the dispatch does with a claimed frame."""
        self.record.inbox.claim([seq], 64)
        self.record.inbox.commit(seq, outcome, ENOUGH)
        if outcome is not None:
            self.attachment.put(seq, outcome)
        self.attachment.acknowledge()

    def take(self) -> list[Any]:
        batch = self.attachment.take(ENOUGH)
        return [] if batch is None else frames_of(batch.frames)


@simulated
async def test_no_ack_covers_an_outcome_that_was_not_told() -> None:
    carried = Carried()
    inbox, attachment = carried.record.inbox, carried.attachment
    inbox.claim([1, 2, 3, 4], 64)
    inbox.commit(2, b'["reply",2,"early"]', ENOUGH)
    attachment.put(2, b'["reply",2,"early"]')
    attachment.acknowledge()
    assert carried.take() == [["reply", 2, "early"], ["ack", 0]]
    inbox.commit(1, b'["reply",1,"of another node"]', ENOUGH)
    inbox.commit(3, None, ENOUGH)
    inbox.commit(4, b'["reply",4,"here"]', ENOUGH)
    attachment.put(4, b'["reply",4,"here"]')
    attachment.acknowledge()
    assert sorted(carried.take()) == [["ack", 4], ["reply", 1, "of another node"], ["reply", 4, "here"]]
    attachment.acknowledge()
    assert carried.take() == []


@simulated
async def test_an_outcome_that_is_told_anew_stays_before_the_ack_that_covers_it() -> None:
    carried = Carried()
    carried.process(1, b'["reply",1,"x"]')
    ack = carried.attachment.acked()
    assert ack is not None
    carried.attachment.put("@ack", ack)
    carried.attachment.put(1, b'["reply",1,"x"]')
    assert carried.take() == [["reply", 1, "x"], ["ack", 1]]


@pytest.mark.parametrize(
    ("close", "frame"),
    [
        (Close(CloseCode.BYE), ["close", 3509, ""]),
        (Close(CloseCode.STALLED, "why"), ["close", 3003, "why"]),
        (
            Close(CloseCode.GOING_AWAY, "why", retry_after_seconds=1.23456),
            ["close", 3000, "why", {"retry_after": 1.235}],
        ),
        (Close(CloseCode.REFUSED, "why", app_code="no_entry"), ["close", 3505, "why", {"code": "no_entry"}]),
    ],
)
def test_the_frame_of_a_close(close: Close, frame: list[Any]) -> None:
    assert frames_of(close.frame) == [frame]


def test_a_batch_is_control_frames_then_publications_then_the_close() -> None:
    log = Log("r", "e", Retention())
    log.append(Draft("n", b"1"), 0.0)
    batch = Batch([b'["ack",1]'], [log.slice(0, ENOUGH)], Close(CloseCode.BYE))
    assert [frame[0] for frame in frames_of(batch.frames)] == ["ack", "pub", "close"]


@simulated
async def test_the_first_batch_acknowledges_and_an_empty_one_is_none() -> None:
    carried = Carried()
    assert carried.take() == [["ack", 0]]
    assert carried.attachment.take(ENOUGH) is None


@simulated
async def test_a_control_frame_takes_the_place_of_one_with_the_same_key() -> None:
    carried = Carried()
    carried.take()
    for n in range(1000):
        carried.attachment.put("@pong", b'["pong",%d]' % n)
    carried.attachment.put("room", b'["left",null,"room"]')
    carried.attachment.put("@pong", b'["pong",1000]')
    assert carried.take() == [["left", None, "room"], ["pong", 1000]]


@simulated
async def test_outcomes_come_before_the_ack_that_covers_them() -> None:
    carried = Carried()
    carried.take()
    carried.process(1, b'["reply",1,"x"]')
    carried.process(2)
    assert carried.take() == [["reply", 1, "x"], ["ack", 2]]


@simulated
async def test_what_is_processed_is_not_acknowledged_before_it_is_told() -> None:
    carried = Carried()
    carried.take()
    carried.record.inbox.claim([1], 64)
    carried.record.inbox.commit(1, b'["reply",1,"x"]', ENOUGH)
    assert carried.take() == []
    carried.attachment.put(1, b'["reply",1,"x"]')
    carried.attachment.acknowledge()
    assert carried.take() == [["reply", 1, "x"], ["ack", 1]]


@simulated
async def test_an_ack_is_repeated_where_a_seq_is() -> None:
    carried = Carried()
    carried.process(1)
    carried.take()
    assert carried.take() == []
    carried.attachment.repeat(1)
    assert carried.take() == [["ack", 1]]


@simulated
async def test_its_transport_is_told_once_when_what_runs_now_is_done() -> None:
    carried = Carried()
    for n in range(5):
        carried.attachment.put(n, b'["reply",1,1]')
    assert (carried.told, carried.attachment.news) == (0, True)
    await simulated_loop().settle()
    assert carried.told == 1
    carried.attachment.wake()
    await simulated_loop().settle()
    assert carried.told == 2


@simulated
async def test_what_is_no_news_wakes_nobody_and_comes_with_the_next() -> None:
    carried = Carried()
    carried.attachment.put("@welcome", b'["welcome",{}]', news=False)
    await simulated_loop().settle()
    assert (carried.told, carried.attachment.news) == (0, False)
    carried.attachment.put("@pong", b'["pong",1]')
    assert carried.take() == [["welcome", {}], ["pong", 1], ["ack", 0]]


@simulated
async def test_joining_a_room_with_something_to_read_is_news() -> None:
    carried = Carried()
    carried.publish()
    carried.attachment.reader.add(carried.log, 0)
    await simulated_loop().settle()
    assert (carried.told, carried.attachment.news) == (1, True)
    assert [frame[0] for frame in carried.take()] == ["ack", "pub"]
    assert not carried.attachment.news


@simulated
async def test_the_close_is_the_last_word_and_there_is_one() -> None:
    carried = Carried()
    carried.take()
    carried.attachment.close(Close(CloseCode.GOING_AWAY, "first"))
    carried.attachment.close(Close(CloseCode.STALLED, "second"))
    carried.attachment.put("@pong", b'["pong",1]')
    assert carried.take() == [["pong", 1], ["close", 3000, "first"]]


@simulated
async def test_a_transport_that_does_not_end_after_its_close_is_cut() -> None:
    carried = Carried()
    cut = []
    start = simulated_loop().time()
    carried.attachment.abort = lambda: cut.append(simulated_loop().time() - start)
    carried.attachment.close(Close(CloseCode.BYE))
    await asyncio.sleep(10)
    assert cut == [2.0]


@simulated
async def test_a_transport_that_has_ended_is_told_and_cut_no_more() -> None:
    carried = Carried()
    cut = []
    carried.attachment.abort = lambda: cut.append(1)
    carried.attachment.close(Close(CloseCode.BYE))
    carried.attachment.ended()
    carried.attachment.ended()
    carried.attachment.wake()
    await asyncio.sleep(10)
    assert (cut, carried.told) == ([], 0)
