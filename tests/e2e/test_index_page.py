"""The index of all examples, and what every page has in common."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser

from multitransport.testing.waiting import eventually
from tests.e2e.visitors import until, visitor

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

# Where each page is, and what it calls its connection.
PAGES = {
    "": "index.rt",
    "dashboard/": "dashboard.rt",
    "chat/": "chat.rt",
    "ticker/": "ticker.desktop",
    "jobs/": "jobs.rt",
}
NAMES = {"websocket": "WebSocket", "sse": "SSE", "poll": "long poll"}
STATUS = "document.getElementById('status-text').textContent"


async def test_the_index_counts_people_and_leads_to_them(browser: Browser, examples: str) -> None:
    async with visitor(browser, examples) as page, visitor(browser, f"{examples}/ticker/") as other:
        people = page.locator("[data-example=ticker] .people")

        async def counts() -> bool:
            return await people.inner_text() == "1 here now"

        await eventually(counts, 20)
        await page.click("[data-example=ticker]")
        await page.wait_for_url("**/ticker/")
        await page.click(".mark")
        await page.wait_for_url(f"{examples}/")
        # The other one stays, whom the index goes on to count.
        await eventually(counts, 20)
        await other.goto("about:blank")
        await until(page, "document.querySelector('[data-example=ticker] .people').textContent === 'Nobody here'", 20)


@pytest.mark.parametrize("path", PAGES)
async def test_every_page_fits_and_shows_the_status_as_it_is(browser: Browser, examples: str, path: str) -> None:
    rt = PAGES[path]
    async with visitor(browser, f"{examples}/{path}", errors=True) as page:
        for width in (360, 1280):
            await page.set_viewport_size({"width": width, "height": 800})
            assert await page.evaluate("document.documentElement.scrollWidth") <= width
        for transport, name in NAMES.items():
            await page.evaluate(f"{rt}.use(['{transport}'])")
            await until(page, f"{STATUS} === 'live over {name}'", 20)
        await page.context.set_offline(True)
        await page.evaluate(f"{rt}.cut()")
        await until(page, f"{STATUS}.startsWith('offline since ')", 20)
        assert await page.evaluate(f"{STATUS} === {rt}.status.text")
        await page.context.set_offline(False)
        await until(page, f"{STATUS} === 'live over long poll'", 20)
