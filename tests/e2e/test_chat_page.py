"""The chat, with two people and more."""

from __future__ import annotations

from functools import partial

import pytest
from playwright.async_api import Browser, Page

from multitransport.testing.waiting import eventually
from tests.e2e.visitors import note_errors, say, shows, texts, until, visitor

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_two_people_talk_and_a_third_finds_what_was_said(browser: Browser, examples: str) -> None:
    url = f"{examples}/chat/talking"
    async with visitor(browser, url, "Ann") as ann, visitor(browser, url, "Ben") as ben:
        await say(ann, "Good <b>morning</b>")
        await shows(ben, ".said", "Good <b>morning</b>")
        await say(ben, "and to you")
        for page in (ann, ben):
            await shows(page, ".said", "Good <b>morning</b>", "and to you")
            await eventually(partial(_count, page, ".on-the-way", 0))
        assert await texts(ann, ".mine .said") == ["Good <b>morning</b>"]
        assert await texts(ben, "#lines li:not(.mine) b") == ["Ann"]
        async with visitor(browser, url, "Cleo") as cleo:
            await shows(cleo, ".said", "Good <b>morning</b>", "and to you")
            await say(ann, "Hello Cleo")
            await shows(cleo, ".said", "Good <b>morning</b>", "and to you", "Hello Cleo")


async def test_a_phone_opens_another_room(browser: Browser, examples: str) -> None:
    async with visitor(browser, f"{examples}/chat/", viewport={"width": 390, "height": 844}) as page:
        await page.fill("#open-name", "from-a-phone")
        await page.click("#open button")
        await page.wait_for_url("**/chat/from-a-phone")


async def _count(page: Page, selector: str, wanted: int) -> bool:
    return await page.locator(selector).count() == wanted


async def test_who_is_here_is_shown_with_what_carries_them(browser: Browser, examples: str) -> None:
    url = f"{examples}/chat/presence"
    async with visitor(browser, url, "Ann") as ann:
        await shows(ann, "#people li b", "Ann")
        async with visitor(browser, url, "Ben") as ben:
            await shows(ann, "#people li b", "Ann", "Ben")
            await shows(ben, "#people li b", "Ben", "Ann")
            await shows(ann, "#people li small", "you · WebSocket", "WebSocket")
            await ben.evaluate("chat.rt.use(['poll'])")
            await shows(ann, "#people li small", "you · WebSocket", "long poll")
            # A second tab of the same browser is the same person.
            tab = await ann.context.new_page()
            found = note_errors(tab)
            await tab.goto(url)
            await shows(ben, "#people li small", "you · long poll", "WebSocket · WebSocket")
            assert await ben.inner_text("#count") == "2"
            await tab.close()
            await shows(ben, "#people li small", "you · long poll", "WebSocket")
            await ben.fill("#name", "Benjamin")
            await ben.press("#name", "Tab")
            await shows(ann, "#people li b", "Ann", "Benjamin")
            assert found == []
            await ben.goto("about:blank")
        await shows(ann, "#people li b", "Ann")


async def test_typing_is_shown_to_others_until_the_line_comes(browser: Browser, examples: str) -> None:
    url = f"{examples}/chat/typing"
    async with visitor(browser, url, "Ann") as ann, visitor(browser, url, "Ben") as ben:
        await shows(ben, "#people li b", "Ben", "Ann")
        await ann.type("#text", "He")
        await ben.wait_for_selector("#typing.shown")
        assert await ben.inner_text("#typing-text") == "Ann is typing"
        assert await ann.locator("#typing.shown").count() == 0
        await ann.press("#text", "Enter")
        await shows(ben, ".said", "He")
        await eventually(lambda: _count(ben, "#typing.shown", 0), 3)


@pytest.mark.parametrize("transport", ["websocket", "sse", "poll"])
async def test_what_is_said_while_offline_arrives_once_later(browser: Browser, examples: str, transport: str) -> None:
    url = f"{examples}/chat/offline-{transport}"
    async with visitor(browser, url, "Ann", errors=True) as ann, visitor(browser, url, "Ben") as ben:
        await ann.evaluate(f"chat.rt.use(['{transport}'])")
        await until(ann, f"chat.rt.status.transport === '{transport}'")
        await ann.context.set_offline(True)
        await ann.evaluate("chat.rt.cut()")
        await say(ann, "one")
        await say(ann, "two")
        assert await ann.locator(".on-the-way").count() == 2
        await say(ben, "meanwhile")
        await ann.context.set_offline(False)
        await shows(ben, ".said", "meanwhile", "one", "two")
        await shows(ann, ".said", "meanwhile", "one", "two")


async def test_a_line_the_server_refuses_is_given_back(browser: Browser, examples: str) -> None:
    async with visitor(browser, f"{examples}/chat/refused", "Ann") as ann:
        await ann.evaluate("document.getElementById('text').maxLength = 2000")
        await say(ann, "x" * 1001)
        await until(ann, "document.getElementById('problem').textContent.includes('1000')")
        assert await ann.input_value("#text") == "x" * 1001
        assert await ann.locator("#lines li").count() == 0


async def test_a_room_of_ones_own(browser: Browser, examples: str) -> None:
    async with visitor(browser, f"{examples}/chat/", "Ann") as ann:
        await ann.fill("#open-name", "attic")
        await ann.press("#open-name", "Enter")
        await ann.wait_for_url("**/chat/attic")
        await shows(ann, "#people li b", "Ann")
        assert await ann.inner_text("[aria-current=page]:has(i)") == "#attic"
