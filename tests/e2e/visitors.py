"""Pages of the examples in a browser, as the tests see them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import Browser, ConsoleMessage, Page

from multitransport.testing.waiting import eventually


@asynccontextmanager
async def visitor(
    browser: Browser, url: str, name: str = "", *, errors: bool = False, **options: Any
) -> AsyncIterator[Page]:
    """A page in a browser context of its own, which is another person to the server, and live.

    An error on its console fails the test, unless `errors` are expected.
    """
    context = await browser.new_context(**options)
    if name:
        # A blank page has no storage.
        await context.add_init_script(f"try {{ localStorage.setItem('name', {name!r}) }} catch {{}}")
    try:
        page = await context.new_page()
        found = note_errors(page)
        await page.goto(url)
        await page.wait_for_selector("#status[data-state=live]")
        yield page
        assert errors or found == [], found
    finally:
        await context.close()


def note_errors(page: Page) -> list[str]:
    """Return a list to which everything is added that goes wrong in a page."""
    found: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type == "error":
            found.append(message.text)

    page.on("console", note)
    page.on("pageerror", lambda error: found.append(str(error)))
    return found


async def texts(page: Page, selector: str) -> list[str]:
    """The texts of all elements that match."""
    return await page.locator(selector).all_inner_texts()


async def until(page: Page, condition: str, within_seconds: float = 10.0) -> None:
    """Wait until an expression is true in the page, whose policy forbids the `eval` of Playwright's own way to wait."""
    looked = f"""async (deadlineMs) => {{
        while (!({condition})) {{
            if (performance.now() > deadlineMs) return false;
            await new Promise((resolve) => setTimeout(resolve, 20));
        }}
        return true;
    }}"""
    deadline = await page.evaluate("performance.now()") + within_seconds * 1000
    assert await page.evaluate(looked, deadline), f"never true within {within_seconds:g} s: {condition}"


async def shows(page: Page, selector: str, *wanted: str) -> None:
    """Wait until the texts of all elements that match are these."""

    async def met() -> bool:
        return await texts(page, selector) == list(wanted)

    try:
        await eventually(met, 20)
    except AssertionError:
        raise AssertionError(f"{selector} never showed {wanted} but {await texts(page, selector)}") from None


async def say(page: Page, text: str) -> None:
    """Say something in the chat."""
    await page.fill("#text", text)
    await page.press("#text", "Enter")
