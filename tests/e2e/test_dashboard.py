"""What a visitor sees and can do, while nothing is wrong with the network."""

from __future__ import annotations

from functools import partial

import pytest
from playwright.async_api import Browser, Locator

from multitransport.testing.proxy import FaultProxy
from multitransport.testing.server import ServerProcess
from multitransport.testing.waiting import eventually
from tests.e2e.dashboard import Dashboard

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

DRAWN = """() => [...document.querySelectorAll(".plot canvas")].map((canvas) => {
  canvas.scrollIntoView();
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const colours = new Set();
  for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 200) colours.add(data.slice(i, i + 3).join());
  return colours.size;
})"""


SHIFTS = """
globalThis.shift = 0;
new PerformanceObserver((list) => list.getEntries().forEach((entry) => (shift += entry.value)))
  .observe({ type: "layout-shift", buffered: true });
"""


async def test_the_page_opens_with_the_history_and_goes_on_live(dashboard: Dashboard, browser: Browser) -> None:
    await dashboard.open(readings=12)
    before = (await dashboard.state())["last"]
    async with Dashboard(browser, dashboard.url) as newcomer:
        await newcomer.open(readings=10)
        first = await newcomer.page.evaluate("received[0][1]")
        assert first <= max(1, before - 2900)
        assert await newcomer.page.evaluate("dashboard.history.columns[0].length") >= before
        await newcomer.nothing_lost()
        assert newcomer.errors == []
    await dashboard.nothing_lost()
    assert dashboard.errors == []


async def test_every_chart_draws_lines_and_the_table_is_full(dashboard: Dashboard) -> None:
    await dashboard.open(readings=10)

    async def drawn() -> bool:
        colours = await dashboard.page.evaluate(DRAWN)
        return len(colours) == 5 and min(colours) > 3

    await eventually(drawn)
    names = dashboard.page.locator("#processes th")
    assert await names.count() == 8
    await eventually(lambda: _named(names.first))
    assert "%" in (await dashboard.page.locator("#cpu .now").text_content() or "")


async def _named(cell: Locator) -> bool:
    return len(await cell.text_content() or "") > 1


async def test_the_panel_says_what_carries_the_session(dashboard: Dashboard) -> None:
    await dashboard.open()
    state = await dashboard.shows(roundTripMs=lambda ms: ms is not None)
    text = dashboard.page.locator
    assert state["sentence"] == "live over WebSocket"
    assert await text("#session").text_content() == state["session"]
    assert await text("#transport").text_content() == "WebSocket"
    assert "ms" in (await text("#round-trip").text_content() or "")
    position = await dashboard.page.evaluate("dashboard.room.position")
    assert (await text("#position").text_content() or "").startswith(f"{position[0]}:")


async def test_the_buttons_change_the_transport_and_lose_nothing(dashboard: Dashboard) -> None:
    await dashboard.open()
    for use, transport in [
        ("sse", "sse"),
        ("poll", "poll"),
        ("websocket", "websocket"),
        ("sse", "sse"),
        ("", "websocket"),
    ]:
        button = dashboard.page.locator(f"[data-use='{use}']")
        await button.click()
        await dashboard.live(transport)
        assert await button.get_attribute("aria-pressed") == "true"
        assert await dashboard.page.locator("[data-use][aria-pressed=true]").count() == 1
    await dashboard.nothing_lost()


@pytest.mark.parametrize("transport", ["websocket", "sse", "poll"])
async def test_cutting_the_line_loses_nothing(dashboard: Dashboard, transport: str) -> None:
    await dashboard.open()
    await dashboard.page.click(f"[data-use={transport}]")
    before = await dashboard.live(transport)
    for _ in range(2):
        await dashboard.page.click("#cut")
        await dashboard.live(transport)
    state = await dashboard.nothing_lost()
    assert state["reconnects"] >= before["reconnects"] + 2
    assert state["session"] == before["session"]
    assert sum("very next reading" in line for line in state["journal"]) >= 2


async def test_who_else_is_looking_is_shown_with_what_carries_them(
    dashboard: Dashboard, browser: Browser, server: ServerProcess
) -> None:
    await dashboard.open()
    me = dashboard.page.locator("#people li", has_text="you")
    others = dashboard.page.locator("#people li:not(:has-text('you')) small")
    assert await me.locator("small").inner_text() == "you · WebSocket"
    async with Dashboard(browser, server.url) as other:
        await other.open()
        for transport, name in (("sse", "SSE"), ("poll", "long poll"), ("websocket", "WebSocket")):
            await other.page.click(f"[data-use={transport}]")
            await eventually(partial(_among, others, name), 20)
            # Who switches knows it first.
            await eventually(partial(_among, other.page.locator("#people li:has-text('you') small"), f"you · {name}"))
        await other.page.goto("about:blank")
        await eventually(partial(_gone, others), 20)


async def _among(locator: Locator, text: str) -> bool:
    return text in await locator.all_inner_texts()


async def _gone(locator: Locator) -> bool:
    return await locator.count() == 0


async def test_the_chat_reaches_everybody(dashboard: Dashboard, browser: Browser, server: ServerProcess) -> None:
    await dashboard.open()
    async with Dashboard(browser, server.url) as other:
        await other.open()
        await other.page.click("[data-use=poll]")
        await other.live("poll")
        await dashboard.page.fill("#chat-text", "<b>Good morning</b>")
        await dashboard.page.press("#chat-text", "Enter")
        await other.page.fill("#chat-text", "and to you")
        await other.page.click("#chat-form button")
        for page in (dashboard, other):
            await page.shows(lines=lambda lines: "<b>Good morning</b>" in lines and "and to you" in lines)
            await eventually(partial(_none_on_the_way, page))
        assert await other.page.locator("#chat-text").input_value() == ""


async def _none_on_the_way(dashboard: Dashboard) -> bool:
    return await dashboard.page.locator(".on-the-way").count() == 0


async def test_a_line_the_server_refuses_is_given_back(dashboard: Dashboard) -> None:
    await dashboard.open()
    await dashboard.page.evaluate("document.getElementById('chat-text').maxLength = 1000")
    await dashboard.page.fill("#chat-text", "x" * 281)
    await dashboard.page.press("#chat-text", "Enter")
    problem = dashboard.page.locator("#chat-problem")
    await eventually(problem.text_content)
    assert "280" in (await problem.text_content() or "")
    assert await dashboard.page.locator("#chat-text").input_value() == "x" * 281
    assert "x" * 281 not in (await dashboard.state())["lines"]


@pytest.mark.parametrize("width", [390, 1440])
async def test_nothing_sticks_out_and_nothing_moves(browser: Browser, proxy: FaultProxy, width: int) -> None:
    async with Dashboard(browser, proxy.url, viewport={"width": width, "height": 844}) as dashboard:
        await dashboard.page.add_init_script(SHIFTS)
        await dashboard.open(readings=10)
        assert await dashboard.page.evaluate("document.documentElement.scrollWidth") <= width
        assert await dashboard.page.evaluate("shift") < 0.01


async def test_the_theme_follows_the_system_until_the_visitor_chooses(browser: Browser, proxy: FaultProxy) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    async with Dashboard(browser, proxy.url, color_scheme="dark") as dashboard:
        await dashboard.open()
        dark = await dashboard.page.evaluate(background)
        await dashboard.page.emulate_media(color_scheme="light")
        light = await dashboard.page.evaluate(background)
        assert light != dark
        await dashboard.page.click("#theme")
        assert await dashboard.page.evaluate(background) == dark
        await dashboard.page.reload()
        assert await dashboard.page.evaluate(background) == dark
        await dashboard.live("websocket")
        assert dashboard.errors == []
