from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from quart import Quart

from examples.chat.chat import pages as chat
from examples.dashboard.dashboard import pages as dashboard
from examples.index.index import pages as index
from examples.jobs.jobs import pages as jobs
from examples.shared import rt, serve
from examples.ticker.ticker import pages as ticker

PAGES = {"/dashboard/": "dashboard", "/chat/": "chat", "/chat/garden": "chat", "/ticker/": "ticker", "/jobs/": "jobs"}


@pytest_asyncio.fixture
async def app() -> AsyncIterator[Quart]:
    app = serve(index, dashboard, chat, ticker, jobs)
    async with app.test_app():
        yield app


@pytest.mark.parametrize("path", PAGES)
async def test_every_page_leads_to_every_other(app: Quart, path: str) -> None:
    answer = await app.test_client().get(path)
    html = await answer.get_data(as_text=True)
    assert answer.status_code == 200
    for example in ("/", "/dashboard/", "/chat/", "/ticker/", "/jobs/"):
        assert f'href="{example}"' in html
    assert html.count('aria-current="page"') == (2 if path.startswith("/chat") else 1)
    assert f"{PAGES[path].capitalize()}</a>" in html


async def test_pages_load_nothing_from_elsewhere_and_name_their_scripts(app: Quart) -> None:
    answers = [await app.test_client().get("/chat/") for _ in range(2)]
    policies = [answer.headers["Content-Security-Policy"] for answer in answers]
    assert policies[0] != policies[1]
    for answer, policy in zip(answers, policies, strict=True):
        nonce = policy.split("'nonce-")[1].split("'")[0]
        html = await answer.get_data(as_text=True)
        assert html.count("<script") == html.count(f'nonce="{nonce}"') - html.count("modulepreload")
        assert "unsafe" not in policy


async def test_a_browser_is_one_visitor_and_nobody_else_is(app: Quart) -> None:
    browser = app.test_client()
    await browser.get("/chat/")
    async with (
        rt.test_client(app, cookies=browser) as one,
        rt.test_client(app, cookies=browser) as two,
        rt.test_client(app) as stranger,
    ):
        for client in (one, two, stranger):
            await client.join("chat/lobby")
        members = await rt.members("chat/lobby")
    assert sorted(len(member.metas) for member in members) == [1, 2]
    assert [member.user is None for member in sorted(members, key=lambda each: len(each.metas))] == [True, False]
