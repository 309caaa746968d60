from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

import pytest
import pytest_asyncio
from quart import Quart

from examples.shared import rt, serve
from examples.ticker.ticker import MARKET, SHARES, market, pages
from multitransport.client import Room
from multitransport.testing.waiting import eventually


@pytest_asyncio.fixture
async def app() -> AsyncIterator[Quart]:
    market.frozen_until = 0
    app = serve(pages)
    async with app.test_app():
        yield app


def same(room: Room, prices: dict[str, float]) -> bool:
    return {key: quote[0] for key, quote in room.state.items()} == prices


def moved(room: Room, since: int) -> int:
    return sum(change > since for _, _, change in room.state.values())


async def test_a_newcomer_gets_every_price_and_then_what_changes(app: Quart) -> None:
    async with rt.test_client(app) as client:
        room = await client.join(MARKET)
        await eventually(lambda: len(room.state) == SHARES)
        since = market.changes
        await eventually(lambda: moved(room, since) > 200)


async def test_the_slow_get_the_newest_of_every_price_too(app: Quart, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("examples.ticker.ticker.FREEZE_SECONDS", 60)
    async with rt.test_client(app) as fast, rt.test_client(app, transport="poll") as slow:
        quick, calm = await fast.join(MARKET), await slow.join(MARKET, max_rate=1)
        await eventually(lambda: len(quick.state) == len(calm.state) == SHARES)
        since = market.changes
        await eventually(lambda: market.changes > since + 1000, 20)
        prices = await fast.request("ticker/freeze")
        for room in (quick, calm):
            await eventually(partial(same, room, prices))


async def test_a_rate_can_be_changed_while_the_room_is_read(app: Quart) -> None:
    async with rt.test_client(app) as client:
        room = await client.join(MARKET, max_rate=0.001)
        await eventually(lambda: len(room.state) == SHARES)
        since = market.changes
        await eventually(lambda: market.changes > since + 1000, 20)
        assert moved(room, since) == 0
        await room.set_max_rate(None)
        await eventually(lambda: moved(room, since) > 500)


async def test_nothing_moves_while_nobody_looks(app: Quart) -> None:
    async with rt.test_client(app) as client:
        room = await client.join(MARKET)
        await eventually(lambda: len(room.state) == SHARES)
        await eventually(lambda: market.changes > SHARES)
    await eventually(_nobody)
    page = await rt.read(MARKET)
    assert len(page.state) == SHARES
    assert max(change for _, _, change in page.state.values()) == market.changes


async def _nobody() -> bool:
    return not await rt.members(MARKET)


async def test_prices_stay_prices() -> None:
    assert len(market.opening) == SHARES
    assert all(price > 0 for price in market.prices.values())
    name = next(iter(market.prices))
    price, percent, changes = market.quote(name)
    assert percent == round((price / market.opening[name] - 1) * 100, 2)
    assert changes == market.changes
