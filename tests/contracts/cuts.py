"""Clients that are each cut once, at a byte of their own, and must not lose or repeat anything for it."""

from __future__ import annotations

import asyncio

from multitransport.client import Client, Publication
from multitransport.testing.link import Direction
from multitransport.testing.proxy import FaultProxy
from tests.contracts.served import Served

__all__ = ["ran_once", "talk_through_cuts"]

REQUESTS = 3
AT_ONCE = 50


async def talk_through_cuts(way: Served, transport: str, direction: Direction, places: range) -> int:
    """Have one client for each place talk while its connection is cut there; return how many cuts there were."""
    turn = asyncio.Semaphore(AT_ONCE)

    async def live(place: int) -> int:
        async with turn, FaultProxy(way.url) as proxy:
            proxy.cut_after(place, direction)
            far = Served(way.application, proxy.url, None)
            async with far.http, far.client(transport) as client:
                await _talk(client, way, place)
            return proxy.cuts

    return sum(await asyncio.gather(*(live(place) for place in places)))


async def _talk(client: Client, way: Served, place: int) -> None:
    name = f"log/{place}"
    room = await client.join(name)
    for number in range(REQUESTS):
        assert await client.request("echo", [place, number]) == [place, number]
        await room.publish("said", ["by itself", number])
        await way.application.publish(name, ["by the server", number])
    heard = [await anext(room) for _ in range(2 * REQUESTS)]
    expected = [[who, number] for number in range(REQUESTS) for who in ("by itself", "by the server")]
    assert [item.data if isinstance(item, Publication) else item for item in heard] == expected, place


def ran_once(way: Served, places: range) -> bool:
    """Tell whether each request was run once."""
    return sorted(way.application.ran) == [[place, number] for place in places for number in range(REQUESTS)]
