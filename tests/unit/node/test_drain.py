"""How a node that stops parts from its clients where there are other nodes, in simulated time."""

from __future__ import annotations

import asyncio
from typing import Any

from multitransport.node.attachment import Attachment
from multitransport.node.drain import Drain
from multitransport.protocol.codes import CloseCode
from tests.simulated import simulated, simulated_loop
from tests.unit.node.chat import chat_site, refusal
from tests.unit.node.site import Site, of_kind


async def crowd(site: Site, count: int) -> list[Attachment]:
    """Attach so many clients to a node that is one of several, and have them hear what they are told first."""
    site.node._drain = Drain(site.settings, site.node._attachments.keys(), elsewhere=True)
    attachments = [await site.attach(new=f"{n:022}") for n in range(count)]
    await simulated_loop().settle()
    for attachment in attachments:
        site.take(attachment)
    return attachments


def told(site: Site, attachments: list[Attachment]) -> list[Attachment]:
    """Return those that are told to move; nobody is told anything else."""
    heard = {attachment: site.take(attachment) for attachment in attachments}
    assert all(frames in ([], [["move"]]) for frames in heard.values())
    return [attachment for attachment, frames in heard.items() if frames]


@simulated
async def test_each_client_is_told_to_move_and_the_drain_ends_when_the_last_has() -> None:
    async with chat_site(drain_seconds=10.0) as site:
        await crowd(site, 100)
        began = simulated_loop().time()
        draining = asyncio.create_task(site.node.drain())
        await asyncio.sleep(0.2525)
        first = told(site, site.attachments)
        assert 45 <= len(first) <= 55  # of 200 a second
        for attachment in first:
            site.release(attachment)
        await asyncio.sleep(0.3)
        for attachment in told(site, site.attachments):
            site.release(attachment)
        await draining
        assert site.attachments == []
        assert simulated_loop().time() - began < 0.6


@simulated
async def test_a_large_crowd_is_told_within_half_of_the_drain_time() -> None:
    async with chat_site(drain_seconds=2.0, max_sessions=3000) as site:
        attachments = await crowd(site, 2000)
        draining = asyncio.create_task(site.node.drain())
        await asyncio.sleep(1.01)
        assert len(told(site, attachments)) == 2000
        for attachment in attachments:
            site.release(attachment)
        await draining


@simulated
async def test_who_does_not_move_is_told_to_come_back_before_it_is_cut() -> None:
    async with chat_site(drain_seconds=2.0, close_seconds=60.0) as site:
        [attachment] = await crowd(site, 1)
        cut: list[float] = []
        attachment.abort = lambda: cut.append(simulated_loop().time() - began)
        began = simulated_loop().time()
        draining = asyncio.create_task(site.node.drain())
        await asyncio.sleep(1.4)
        assert told(site, [attachment]) == [attachment]
        assert not draining.done()
        await asyncio.sleep(0.2)
        [[code, _, options]] = of_kind(site.take(attachment), "close")
        assert code == CloseCode.GOING_AWAY
        assert 0 <= options["retry_after"] <= 0.2
        await draining
        assert [round(at, 6) for at in cut] == [2.0]


@simulated
async def test_many_who_did_not_move_do_not_come_back_together() -> None:
    async with chat_site(retry_seconds=3.0) as site:
        attachments = await crowd(site, 400)
        await site.node.drain()
        waits = [of_kind(site.take(attachment), "close")[0][2]["retry_after"] for attachment in attachments]
        assert 1.5 < max(waits) <= 2.0  # 200 a second


@simulated
async def test_a_node_without_clients_has_nobody_to_wait_for() -> None:
    async with chat_site() as site:
        await crowd(site, 0)
        began = simulated_loop().time()
        await site.node.drain()
        assert simulated_loop().time() == began


@simulated
async def test_who_is_being_welcomed_is_told_behind_the_welcome() -> None:
    gate = asyncio.Event()
    async with chat_site() as site:
        await crowd(site, 0)
        acknowledge = site.node._store.acknowledge

        async def held(*arguments: Any) -> None:
            await gate.wait()
            await acknowledge(*arguments)

        site.node._store.acknowledge = held  # type: ignore[method-assign,assignment]
        coming = asyncio.create_task(site.attach())
        await simulated_loop().settle()
        draining = asyncio.create_task(site.node.drain())
        await asyncio.sleep(0.1)
        gate.set()
        attachment = await coming
        kinds = [frame[0] for frame in site.take(attachment)]
        assert (kinds[0], kinds[-1]) == ("welcome", "move")
        site.release(attachment)
        await draining
        assert (await refusal(site.attach(new="late" * 6))).code is CloseCode.GOING_AWAY


@simulated
async def test_who_reads_a_room_by_its_url_cannot_move_and_is_told_when_to_come_back() -> None:
    async with chat_site() as site:
        await crowd(site, 0)
        visit = await site.node.visit(site.request(), "sse", "chat/1", None, None)
        draining = asyncio.create_task(site.node.drain())
        await simulated_loop().settle()
        assert visit.attachment.closing is not None
        assert visit.attachment.closing.retry_after_seconds is not None
        site.node.release(visit.attachment)
        await draining
