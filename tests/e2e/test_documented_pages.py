"""What the guides tell people to write into a page and its handlers does in a browser what they say."""

from __future__ import annotations

import asyncio
import re
import textwrap
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import ModuleType
from typing import Any

import pytest
from playwright.async_api import Browser, Page
from quart import Quart, render_template_string, request, session

from multitransport import MultiTransport, Refuse, Session
from multitransport.testing.server import serve
from tests.integration.test_documented_code import ROOT

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

PATTERNS = "docs/howto/patterns.md"
LOGINS = "docs/howto/authenticate.md"
BLANK = """<!doctype html><link rel="icon" href="data:,"><script type="module">
  import { connect } from "/realtime/client.js";
  globalThis.connect = connect;
  globalThis.told = [];
  globalThis.tell = (what) => void told.push(what);
  globalThis.ready = true;
</script>"""


def blocks(page: str, heading: str, language: str) -> list[str]:
    """Return the code of a section in one language."""
    text = (ROOT / page).read_text(encoding="utf-8")
    _, _, rest = text.partition(f"\n## {heading}\n")
    section, _, _ = rest.partition("\n## ")
    return re.findall(rf"^```{language}\n(.*?)^```", section, flags=re.DOTALL | re.MULTILINE)


class Site:
    """An application that consists of what a guide says."""

    def __init__(self) -> None:
        self.module = ModuleType("site")
        self.app = Quart(__name__)
        self.app.secret_key = "a secret of the test"
        self.rt = MultiTransport(self.app)
        self.module.__dict__.update(app=self.app, rt=self.rt, Session=Session, Refuse=Refuse)
        self.rt.on_connect(self._connect)
        self.app.get("/")(self._page)
        self.app.post("/login")(self._login)

    def declare(self, source: str) -> None:
        exec(compile(source, "<declared>", "exec", dont_inherit=True), self.module.__dict__)

    async def run(self, source: str, **names: Any) -> Any:
        """Run what a guide would have in a handler."""
        taken = ", ".join(names)
        self.declare(f"async def _handler({taken}):\n{textwrap.indent(source, '    ')}")
        return await self.module.__dict__["_handler"](**names)

    async def _connect(self, client: Session, auth: Any) -> None:
        client.user_id = session.get("user", auth)

    async def _page(self) -> str:
        return BLANK

    async def _login(self) -> str:
        session["user"] = (await request.form)["name"]
        return ""


@asynccontextmanager
async def opened(browser: Browser, site: Site) -> AsyncIterator[tuple[Page, Page]]:
    """Serve a site, and show it in two windows of one browser."""
    async with serve(site.app) as url:
        context = await browser.new_context()
        pages = [await context.new_page(), await context.new_page()]
        for page in pages:
            await page.goto(url)
            await page.wait_for_function("globalThis.ready")
        yield pages[0], pages[1]
        await context.close()


@pytest.fixture
def site() -> Site:
    return Site()


async def test_who_is_here(browser: Browser, site: Site) -> None:
    [declared], [script] = (blocks(PATTERNS, "Show who is here", each) for each in ("python", "js"))
    site.declare(declared)
    async with opened(browser, site) as (page, other):
        for each, user in ((page, "ann"), (other, "bob")):
            await each.evaluate(f"globalThis.rt = connect({{ auth: '{user}' }})")
        await page.add_script_tag(content=f"draw = (members) => globalThis.members = members; {script}")
        await other.evaluate("rt.join('team/7')")
        await page.wait_for_function("globalThis.members?.map((each) => each.user).sort().join() === 'ann,bob'")
        await page.wait_for_function("members.some((each) => each.metas.some(({ meta }) => meta?.name === 'Ann'))")


async def test_how_the_line_is(browser: Browser, site: Site) -> None:
    [script] = blocks(PATTERNS, "Show how the line is", "js")
    async with opened(browser, site) as (page, _):
        await page.evaluate(
            "globalThis.rt = connect(); globalThis.pill = document.body.appendChild(document.createElement('p'))"
        )
        await page.add_script_tag(content=script)
        await page.wait_for_function("pill.dataset.state === 'live' && pill.textContent === 'live over WebSocket'")


async def test_one_person(browser: Browser, site: Site) -> None:
    heading = "Tell one person, wherever they are"
    [published], [script] = (blocks(PATTERNS, heading, each) for each in ("python", "js"))
    async with opened(browser, site) as windows:
        for page in windows:
            await page.evaluate("globalThis.rt = connect({ auth: 'ann' })")
            await page.add_script_tag(content=f"show = tell; {script}")
            await page.wait_for_function("rt.status.state === 'live'")
        await site.run(published)
        for page in windows:
            await page.wait_for_function("told.join() === 'Your order has left'")


async def test_typing(browser: Browser, site: Site) -> None:
    [declared] = blocks(PATTERNS, "Say that somebody is typing", "python")
    site.declare(declared)
    site.rt.room("hall")(lambda client: None)
    async with opened(browser, site) as (page, other):
        for each, user in ((page, "ann"), (other, "bob")):
            await each.evaluate(f"globalThis.rt = connect({{ auth: '{user}' }})")
        outside = "rt.request('typing', 'hall').catch((error) => error.code)"
        assert await page.evaluate(outside) == "not_joined"
        for each in (page, other):
            await each.evaluate("rt.join('hall').on('typing', ({ user }) => tell(user)).joined")
        await page.evaluate("rt.request('typing', 'hall')")
        await other.wait_for_function("told.join() === 'ann'")
        assert await page.evaluate("told") == []


async def test_a_rendered_page(browser: Browser, site: Site) -> None:
    heading = "Render a page on the server and go on live"
    [declared], [template] = (blocks(PATTERNS, heading, each) for each in ("python", "html"))

    async def render_template(name: str, **values: Any) -> str:
        add = "<script>add = ({ text }) => document.body.append(` ${text}`)</script>"
        return await render_template_string(f"<!doctype html><body>{add}{template}", nonce="n", **values)

    site.module.__dict__["render_template"] = render_template
    site.declare(declared)
    site.rt.room("room/<name>", history=10)(lambda client, name: None)
    async with opened(browser, site) as (page, _):
        for text in ("one", "two"):
            await site.rt.publish("room/7", "line", {"text": text})
        await page.goto(f"{page.url}room/7")
        await site.rt.publish("room/7", "line", {"text": "three"})
        await page.wait_for_function("document.body.innerText.split(/\\s+/).join(' ').trim() === 'one two three'")


async def test_numbers_that_change_fast(browser: Browser, site: Site) -> None:
    heading = "Show numbers that change too fast"
    [source], [script] = (blocks(PATTERNS, heading, each) for each in ("python", "js"))
    declared, _, published = source.partition("\n\n\nawait")
    site.declare(declared)
    async with opened(browser, site) as (page, _):
        await site.run(f"await{published}")
        await page.evaluate("globalThis.rt = connect()")
        await page.add_script_tag(content=script.replace("const room", "room"))
        await page.wait_for_function("room.state.get('AAPL')?.data === 101.2")


async def test_asking_the_page(browser: Browser, site: Site) -> None:
    [asked], [script] = (blocks(PATTERNS, "Ask the page", each) for each in ("python", "js"))
    answers: asyncio.Queue[Any] = asyncio.Queue()

    @site.rt.on("count", concurrent=True)
    async def count(client: Session, data: None = None) -> None:
        await answers.put(await site.run(f"{asked}return 'counted'", client=client))

    async with opened(browser, site) as (page, _):
        await page.evaluate("globalThis.rt = connect()")
        await page.add_script_tag(content=f"dialog = (text) => text === 'Count 1790 files?'; {script}")
        await page.evaluate("rt.request('count')")
        assert await answers.get() == "counted"


async def test_something_is_said_once_by_all_nodes(site: Site) -> None:
    [source] = blocks(PATTERNS, "Do something at intervals, once", "python")
    site.rt.room("clock", history=10)(lambda client: None)
    async with site.app.test_app():
        for _ in range(2):
            await site.run(f"import time\n{source.replace('time.time()', '1_800_000_000')}")
        assert len((await site.rt.read("clock")).publications) == 1


async def test_a_login_begins_a_new_session(browser: Browser, site: Site) -> None:
    [script, *_] = blocks(LOGINS, "A login without loading the page again", "js")
    site.rt.room("lobby")(lambda client: None)
    site.rt.on("who")(lambda client, data=None: client.user_id)
    who: Callable[[Page], Awaitable[Any]] = lambda page: page.evaluate("rt.request('who')")  # noqa: E731
    async with opened(browser, site) as (page, _):
        await page.add_script_tag(content=f"show = tell; {script}")
        assert await who(page) is None
        await page.evaluate("login('ann')")
        assert await who(page) == "ann"
        await page.evaluate("rt.cut()")
        assert await who(page) == "ann"
        await site.rt.publish("lobby", "said", "hello")
        await page.wait_for_function("told.join() === 'hello'")
