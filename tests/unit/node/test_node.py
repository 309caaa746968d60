"""A node as a whole: what sessions, their transports and their ends come to, in simulated time."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from multitransport.node.session import Session
from multitransport.protocol.codes import CloseCode
from tests.simulated import simulated, simulated_loop
from tests.unit.node.chat import anybody, chat_site, closed, refusal
from tests.unit.node.site import Site, of_kind

# Time


@simulated
async def test_a_session_whose_client_never_speaks_is_a_ghost() -> None:
    async with chat_site() as site:
        attachment = await site.attach()
        await asyncio.sleep(9.5)
        assert len(site.node.sessions) == 1
        await asyncio.sleep(1)
        assert await closed(site, attachment) == CloseCode.PING_TIMEOUT
        assert site.node.sessions == {}
        assert site.ended == [(attachment.session_id, "never confirmed")]


@simulated
async def test_a_ghost_that_has_lost_its_transport_ends_as_soon() -> None:
    async with chat_site() as site:
        site.release(await site.attach())
        await asyncio.sleep(11.5)
        assert site.node.sessions == {}


@pytest.mark.parametrize(("ping", "grace"), [(25.0, 10.0), (1.0, 0.5), (0.2, 0.1)])
@simulated
async def test_a_client_that_falls_silent_is_dead_within_ping_and_grace(ping: float, grace: float) -> None:
    async with chat_site(ping_seconds=ping, grace_seconds=grace) as site:
        attachment = await site.attach()
        step = grace / 100
        silent_seconds = 0.0
        pings = 0
        while attachment.closing is None:
            await asyncio.sleep(step)
            silent_seconds += step
            if of_kind(site.take(attachment), "ping") and pings < 4:
                pings += 1
                silent_seconds = 0.0
                await site.say(attachment, ["pong", 1])
        assert attachment.closing.code is CloseCode.PING_TIMEOUT
        assert pings == 4
        assert silent_seconds <= ping + grace + 2 * min(0.25, grace / 10) + 2 * step


@simulated
async def test_a_detached_session_lives_as_long_as_it_may_be_resumed() -> None:
    async with chat_site() as site:
        attachment = await site.attach()
        token = (await site.welcomed(attachment))["token"]
        await site.say(attachment, ["pong", 1])
        site.release(attachment)
        await asyncio.sleep(119)
        again = await site.attach(2, token=token)
        assert (await site.welcomed(again))["resumed"] is True
        await site.say(again, ["pong", 1])
        site.release(again)
        await asyncio.sleep(122)
        assert site.node.sessions == {}
        assert site.ended == [(attachment.session_id, "expired")]
        assert (await site.welcomed(await site.attach(3, token=token)))["resumed"] is False


@simulated
async def test_a_stalled_write_is_cut() -> None:
    async with chat_site() as site:
        attachment = await site.attach()
        cut = []
        attachment.abort = lambda: cut.append(simulated_loop().time())
        start = simulated_loop().time()
        await site.say(attachment, ["pong", 1])
        attachment.heartbeat.writing_since = start
        for _ in range(4):
            await site.say(attachment, ["pong", 1])
            await asyncio.sleep(8)
        assert cut
        assert 30.0 <= cut[0] - start <= 30.5
        assert attachment.closing is not None
        assert attachment.closing.code is CloseCode.STALLED


# The end


@simulated
async def test_bye_ends_the_session_after_the_frames_before_it() -> None:
    async with chat_site() as site:
        attachment = await site.attach()
        await site.welcomed(attachment)
        await site.say(attachment, ["send", 1, "echo", "x"], ["bye"])
        frames = site.take(attachment)
        assert [frame[0] for frame in frames] == ["reply", "ack", "close"]
        assert frames[-1][1] == CloseCode.BYE
        assert (dict(site.node.sessions), site.ended) == ({}, [(attachment.session_id, "bye")])


@simulated
async def test_a_session_ends_once() -> None:
    async with chat_site() as site:
        attachment = await site.attach()
        client = site.client(attachment)
        await site.say(attachment, ["bye"])
        site.node.end(client, "again")
        site.release(attachment)
        await asyncio.sleep(200)
        assert site.ended == [(attachment.session_id, "bye")]


@simulated
async def test_a_handler_that_runs_when_its_session_ends_is_cancelled() -> None:
    site = chat_site()
    log = []

    @site.declared.on("slow")
    async def slow(client: Session, data: Any) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            log.append("cancelled")

    @site.declared.on_disconnect
    async def bye(client: Session, reason: str) -> None:
        log.append(reason)

    async with site:
        attachment = await site.attach()
        await site.say(attachment, ["send", 1, "slow", 1], ["send", 2, "echo", 1])
        site.node.end(site.client(attachment), "on purpose")
        await simulated_loop().settle()
        assert log == ["cancelled", "on purpose"]


@simulated
async def test_a_node_that_stops_sends_everybody_away_with_a_time_of_their_own() -> None:
    async with chat_site() as site:
        attachments = [await site.attach(new=f"{n:022}") for n in range(20)]
        draining = asyncio.create_task(site.node.drain())
        await simulated_loop().settle()
        closes = [of_kind(site.take(attachment), "close")[0] for attachment in attachments]
        assert {code for code, *_ in closes} == {CloseCode.GOING_AWAY}
        waits = [options["retry_after"] for _, _, options in closes]
        assert len(set(waits)) > 10
        assert all(0 <= wait <= 3.0 for wait in waits)
        assert (await refusal(site.attach(new="late" * 6))).code is CloseCode.GOING_AWAY
        assert not draining.done()
        for attachment in attachments:
            site.release(attachment)
        await simulated_loop().settle()
        assert draining.done()


@simulated
async def test_who_does_not_leave_in_time_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    async with chat_site(close_seconds=60.0) as site:
        attachment = await site.attach()
        cut = []
        attachment.abort = lambda: cut.append(simulated_loop().time())
        start = simulated_loop().time()
        with caplog.at_level(logging.WARNING, "multitransport"):
            await site.node.drain()
        assert (cut, len(caplog.records)) == ([start + 2.0], 1)


@simulated
async def test_a_node_stops_as_often_as_it_is_asked_and_announces_each_end_once() -> None:
    site = chat_site()
    async with site:
        attachment = await site.attach()
        site.release(attachment)
        await asyncio.gather(site.node.stop(), site.node.stop())
        await site.node.stop()
    assert site.ended == [(attachment.session_id, "stopped")]


@simulated
async def test_a_node_that_stops_does_not_wait_for_a_callback_without_end(caplog: pytest.LogCaptureFixture) -> None:
    site = chat_site()

    @site.declared.on_disconnect
    async def bye(client: Session, reason: str) -> None:
        await asyncio.sleep(3600)

    async with site:
        site.release(await site.attach())
        start = simulated_loop().time()
        with caplog.at_level(logging.CRITICAL, "multitransport"):
            await site.node.stop()
        assert simulated_loop().time() - start <= 2.5


@pytest.mark.parametrize(("seconds", "warns"), [(119.0, True), (120.0, False)])
@simulated
async def test_a_room_that_forgets_sooner_than_sessions_end_is_warned_of(
    seconds: float, warns: bool, caplog: pytest.LogCaptureFixture
) -> None:
    site = Site()
    site.declared.room("brief", retention_seconds=seconds)(anybody)
    with caplog.at_level(logging.WARNING, "multitransport"):
        async with site:
            assert ("'brief'" in caplog.text) is warns
