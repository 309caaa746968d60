"""Jobs: started on one page, watched on another and in a shell, asked about, cancelled."""

from __future__ import annotations

import json

import httpx
import pytest
from playwright.async_api import Browser, Page

from tests.e2e.visitors import until, visitor

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def start(page: Page, work: str) -> str:
    """Start a job; return its number."""
    before = await page.inner_text("#job-title")
    await page.click(f"[data-work={work}]")
    await until(page, f"!['{before}', 'No job chosen'].includes(document.getElementById('job-title').textContent)")
    return (await page.inner_text("#job-title")).split()[1]


async def test_a_job_is_seen_by_everybody_to_its_end(browser: Browser, examples: str) -> None:
    url = f"{examples}/jobs/"
    async with visitor(browser, url) as page, visitor(browser, url) as other:
        for figures in (".figures", "#job-bar", "#stream"):
            assert await page.locator(figures).is_hidden()
        job = await start(page, "quart")
        await page.wait_for_selector(".figures")
        await other.click(f"#list [data-number='{job}'] button")
        for each in (page, other):
            await each.wait_for_selector("#job[data-state=finished]")
            assert await each.inner_text("#job-percent") == "100"
            assert (await each.locator("#longest span").first.inner_text()).endswith(".py")
            assert await each.locator("#cancel").is_hidden()
        assert await page.inner_text("#job-lines") == await other.inner_text("#job-lines")
        # Who comes when it is over is told the same story.
        async with visitor(browser, url) as late:
            await late.click(f"#list [data-number='{job}'] button")
            await late.wait_for_selector("#job[data-state=finished]")
            assert await late.inner_text("#job-publications") == await page.inner_text("#job-publications")


async def test_the_server_asks_whoever_started_it_and_it_can_be_cancelled(browser: Browser, examples: str) -> None:
    url = f"{examples}/jobs/"
    async with visitor(browser, url) as page, visitor(browser, url) as other:
        job = await start(page, "python")
        await page.wait_for_selector("dialog[open]")
        assert "Count them all?" in await page.inner_text("#question")
        assert await other.locator("dialog[open]").count() == 0
        await page.click("dialog .primary")
        await until(page, "Number(document.getElementById('job-percent').textContent) > 0")
        await other.click(f"#list [data-number='{job}'] button")
        await other.wait_for_selector("#job[data-state=running]")
        await other.click("#cancel")
        for each in (page, other):
            await each.wait_for_selector("#job[data-state=cancelled]")


async def test_no_is_an_answer(browser: Browser, examples: str) -> None:
    async with visitor(browser, f"{examples}/jobs/") as page:
        await start(page, "python")
        await page.wait_for_selector("dialog[open]")
        await page.keyboard.press("Escape")
        await page.wait_for_selector("#job[data-state=declined]")
        assert await page.inner_text("#job-state") == "Declined"


async def test_the_question_finds_a_page_that_was_cut_off_meanwhile(browser: Browser, examples: str) -> None:
    async with visitor(browser, f"{examples}/jobs/", errors=True) as page:
        await page.evaluate("jobs.rt.use(['poll'])")
        await until(page, "jobs.rt.status.transport === 'poll'")
        await page.click("[data-work=python]")
        await page.evaluate("jobs.rt.cut()")
        await page.wait_for_selector("dialog[open]")
        await page.click("dialog .quiet")
        await page.wait_for_selector("#job[data-state=declined]")


async def test_a_shell_starts_and_watches_a_job_too(browser: Browser, examples: str) -> None:
    async with visitor(browser, f"{examples}/jobs/") as page, httpx.AsyncClient() as shell:
        begin = (await page.inner_text("#begin")).split()
        assert begin[:3] == ["curl", "-X", "POST"]
        started = (await shell.post(begin[3])).json()
        await page.click(f"#list [data-number='{started['job']}'] button")
        assert await page.inner_text("#watch") == started["watch"]
        events = []
        async with shell.stream("GET", started["watch"].split()[2]) as stream:
            async for line in stream.aiter_lines():
                if line.startswith("event: "):
                    events.append(line.removeprefix("event: "))
                if line.startswith("data: ") and json.loads(line.removeprefix("data: "))["state"] == "finished":
                    break
        assert events[0] == "looking"
        assert events[-1] == "finished"
        await page.wait_for_selector("#job[data-state=finished]")
