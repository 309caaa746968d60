from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from multitransport.errors import Refuse
from multitransport.node.session import Session
from multitransport.node.verbs import draft_of
from tests.simulated import simulated, simulated_loop
from tests.unit.node.site import Site, of_kind


@contextlib.asynccontextmanager
async def ticking() -> AsyncIterator[Site]:
    """A node with a state room."""
    site = Site()

    @site.declared.room("ticker", mode="state")
    async def ticker(client: Session) -> None:
        """Everybody may join."""

    async with site:
        yield site


async def put(site: Site, value: int) -> None:
    await site.node.verbs.publish("ticker", draft_of("v", value, key="k"), volatile=False)
    await simulated_loop().settle()


@simulated
async def test_a_reader_is_told_as_often_as_it_wants_and_of_the_newest() -> None:
    async with ticking() as site:
        attachment = await site.attach(rooms={"ticker": {"max_rate": 4}})
        await simulated_loop().settle()
        site.take(attachment)
        told = []
        for value in range(100):
            await put(site, value)
            told += [frame[3] for frame in of_kind(site.take(attachment), "pub")]
            await asyncio.sleep(0.01)
        assert told == [0, 25, 50, 75]


@pytest.mark.parametrize("transport", ["poll", "sse"])
@simulated
async def test_the_rate_holds_over_polls_and_resumes(transport: str) -> None:
    async with ticking() as site:
        rooms: dict[str, Any] = {"ticker": {"max_rate": 1}}
        attachment = await site.attach(transport=transport, rooms=rooms)
        welcome = await site.welcomed(attachment)
        told: list[tuple[float, int]] = []
        start = simulated_loop().time()
        for attach in range(2, 42):
            await put(site, attach)
            position = None
            for frame in site.take(attachment):
                if frame[0] == "pub":
                    told.append((round(simulated_loop().time() - start, 3), frame[4]))
                if frame[0] in ("at", "joined"):
                    position = frame[2] if frame[0] == "at" else frame[3]
            if position is not None:
                rooms["ticker"] = {"max_rate": 1, "position": position}
            site.release(attachment)
            attachment = await site.attach(attach, transport, token=welcome["token"], rooms=rooms)
            await asyncio.sleep(0.1)
        assert told == [(0.0, 2), (1.0, 12), (2.0, 22), (3.0, 32)]


@simulated
async def test_another_rate_holds_from_the_last_pass_on() -> None:
    async with ticking() as site:
        attachment = await site.attach(rooms={"ticker": {"max_rate": 0.1}})
        await simulated_loop().settle()
        await put(site, 1)
        assert of_kind(site.take(attachment), "pub")
        await put(site, 2)
        await site.say(attachment, ["join", 1, "ticker", {"position": position_of(site, 1), "max_rate": 2}])
        assert not of_kind(site.take(attachment), "pub")
        await asyncio.sleep(0.5)
        assert [frame[3] for frame in of_kind(site.take(attachment), "pub")] == [2]


def position_of(site: Site, offset: int) -> list[object]:
    return [site.node.hub._feeds["ticker"].log.epoch, offset]


@simulated
async def test_a_session_may_be_in_as_many_rooms_as_it_may_with_the_presence_of_each() -> None:
    site = Site(max_session_rooms=3)

    @site.declared.room("team/<name>", presence=True)
    async def team(client: Session, name: str) -> None:
        """Everybody may join."""

    async with site:
        rooms = [f"team/{number}" for number in range(3)]
        attachment = await site.attach(rooms={room: {} for room in rooms})
        welcome = await site.welcomed(attachment)
        client = site.client(attachment)
        assert len(client.record.rooms) == 6
        with pytest.raises(Refuse, match="3 rooms"):
            await site.node.verbs.join("team/3", None, client.session_id)
        known = {room: {"position": list(position)} for room, position in client.record.rooms.items()}
        resumed = await site.attach(2, token=welcome["token"], rooms=known)
        assert (await site.welcomed(resumed))["resumed"]
