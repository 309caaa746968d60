"""The ticker: whoever reads slowly sees the latest of everything all the same."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, Page

from multitransport.testing.proxy import FaultProxy
from multitransport.testing.waiting import eventually
from tests.e2e.visitors import until, visitor

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def number(page: Page, selector: str) -> int:
    return int((await page.inner_text(selector)).replace(",", "").replace("\u2013", "0"))


async def test_the_slow_phone_gets_less_and_the_same_prices(browser: Browser, examples: str) -> None:
    async with visitor(browser, f"{examples}/ticker/") as page:
        await until(page, "ticker.fast.room.state.size === 1000 && ticker.slow.room.state.size === 1000")

        async def spared() -> bool:
            received = await number(page, "#slow [data-show=received]")
            return 0 < received * 1.5 < await number(page, "#fast [data-show=received]")

        await eventually(spared, 20)
        await page.click("#freeze")
        for view in ("fast", "slow"):
            await page.wait_for_selector(f"#{view} .verdict[data-verdict=whole]", timeout=5000)
            assert "All 1,000" in await page.inner_text(f"#{view} .verdict")


async def test_the_rate_is_changed_live(browser: Browser, examples: str) -> None:
    count = """async () => {
      const { room } = ticker.slow;
      let passes = 0, last = null;
      const began = performance.now();
      while (performance.now() - began < 1200) {
        if (room.position?.[1] !== last) { passes += 1; last = room.position?.[1]; }
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      return passes;
    }"""
    async with visitor(browser, f"{examples}/ticker/") as page:
        await until(page, "ticker.slow.room.state.size === 1000")
        assert await page.evaluate(count) <= 3
        await page.click("[data-rate='20']")
        assert await page.inner_text("#slow-code") == "room.setMaxRate(20)"
        await eventually(lambda: _at_least(page, count, 6), 20)
        await page.click("[data-rate='1']")
        await eventually(lambda: _at_most(page, count, 3), 20)


async def _at_least(page: Page, script: str, wanted: int) -> bool:
    return bool(await page.evaluate(script) >= wanted)


async def _at_most(page: Page, script: str, wanted: int) -> bool:
    return bool(await page.evaluate(script) <= wanted)


async def test_two_people_see_one_market(browser: Browser, examples: str) -> None:
    url = f"{examples}/ticker/"
    prices = "Object.fromEntries([...ticker.slow.room.state].map(([key, { data }]) => [key, data[0]]))"
    async with visitor(browser, url) as one, visitor(browser, url) as two:
        for page in (one, two):
            await until(page, "ticker.slow.room.state.size === 1000")
        await one.click("#freeze")
        await one.wait_for_selector("#slow .verdict[data-verdict=whole]", timeout=5000)

        async def same() -> bool:
            return bool(await one.evaluate(prices) == await two.evaluate(prices))

        await eventually(same)


@pytest.mark.faults
async def test_a_phone_on_a_thin_line_asks_for_less_and_keeps_up(browser: Browser, examples: str) -> None:
    newest = "Math.max(...[...ticker.{}.room.state.values()].map(({{ data }}) => data[2]))"
    async with (
        FaultProxy(examples) as line,
        visitor(browser, f"{examples}/ticker/") as fast,
        visitor(browser, f"{line.url}/ticker/") as thin,
    ):
        # Hypercorn compresses what goes over a WebSocket.
        line.bytes_per_second = 45_000

        async def keeps_up() -> bool:
            market = await fast.evaluate(newest.format("fast"))
            desktop, phone = [await thin.evaluate(newest.format(view)) for view in ("fast", "slow")]
            # The desktop view beside it wants twice what the line carries, and costs nobody else anything.
            return bool(desktop < phone and phone > market - 10_000)

        await eventually(keeps_up, 30)


async def test_the_tiles_are_drawn(browser: Browser, examples: str) -> None:
    colours = """() => [...document.querySelectorAll("canvas")].map((canvas) => {
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      const colours = new Set();
      for (let i = 0; i < data.length; i += 4) if (data[i + 3]) colours.add(data.slice(i, i + 4).join());
      return colours.size;
    })"""
    async with visitor(browser, f"{examples}/ticker/") as page:

        async def drawn() -> bool:
            return bool(min(await page.evaluate(colours)) > 20)

        await eventually(drawn)
