"""Hellos that come one after another, before what the earlier ones asked for is done."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from multitransport.node.session import Session
from tests.simulated import simulated, simulated_loop
from tests.unit.node.site import Site, of_kind


@contextlib.asynccontextmanager
async def gated() -> AsyncIterator[tuple[Site, asyncio.Event]]:
    """A node with a room whose check waits."""
    site = Site()
    gate = asyncio.Event()

    @site.declared.room("slow")
    async def slow(client: Session) -> None:
        await gate.wait()

    async with site:
        yield site, gate


@simulated
async def test_a_room_whose_check_still_runs_is_joined_for_the_hello_that_names_it_again() -> None:
    async with gated() as (site, gate):
        [position] = await site.publish("slow", 1)
        rooms = {"slow": {"position": [position.epoch, 0]}}
        first = await site.attach(rooms=rooms)
        token = (await site.welcomed(first))["token"]
        second = await site.attach(2, token=token, rooms=rooms)
        await simulated_loop().settle()
        assert of_kind(site.take(second), "left") == []
        gate.set()
        await simulated_loop().settle()
        frames = site.take(second)
        assert [frame[1] for frame in of_kind(frames, "joined")] == ["slow"]
        assert [frame[3] for frame in of_kind(frames, "pub")] == [1]


@simulated
async def test_a_room_whose_check_still_runs_is_not_joined_where_a_later_hello_does_not_name_it() -> None:
    async with gated() as (site, gate):
        first = await site.attach(rooms={"slow": {}})
        token = (await site.welcomed(first))["token"]
        second = await site.attach(2, token=token)
        gate.set()
        await simulated_loop().settle()
        assert of_kind(site.take(second), "joined") == []
        assert site.client(second).rooms == set()


@simulated
async def test_to_a_client_that_does_not_know_its_session_a_position_does_not_say_that_it_was_in_the_room() -> None:
    async with gated() as (site, gate):
        gate.set()
        [position] = await site.publish("slow", 1)
        await site.attach()
        second = await site.attach(2, rooms={"slow": {"position": [position.epoch, 0]}})
        await simulated_loop().settle()
        frames = site.take(second)
        assert of_kind(frames, "left") == []
        assert [frame[1] for frame in of_kind(frames, "joined")] == ["slow"]


@simulated
async def test_a_room_the_server_put_the_session_in_is_told_as_such_until_its_client_joins_it() -> None:
    async with gated() as (site, gate):
        gate.set()
        first = await site.attach()
        token = (await site.welcomed(first))["token"]
        await site.node.verbs.join("slow", None, first.session_id)
        assert [frame[3].get("unasked") for frame in of_kind(site.take(first), "joined")] == [True]
        second = await site.attach(2, token=token)
        await simulated_loop().settle()
        assert [frame[3].get("unasked") for frame in of_kind(site.take(second), "joined")] == [True]
        await site.say(second, ["join", 1, "slow"])
        third = await site.attach(3, token=token)
        await simulated_loop().settle()
        assert {frame[3].get("unasked") for frame in of_kind(site.take(third), "joined")} == {None}


@simulated
async def test_the_rate_of_a_join_whose_answer_was_lost_holds_in_the_next_transport() -> None:
    site = Site()

    @site.declared.room("ticker", mode="state")
    async def ticker(client: Session) -> None:
        """Everybody may join."""

    async with site:
        first = await site.attach()
        token = (await site.welcomed(first))["token"]
        await site.say(first, ["join", 1, "ticker", {"max_rate": 4}])
        second = await site.attach(2, token=token)
        assert throttles(site) == [0.25]
        await site.say(second, ["leave", 2, "ticker"], ["join", 3, "ticker"])
        await site.attach(3, token=token)
        assert throttles(site) == []


def throttles(site: Site) -> list[float]:
    return [throttle._interval_seconds for throttle in site.node.hub._feeds["ticker"]._throttles.values()]


@simulated
async def test_the_inbox_of_a_user_goes_on_in_the_next_session() -> None:
    site = Site()

    @site.declared.on_connect
    async def everybody_is_ann(client: Session) -> None:
        client.user_id = "ann"

    async with site:
        first = await site.attach()
        other = await site.attach(1, new="b" * 22)
        [position] = await site.publish("@user/ann", 1)
        site.node.end(site.client(first), "gone")
        await simulated_loop().settle()
        await site.publish("@user/ann", 2)
        again = await site.attach(2, new="c" * 22, rooms={"@user/ann": {"position": list(position)}})
        await simulated_loop().settle()
        frames = site.take(again)
        assert of_kind(frames, "left") == []
        assert [frame[3]["recovered"] for frame in of_kind(frames, "joined")] == [True]
        assert [frame[3] for frame in of_kind(frames, "pub")] == [2]
        assert site.client(other).user_id == "ann"


@simulated
async def test_nobody_was_taken_out_of_the_inbox_of_a_user() -> None:
    site = Site()

    @site.declared.on_connect
    async def everybody_is_ann(client: Session) -> None:
        client.user_id = "ann"

    async with site:
        await site.attach()
        [position, _] = await site.publish("@user/ann", 1, 2)
        other = await site.attach(1, new="b" * 22)
        token = (await site.welcomed(other))["token"]
        rooms = {"@user/ann": {"position": list(position)}, "@user/bob": {"position": list(position)}}
        again = await site.attach(2, new="b" * 22, token=token, rooms=rooms)
        await simulated_loop().settle()
        frames = site.take(again)
        assert [frame[1] for frame in of_kind(frames, "left")] == ["@user/bob"]
        assert [frame[3] for frame in of_kind(frames, "pub")] == [2]


@simulated
async def test_who_was_taken_out_before_it_heard_that_it_had_joined_hears_both() -> None:
    site = Site()

    @site.declared.room("r")
    async def room(client: Session) -> None:
        """Everybody may join."""

    async with site:
        attachment = await site.attach()
        token = (await site.welcomed(attachment))["token"]
        await site.say(attachment, ["join", 1, "r"])
        site.release(attachment)
        await site.node.verbs.leave("r", None, site.node.sessions[attachment.session_id].session_id)
        again = await site.attach(2, token=token)
        await simulated_loop().settle()
        frames = [frame for frame in site.take(again) if frame[0] in ("joined", "left")]
        assert [frame[:3] for frame in frames] == [["joined", 1, "r"], ["left", None, "r"]]
        assert frames[1][3] == "removed"
