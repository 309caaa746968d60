"""The server of the examples is stopped, and started again, under pages that are open."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser

from multitransport.testing.server import ServerProcess
from tests.e2e.conftest import EXAMPLES
from tests.e2e.visitors import say, shows, texts, until, visitor

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

LIVE = "#status[data-state=live]"


@pytest.mark.faults
async def test_the_pages_come_back_to_a_server_that_began_anew(browser: Browser) -> None:
    async with (
        ServerProcess("app:app", directory=EXAMPLES) as server,
        visitor(browser, f"{server.url}/chat/", "Ann", errors=True) as ann,
        visitor(browser, f"{server.url}/chat/", "Ben", errors=True) as ben,
        visitor(browser, f"{server.url}/jobs/", errors=True) as jobs,
        visitor(browser, f"{server.url}/ticker/", errors=True) as ticker,
    ):
        pages = (ann, ben, jobs, ticker)
        await ben.evaluate("chat.rt.use(['sse'])")
        await say(ann, "before")
        await shows(ben, ".said", "before")
        await jobs.click("[data-work=quart]")
        await jobs.wait_for_selector("#job[data-state=finished]")
        await until(ticker, "ticker.slow.room.state.size === 1000", 20)

        assert await server.terminate() == 0
        assert "Traceback" not in server.output
        for page in pages:
            await until(page, "document.getElementById('status-text').textContent.startsWith('offline since ')", 20)
        await say(ann, "one")
        await say(ann, "two")
        await server.start()
        for page in pages:
            # As after a change of the network: sooner than the client would look by itself.
            await page.evaluate("dispatchEvent(new Event('online'))")
        for page in pages:
            await page.wait_for_selector(LIVE)

        for page in (ann, ben):
            await shows(page, ".said", "before", "one", "two")
            await shows(page, "#people li b", *(("Ann", "Ben") if page is ann else ("Ben", "Ann")))
        assert await texts(ann, ".note") == ["The server began anew: lines may be missing here"]
        await jobs.wait_for_selector("#job[data-state=gone]")
        await until(jobs, "document.querySelectorAll('#list li').length === 0")
        await until(ticker, "ticker.slow.room.state.size === 1000", 20)
        await ticker.click("#freeze")
        for view in ("fast", "slow"):
            await ticker.wait_for_selector(f"#{view} .verdict[data-verdict=whole]", timeout=10_000)
