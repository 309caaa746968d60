from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio
from quart import Quart

from examples.chat.chat import pages as chat
from examples.dashboard.dashboard import pages as dashboard
from examples.index.index import PEOPLE, pages
from examples.jobs.jobs import pages as jobs
from examples.shared import rt, serve
from examples.ticker.ticker import pages as ticker
from multitransport.testing.waiting import eventually


@pytest_asyncio.fixture
async def app() -> AsyncIterator[Quart]:
    app = serve(pages, dashboard, chat, ticker, jobs)
    async with app.test_app():
        yield app


async def test_the_index_leads_to_every_example(app: Quart) -> None:
    html = await (await app.test_client().get("/")).get_data(as_text=True)
    for example in ("dashboard", "chat", "ticker", "jobs"):
        assert f'href="/{example}/"' in html
        assert f'data-example="{example}"' in html
    assert 'class="examples"' not in html


async def test_it_counts_people_as_they_come_and_go(app: Quart) -> None:
    browser = app.test_client()
    await browser.get("/")
    async with rt.test_client(app) as watcher:
        people = await watcher.join(PEOPLE)
        await eventually(lambda: people.state == {"dashboard": 0, "chat": 0, "ticker": 0, "jobs": 0})
        async with (
            rt.test_client(app, cookies=browser) as one,
            rt.test_client(app, cookies=browser) as same,
            rt.test_client(app) as other,
        ):
            # One person in two rooms with two tabs, and another.
            await one.join("chat/lobby")
            await same.join("chat/garden")
            await other.join("chat/garden")
            await other.join("jobs/list")
            await eventually(lambda: people.state == {"dashboard": 0, "chat": 2, "ticker": 0, "jobs": 1})
        await eventually(lambda: people.state["chat"] == people.state["jobs"] == 0)
