"""What every broker is tested for, whatever its rooms keep."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

import pytest
import pytest_asyncio
from msgspec import structs

from multitransport.brokers.base import Broker
from multitransport.core.log import Log, Recovery, Retention
from multitransport.core.publication import Draft
from multitransport.protocol.position import Position
from multitransport.testing.waiting import eventually

__all__ = ["BrokerFixtures", "LogContract"]

KEEP = Retention(count=1000, seconds=60.0, bytes=1 << 20)
ENOUGH = 1 << 20


def _contents(log: Log, after: int | None = None) -> list[tuple[int, str, bytes]]:
    """Return what a reader of the log gets."""
    read: list[tuple[int, str, bytes]] = []
    at = log.base if after is None else after
    while at < log.top:
        for publication in log.slice(at, ENOUGH).publications:
            read.append((publication.offset, publication.draft.event, publication.draft.data))
            at = publication.offset
    return read


class BrokerFixtures(ABC):
    """A broker to be tested, and what it tells its node."""

    pytestmark = pytest.mark.asyncio

    @abstractmethod
    def open_broker(self) -> AbstractAsyncContextManager[Broker]:
        """Return a broker that keeps no room yet and was not started, for the time of one test."""

    async def pass_time(self, seconds: float) -> None:
        """Let so much of the broker's time pass, which is below a second."""
        await asyncio.sleep(seconds)

    @pytest.fixture
    def advanced(self) -> list[str]:
        """The rooms the node was told of."""
        return []

    @pytest.fixture
    def flashed(self) -> list[tuple[str, Draft]]:
        """The volatile publications the node was told of."""
        return []

    @pytest_asyncio.fixture
    async def broker(self, advanced: list[str], flashed: list[tuple[str, Draft]]) -> AsyncIterator[Broker]:
        """A broker that serves a node."""
        async with self.open_broker() as broker:
            await broker.start(advanced.append, lambda room, draft: flashed.append((room, draft)))
            yield broker
            await broker.stop()


class LogContract(BrokerFixtures):
    """The contract of a Broker's log rooms."""

    async def test_publications_get_the_next_offsets(self, broker: Broker) -> None:
        positions = [await broker.publish("a", Draft("e", b"1"), KEEP) for _ in range(3)]
        assert [position.offset for position in positions] == [1, 2, 3]
        assert len({position.epoch for position in positions}) == 1

    async def test_rooms_count_by_themselves(self, broker: Broker) -> None:
        one, other = (
            await broker.publish("a", Draft("e", b"1"), KEEP),
            await broker.publish("b", Draft("e", b"1"), KEEP),
        )
        assert (one.offset, other.offset) == (1, 1)

    async def test_what_is_published_is_in_the_log(self, broker: Broker) -> None:
        await broker.publish("a", Draft("größe", '{"text": "日本"}'.encode()), KEEP)
        position = await broker.publish("a", Draft("line", b"[1,2]"), KEEP)
        log = await broker.subscribe("a", KEEP, Position(position.epoch, 0))
        assert _contents(log) == [(1, "größe", '{"text": "日本"}'.encode()), (2, "line", b"[1,2]")]
        assert (log.room, log.position) == ("a", position)

    async def test_the_source_is_in_the_frame(self, broker: Broker) -> None:
        position = await broker.publish("a", Draft("e", b"1", source="session 1"), KEEP)
        log = await broker.subscribe("a", KEEP, Position(position.epoch, 0))
        assert log.slice(0, ENOUGH).frames == b'["pub","a",1,"e",1,{"from":"session 1"}]'

    async def test_a_room_nobody_published_to(self, broker: Broker) -> None:
        log = await broker.subscribe("a", KEEP)
        assert (log.base, log.top) == (0, 0)
        position = await broker.publish("a", Draft("e", b"1"), KEEP)
        assert position == Position(log.epoch, 1)

    async def test_a_subscribed_log_grows_and_the_node_is_told(self, broker: Broker, advanced: list[str]) -> None:
        await broker.publish("a", Draft("e", b"0"), KEEP)
        log = await broker.subscribe("a", KEEP)
        start = log.top
        advanced.clear()
        for n in range(1, 21):
            await broker.publish("a", Draft("e", b"%d" % n), KEEP)
        await eventually(lambda: log.top == start + 20 and "a" in advanced)
        assert _contents(log, start) == [(start + n, "e", b"%d" % n) for n in range(1, 21)]

    async def test_a_subscribed_log_reaches_back_to_a_position(self, broker: Broker) -> None:
        positions = [await broker.publish("a", Draft("e", b"%d" % n), KEEP) for n in range(1, 6)]
        log = await broker.subscribe("a", KEEP, positions[1])
        recovery = log.recover(positions[1])
        assert recovery == Recovery(2, True, None)
        assert _contents(log, recovery.offset) == [(n, "e", b"%d" % n) for n in (3, 4, 5)]

    async def test_a_subscribed_log_reaches_back_as_far_as_a_newcomer_wants(self, broker: Broker) -> None:
        for n in range(1, 6):
            await broker.publish("a", Draft("e", b"%d" % n), KEEP)
        log = await broker.subscribe("a", KEEP, None, 2)
        assert _contents(log, log.newest(2).offset) == [(n, "e", b"%d" % n) for n in (4, 5)]

    async def test_a_position_no_longer_kept_is_known_as_such(self, broker: Broker) -> None:
        few = Retention(count=2)
        positions = [await broker.publish("a", Draft("e", b"%d" % n), few) for n in range(1, 6)]
        log = await broker.subscribe("a", few, positions[0])
        recovery = log.recover(positions[0])
        assert (recovery.recovered, recovery.lost) == (False, log.base - 1)
        assert _contents(log, recovery.offset)[-2:] == [(n, "e", b"%d" % n) for n in (4, 5)]

    async def test_no_more_is_kept_than_the_bytes_allow(self, broker: Broker) -> None:
        small = Retention(bytes=1000)
        for _ in range(10):
            await broker.publish("a", Draft("e", b'"%s"' % (b"x" * 300)), small)
        log = await broker.subscribe("a", small, None, 10)
        assert 1 <= len(_contents(log)) <= 3

    async def test_what_is_too_old_is_not_read_again(self, broker: Broker) -> None:
        brief = Retention(seconds=0.1)
        position = await broker.publish("a", Draft("e", b"1"), brief)
        await self.pass_time(0.2)
        log = await broker.subscribe("a", brief, Position(position.epoch, 0))
        assert not log.recover(Position(position.epoch, 0)).recovered
        assert _contents(log) == []

    async def test_a_position_never_means_something_else(self, broker: Broker) -> None:
        brief = Retention(seconds=0.1)
        former = await broker.publish("a", Draft("e", b"1"), brief)
        await self.pass_time(0.2)
        await broker.sweep()
        position = await broker.publish("a", Draft("e", b"2"), brief)
        assert position.epoch != former.epoch or position.offset == former.offset + 1

    async def test_a_sweep_takes_nothing_that_is_kept(self, broker: Broker) -> None:
        position = await broker.publish("a", Draft("e", b"1"), KEEP)
        log = await broker.subscribe("b", KEEP)
        await broker.sweep()
        assert (await broker.publish("a", Draft("e", b"2"), KEEP)) == Position(position.epoch, 2)
        assert (await broker.publish("b", Draft("e", b"1"), KEEP)) == Position(log.epoch, 1)
        await eventually(lambda: _contents(log) == [(1, "e", b"1")])

    async def test_a_room_can_be_let_go_of_and_taken_up_again(self, broker: Broker) -> None:
        position = await broker.publish("a", Draft("e", b"1"), KEEP)
        await broker.subscribe("a", KEEP)
        await broker.unsubscribe("a")
        await broker.publish("a", Draft("e", b"2"), KEEP)
        log = await broker.subscribe("a", KEEP, position)
        await broker.publish("a", Draft("e", b"3"), KEEP)
        await eventually(lambda: log.top == 3)
        assert log.epoch == position.epoch
        assert _contents(log, log.recover(position).offset) == [(2, "e", b"2"), (3, "e", b"3")]

    async def test_a_room_can_be_let_go_of_twice(self, broker: Broker) -> None:
        await broker.unsubscribe("a")
        await broker.subscribe("a", KEEP)
        await broker.unsubscribe("a")
        await broker.unsubscribe("a")
        assert (await broker.publish("a", Draft("e", b"1"), KEEP)).offset == 1

    async def test_publications_at_the_same_time_are_in_one_order(self, broker: Broker) -> None:
        log = await broker.subscribe("a", KEEP)
        positions = await asyncio.gather(*(broker.publish("a", Draft("e", b"%d" % n), KEEP) for n in range(50)))
        await eventually(lambda: log.top == 50)
        assert sorted(position.offset for position in positions) == list(range(1, 51))
        assert _contents(log) == sorted((position.offset, "e", b"%d" % n) for n, position in enumerate(positions))

    async def test_after_its_end_the_node_is_told_nothing(
        self, broker: Broker, advanced: list[str], flashed: list[tuple[str, Draft]]
    ) -> None:
        await broker.subscribe("a", KEEP)
        await broker.stop()
        advanced.clear()
        await broker.start(lambda room: None, lambda room, draft: None)
        await broker.publish("a", Draft("e", b"1"), KEEP)
        await broker.flash("a", Draft("e", b"1"))
        assert (advanced, flashed) == ([], [])

    async def test_all_that_a_publication_says_is_kept(self, broker: Broker) -> None:
        drafts = [
            Draft("größe", b"\x00\xff not UTF-8", True, source="s1"),
            Draft("e", b"", True, exclude="s2"),
            Draft("e", b'"\\u0000"', ask="question 1", id="id 1"),
        ]
        log = await broker.subscribe("a", KEEP)
        for draft in drafts:
            await broker.publish("a", draft, KEEP)
        await eventually(lambda: log.top == 3)
        kept = [each.draft for each in log.slice(0, ENOUGH).publications]
        # Its id is between who publishes and the broker.
        assert [structs.replace(each, id=None) for each in kept] == [structs.replace(each, id=None) for each in drafts]

    async def test_an_exclusion_is_of_one_publication(self, broker: Broker) -> None:
        log = await broker.subscribe("a", KEEP)
        for excluded in ("s1", None, "s2"):
            await broker.publish("a", Draft("e", b"1", exclude=excluded), KEEP)
        await eventually(lambda: log.top == 3)
        assert [each.draft.exclude for each in log.slice(0, ENOUGH).publications] == ["s1", None, "s2"]

    async def test_a_repeated_id_is_the_publication_it_repeats(self, broker: Broker) -> None:
        log = await broker.subscribe("a", KEEP)
        first = await broker.publish("a", Draft("e", b"1", id="x"), KEEP)
        assert await broker.publish("a", Draft("e", b"2", id="x"), KEEP) == first
        second = await broker.publish("a", Draft("e", b"3", id="y"), KEEP)
        assert (second.offset, (await broker.publish("b", Draft("e", b"4", id="x"), KEEP)).offset) == (2, 1)
        await eventually(lambda: _contents(log) == [(1, "e", b"1"), (2, "e", b"3")])

    async def test_racing_publications_with_one_id_are_one(self, broker: Broker) -> None:
        racing = [broker.publish("a", Draft("e", b"%d" % n, id="x"), KEEP) for n in range(10)]
        assert len(set(await asyncio.gather(*racing))) == 1
        assert (await broker.publish("a", Draft("e", b"1"), KEEP)).offset == 2

    async def test_an_id_is_known_at_least_as_long_as_its_publication_is_kept(self, broker: Broker) -> None:
        few = Retention(count=2)
        for n in range(3):
            await broker.publish("a", Draft("e", b"1", id=f"id {n}"), few)
        assert (await broker.publish("a", Draft("e", b"1", id="id 1"), few)).offset == 2
        assert (await broker.publish("a", Draft("e", b"1", id="id 2"), few)).offset == 3

    async def test_what_is_volatile_is_told_once_and_kept_by_nobody(
        self, broker: Broker, flashed: list[tuple[str, Draft]]
    ) -> None:
        log = await broker.subscribe("a", KEEP)
        drafts = [Draft("typing", b"%d" % n, exclude="s1") for n in range(3)]
        for draft in drafts:
            await broker.flash("a", draft)
        await broker.flash("a", Draft("frame", b"\xff", True))
        await eventually(lambda: flashed == [*(("a", each) for each in drafts), ("a", Draft("frame", b"\xff", True))])
        assert (log.top, await broker.publish("a", Draft("e", b"1"), KEEP)) == (0, Position(log.epoch, 1))

    async def test_a_room_that_is_forgotten_begins_anew(self, broker: Broker) -> None:
        former = await broker.publish("a", Draft("e", b"1", id="x"), KEEP)
        other = await broker.publish("b", Draft("e", b"1"), KEEP)
        await broker.subscribe("a", KEEP)
        await broker.forget("a")
        await broker.forget("a")
        await broker.forget("never there")
        log = await broker.subscribe("a", KEEP, former)
        assert (len(log), log.recover(former)) == (0, Recovery(log.base, False, None))
        position = await broker.publish("a", Draft("e", b"2", id="x"), KEEP)
        assert position.epoch == log.epoch != former.epoch
        await eventually(lambda: _contents(log) == [(1, "e", b"2")])
        assert await broker.publish("b", Draft("e", b"2"), KEEP) == Position(other.epoch, 2)
