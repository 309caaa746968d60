"""Who is seen in a room whose broker is elsewhere: what is published is in the log only later, or nobody knows."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from multitransport.brokers.memory import MemoryBroker
from multitransport.core.log import Log, Retention
from multitransport.core.publication import Draft
from multitransport.errors import BrokerUnavailable, Refuse
from multitransport.protocol.codes import CloseCode
from multitransport.protocol.position import Position
from tests.simulated import simulated, simulated_loop
from tests.unit.node.site import Site
from tests.unit.node.test_presence import come, seen, team_site

ROOM = "@presence/team/1"
LAG_SECONDS = 0.5


class FarBroker(MemoryBroker):
    """A broker that takes a publication after a while, and whose logs have it after a longer one, or when they must."""

    def __init__(self) -> None:
        clock = asyncio.get_running_loop().time
        super().__init__(clock=clock, new_epoch=lambda: "e", max_rooms=100, idle_seconds=60.0)
        self.away = False
        self.mute = False
        """What it takes it does not say so."""
        self.said: list[tuple[str, bytes]] = []
        """What was published of whom in the presence room."""
        self._under_way: defaultdict[str, list[Draft]] = defaultdict(list)

    async def publish(self, room: str, draft: Draft, retention: Retention, to: str | None = None) -> Position:
        await asyncio.sleep(0.01)
        if self.away:
            raise BrokerUnavailable("it is away")
        if room == ROOM:
            self.said.append((str(draft.key), draft.data))
        log, under_way = self._log(room, retention), self._under_way[room]
        under_way.append(draft)
        asyncio.get_running_loop().call_later(LAG_SECONDS, self._arrive, log)
        if self.mute:
            raise BrokerUnavailable("it does not answer")
        return Position(log.epoch, log.top + len(under_way))

    async def subscribe(self, room: str, retention: Retention, after: Position | None = None, history: int = 0) -> Log:
        log = await super().subscribe(room, retention, after, history)
        while after is not None and after.offset > log.top:
            self._arrive(log)
        return log

    def lose(self, room: str) -> None:
        """Have nothing of a room any more."""
        self._logs[room].restart(Position("f", 0))
        self._advanced(room)

    def _arrive(self, log: Log) -> None:
        if self._under_way[log.room]:
            log.append(self._under_way[log.room].pop(0), self._clock())
            self._advanced(log.room)


@asynccontextmanager
async def far_site() -> AsyncIterator[tuple[Site, FarBroker]]:
    """A site of a team whose rooms are elsewhere."""
    async with team_site() as site:
        broker = FarBroker()
        site.node.hub._broker = broker
        await site.node.hub.start()
        yield site, broker


async def metas(site: Site) -> list[object]:
    """Return what the sessions in the room say of themselves, once nothing is under way any more."""
    await asyncio.sleep(5.0)
    await simulated_loop().settle()
    return [meta.meta for member in await site.node.verbs.members("team/1") for meta in member.metas]


@simulated
async def test_who_is_in_a_room_whose_log_begins_anew_is_shown_again() -> None:
    async with far_site() as (site, broker):
        client = site.client(await come(site, "ann"))
        await client.presence("team/1", "here")
        await come(site, "ben")
        gone = await come(site, "cleo")
        assert await metas(site) == ["here", None, None]
        site.node.end(site.client(gone), "bye")
        assert await metas(site) == ["here", None]
        broker.said.clear()
        broker.lose(ROOM)
        assert await metas(site) == ["here", None]
        assert len(broker.said) == 2


@simulated
async def test_of_overlapping_changes_the_last_one_wins() -> None:
    async with far_site() as (site, broker):
        client = site.client(await come(site, "ann"))
        assert await metas(site) == [None]
        broker.said.clear()
        await asyncio.gather(*(client.presence("team/1", n) for n in (1, 2, 3)))
        assert await metas(site) == [3]
        assert len(broker.said) == 1, "nobody is told what is no longer so"


@simulated
async def test_what_is_said_again_at_once_is_compared_with_what_was_said_last() -> None:
    async with far_site() as (site, broker):
        client = site.client(await come(site, "ann"))
        broker.said.clear()
        for meta in (1, 2, 2, 1):
            await client.presence("team/1", meta)
        assert await metas(site) == [1]
        assert [b'"meta":2' in data for _, data in broker.said][-3:] == [False, True, False]


@simulated
async def test_who_leaves_and_comes_again_at_once_is_there() -> None:
    async with far_site() as (site, broker):
        one = await come(site, "ann")
        assert await metas(site) == [None]
        broker.said.clear()
        await site.say(one, ["leave", 2, "team/1"], ["join", 3, "team/1"])
        assert await metas(site) == [None]
        assert [data == b"null" for _, data in broker.said] == [True, False]
        await site.say(one, ["leave", 4, "team/1"], ["join", 5, "team/1"], ["leave", 6, "team/1"])
        assert await metas(site) == []


@simulated
async def test_who_is_back_while_its_absence_is_told_is_there() -> None:
    async with far_site() as (site, broker):
        one = await come(site, "ann")
        token = (await site.welcomed(one))["token"]
        assert await metas(site) == [None]
        site.release(one)
        broker.said.clear()
        while not broker.said:  # noqa: ASYNC110 - the moment when its absence is under way
            await asyncio.sleep(0.001)
        await site.attach(2, token=token, cookie="user=ann")
        assert await metas(site) == [None]
        assert [data == b"null" for _, data in broker.said] == [True, False]


@simulated
async def test_a_session_that_ends_while_it_is_shown_leaves_no_ghost() -> None:
    async with far_site() as (site, broker):
        one = await come(site, "ann")
        client = site.client(one)
        await asyncio.sleep(0.005)
        assert "team/1" in client.rooms
        assert not broker.said, "it is about to be shown"
        site.node.end(client, "bye")
        assert await metas(site) == []
        assert [key for key, data in broker.said if data == b"null"] == [client.session_id]


@simulated
async def test_whoever_waits_for_a_change_may_give_up() -> None:
    async with far_site() as (site, _):
        client = site.client(await come(site, "ann"))
        assert await metas(site) == [None]
        change = asyncio.create_task(client.presence("team/1", "new"))
        await asyncio.sleep(0.005)
        change.cancel()
        assert await metas(site) == ["new"]


@simulated
async def test_who_comes_while_the_broker_is_away_is_shown_when_it_is_back() -> None:
    async with far_site() as (site, broker):
        broker.away = True
        await come(site, "ann")
        assert await metas(site) == []
        broker.away = False
        assert await metas(site) == [None]


@simulated
async def test_who_ends_while_the_broker_is_away_is_gone_when_it_is_back() -> None:
    async with far_site() as (site, broker):
        client = site.client(await come(site, "ann"))
        assert await metas(site) == [None]
        broker.away = True
        site.node.end(client, "bye")
        assert await metas(site) == [None]
        assert site.ended == []
        broker.away = False
        assert await metas(site) == []
        assert site.ended == [(client.session_id, "bye")]
        assert await site.node._store.find(client.session_id) is None


@simulated
async def test_who_leaves_while_the_broker_is_away_is_on_record_there_until_it_is_back() -> None:
    async with far_site() as (site, broker):
        one = await come(site, "ann")
        assert await metas(site) == [None]
        broker.away = True
        leaving = asyncio.create_task(site.say(one, ["leave", 2, "team/1"]))
        assert await metas(site) == [None]
        assert list(site.client(one).record.rooms) == [ROOM]
        broker.away = False
        assert await metas(site) == []
        await leaving
        assert not site.client(one).record.rooms


@simulated
async def test_a_change_that_the_broker_does_not_take_is_told_so_and_shown_later() -> None:
    async with far_site() as (site, broker):
        client = site.client(await come(site, "ann"))
        broker.away = True
        with pytest.raises(BrokerUnavailable):
            await client.presence("team/1", "new")
        broker.away = False
        assert await metas(site) == ["new"]


@simulated
async def test_what_may_have_been_taken_is_said_again_or_undone() -> None:
    async with far_site() as (site, broker):
        client = site.client(await come(site, "ann"))
        await client.presence("team/1", "old")
        assert await metas(site) == ["old"]
        broker.mute = True
        with pytest.raises(BrokerUnavailable):
            await client.presence("team/1", "new")
        broker.mute = False
        await client.presence("team/1", "old")
        assert await metas(site) == ["old"]


@simulated
async def test_what_shows_no_session_is_passed_over() -> None:
    async with far_site() as (site, _):
        await come(site, "ann")
        for key, data in (("x", b'{"user":5}'), ("y", b"\xff"), ("z", b"[]")):
            await site.node.hub.publish(ROOM, Draft("member", data, key=key), site.node.rooms.retention(ROOM))
        assert await metas(site) == [None]
        assert await seen(site) == [("user:ann", ["websocket"])]


@simulated
async def test_a_room_that_is_declared_no_more_costs_the_end_of_a_session_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with far_site() as (site, _):
        client = site.client(await come(site, "ann"))
        assert await metas(site) == [None]

        def retention(name: str) -> Retention:
            raise Refuse("unknown_room", "there is no such room")

        monkeypatch.setattr(site.node.rooms, "retention", retention)
        site.node.end(client, "bye")
        await asyncio.sleep(1.0)
        assert site.ended == [(client.session_id, "bye")]
        assert "there is no such room" in caplog.text


@simulated
async def test_who_resumes_while_a_room_cannot_be_read_stays_in_it_and_comes_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def away(room: str, retention: Retention, after: Position | None = None, history: int = 0) -> Log:
        raise BrokerUnavailable("it is away")

    async with far_site() as (site, broker):
        one = await come(site, "ann")
        token = (await site.welcomed(one))["token"]
        rooms = set(site.client(one).record.rooms)
        with monkeypatch.context() as patch:
            patch.setattr(broker, "subscribe", away)
            two = await site.attach(2, token=token, cookie="user=ann")
            assert two.closing is not None
            assert two.closing.code == CloseCode.UNAVAILABLE
            assert not any(frame[0] == "left" for frame in site.take(two))
        three = await site.attach(3, token=token, cookie="user=ann")
        assert three.closing is None
        assert set(site.client(three).record.rooms) == rooms
        assert set(three.reader.cursors) == rooms
