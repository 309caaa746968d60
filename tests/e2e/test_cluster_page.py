"""The page of the demo of several nodes, whose buttons kill what serves it."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from multitransport.testing.waiting import eventually
from tests.e2e.cluster_demo import Demo, runs
from tests.e2e.conftest import EXAMPLES
from tests.e2e.visitors import shows, texts, until, visitor

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

STATIC = EXAMPLES / "cluster/static"
WITHIN_SECONDS = 20.0


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def pair() -> AsyncIterator[Demo]:
    """Two nodes, for what is to be quick."""
    async with Demo(2) as demo:
        yield demo
    assert "Traceback" not in demo.output


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def demo() -> AsyncIterator[Demo]:
    """Three nodes; each test leaves all of them up."""
    async with Demo(3) as demo:
        yield demo
    assert "Traceback" not in demo.output


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def blank(browser: Browser, examples: str) -> AsyncIterator[Page]:
    """A page of the examples' origin on which nothing runs."""
    page = await browser.new_page()
    await page.route("**/ticks.js", lambda route: route.fulfill(path=STATIC / "ticks.js"))
    await page.goto(f"{examples}/shared/icon.svg")
    yield page
    await page.close()


async def place(page: Page) -> str:
    """Where the page says that it is, as the buttons name it."""
    await until(page, "document.getElementById('where').textContent.startsWith('node')", WITHIN_SECONDS)
    return (await page.inner_text("#where")).replace(" ", "-")


async def press(page: Page, what: str) -> None:
    await page.click(f"[data-press='{what}']")


async def shown_at(page: Page, node: str) -> None:
    """Wait until the map shows the page itself on this node, and nowhere else."""
    await until(page, f"document.querySelector('#{node} .own') !== null", WITHIN_SECONDS)
    assert await page.locator(".own").count() == 1


async def hears_more(page: Page) -> None:
    """Wait until every node's ticks come, several of each."""
    heard = "globalThis.heard = {}; cluster.room.on('tick', ({ node }) => (heard[node] = (heard[node] ?? 0) + 1))"
    await page.evaluate(f"() => {{ {heard} }}")
    await until(page, "Object.values(heard).filter((n) => n >= 3).length === 3", WITHIN_SECONDS)


async def counted(page: Page) -> dict[str, int]:
    """What the page has counted itself."""
    found: dict[str, int] = await page.evaluate("({ ...cluster.tab.ticks })")
    return found


async def nothing_lost(page: Page) -> None:
    counters = await counted(page)
    assert {name: counters[name] for name in ("gaps", "duplicates", "knownLost", "restarts")} == {
        "gaps": 0,
        "duplicates": 0,
        "knownLost": 0,
        "restarts": 0,
    }
    await until(page, "document.getElementById('verdict').dataset.verdict === 'whole'")
    assert await page.is_hidden("#told")


async def test_a_tab_moves_when_its_node_is_killed_and_misses_nothing(browser: Browser, pair: Demo) -> None:
    async with visitor(browser, f"{pair.url}/cluster/", "Ann", errors=True) as page:
        session = await page.evaluate("cluster.rt.status.session")
        former = await place(page)
        other = {"node-1": "node-2", "node-2": "node-1"}[former]
        await shown_at(page, former)
        received = (await counted(page))["received"]
        await press(page, f"{former}/kill")
        await shows(page, f"#{former} .state", "killed")
        await shown_at(page, other)
        assert await place(page) == other
        assert await page.evaluate("cluster.rt.status.session") == session
        await until(page, f"cluster.tab.ticks.received > {received + 5}")
        await nothing_lost(page)
        assert await page.inner_text("#resumes") != "0"
        assert await page.inner_text("#interruption") != "none"


async def test_the_page_fits_a_phone_and_is_found_from_the_index(browser: Browser, pair: Demo) -> None:
    async with visitor(browser, pair.url, viewport={"width": 360, "height": 800}) as page:
        await page.click("[data-example=cluster]")
        await page.wait_for_url("**/cluster/")
        await place(page)
        assert await page.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.faults
async def test_every_transport_moves_and_everybody_sees_where(browser: Browser, demo: Demo) -> None:
    url = f"{demo.url}/cluster/"
    async with (
        visitor(browser, url, "Ann", errors=True) as ann,
        visitor(browser, url, "Ben", errors=True) as ben,
        visitor(browser, url, "Cleo", errors=True) as cleo,
    ):
        pages = (ann, ben, cleo)
        for page, use in zip(pages, ("websocket", "sse", "poll"), strict=True):
            await page.click(f"[data-use={use}]")
            await until(page, f"cluster.rt.status.transport === '{use}'", WITHIN_SECONDS)
        for number in (1, 2, 3):
            await press(ann, f"node-{number}/kill")
            await shows(ann, f"#node-{number} .state", "killed")
            for page in pages:
                await page.wait_for_selector("#status[data-state=live]", timeout=20_000)
                # Nobody is shown on a node that is not there.
                await until(page, f"document.querySelectorAll('#node-{number} .tabs li').length === 0", WITHIN_SECONDS)
            await press(ann, f"node-{number}/restart")
            await shows(ann, f"#node-{number} .state", "up")
        for page in pages:
            await hears_more(page)
            await nothing_lost(page)
            await until(page, "document.querySelectorAll('.nodes .tabs li').length === 3", WITHIN_SECONDS)
            assert sorted(await texts(page, ".nodes .tabs b")) == ["Ann", "Ben", "Cleo"]


@pytest.mark.faults
@pytest.mark.parametrize("transport", ["websocket", "sse", "poll"])
async def test_a_drained_node_hands_its_tabs_over_and_they_are_live_all_the_time(
    browser: Browser, demo: Demo, transport: str
) -> None:
    async with visitor(browser, f"{demo.url}/cluster/", "Ann", errors=True) as page:
        await page.click(f"[data-use={transport}]")
        await until(page, f"cluster.rt.status.transport === '{transport}'", WITHIN_SECONDS)
        await page.evaluate("() => { cluster.rt.on('status', ({ state }) => (globalThis.states ??= []).push(state)) }")
        former = await place(page)
        await press(page, f"{former}/terminate")
        await shows(page, f"#{former} .state", "stopped")
        await until(
            page, f"document.getElementById('where').textContent !== '{former.replace('-', ' ')}'", WITHIN_SECONDS
        )
        assert await page.evaluate("(globalThis.states ?? []).filter((state) => state !== 'live')") == []
        await press(page, f"{former}/restart")
        await shows(page, f"#{former} .state", "up")
        await hears_more(page)
        await nothing_lost(page)
        assert await page.evaluate("(globalThis.states ?? []).filter((state) => state !== 'live')") == []


@pytest.mark.faults
async def test_a_redis_that_keeps_its_data_costs_nothing(browser: Browser, demo: Demo) -> None:
    async with visitor(browser, f"{demo.url}/cluster/", "Ann", errors=True) as page:
        await hears_more(page)
        await press(page, "redis/kill")
        await shows(page, "#redis .state", "killed")
        await press(page, "redis/restart")
        await shows(page, "#redis .state", "up")
        await hears_more(page)
        await nothing_lost(page)


@pytest.mark.faults
async def test_a_redis_that_loses_its_data_is_told(browser: Browser, demo: Demo) -> None:
    async with visitor(browser, f"{demo.url}/cluster/", "Ann", errors=True) as page:
        await hears_more(page)
        await press(page, "redis/lose")
        await until(page, "!document.getElementById('told').hidden", WITHIN_SECONDS)
        assert await page.inner_text("#told") == "Redis lost its data: everybody was told"
        await hears_more(page)
        counters = await counted(page)
        assert (counters["gaps"], counters["duplicates"], counters["restarts"]) == (0, 0, 1)
        assert await page.inner_text("#verdict-text") == "Nothing lost in silence"
        # Who comes now is told of everybody by Redis.
        async with visitor(browser, f"{demo.url}/cluster/", "Ben") as ben:
            await shows(ben, f"#{await place(page)} .tabs li:not(.own) b", "Ann")
        await shown_at(page, await place(page))


TICKS = """async (steps) => {
  const { Ticks } = await import("/ticks.js");
  const ticks = new Ticks();
  for (const step of steps) {
    if (Array.isArray(step)) ticks.accept({ node: step[0], run: step[1], n: step[2] });
    else ticks.tell(step.lost);
  }
  return { ...ticks };
}"""


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([[1, "a", 7], [2, "b", 3], [1, "a", 8], [2, "b", 4]], {"gaps": 0, "duplicates": 0, "received": 4}),
        ([[1, "a", 7], [2, "b", 3], [1, "a", 9]], {"gaps": 1, "duplicates": 0}),
        ([[1, "a", 7], [1, "a", 7], [1, "a", 8]], {"gaps": 0, "duplicates": 1}),
        # A node that was started anew counts from one, and so is one that is seen for the first time.
        ([[1, "a", 7], [1, "c", 1], [1, "c", 2]], {"gaps": 0, "duplicates": 0}),
        ([[1, "a", 7], [1, "c", 3]], {"gaps": 2}),
        ([[1, "a", 7], [2, "b", 3], {"lost": 5}, [1, "a", 10], [2, "b", 7]], {"gaps": 0, "knownLost": 5}),
        ([[1, "a", 7], {"lost": 2}, [1, "a", 10], [1, "a", 12]], {"gaps": 1, "knownLost": 2}),
        ([[1, "a", 7], {"lost": None}, [1, "a", 7], [1, "a", 8]], {"duplicates": 0, "gaps": 0, "restarts": 1}),
    ],
)
async def test_the_page_tells_holes_and_repeats_apart(blank: Page, steps: list[Any], expected: dict[str, int]) -> None:
    found = await blank.evaluate(TICKS, steps)
    assert {name: found[name] for name in expected} == expected


@pytest.mark.faults
async def test_nothing_is_left_of_a_demo_that_is_killed() -> None:
    async with Demo(1) as demo:
        state = await demo.state()
        pids = [each["pid"] for each in (*state["nodes"], state["redis"])]
        [directory] = [line.split()[2].rstrip(",") for line in demo.output.splitlines() if "Data in" in line]
        assert all(runs(pid) for pid in pids)
        await demo.end(signal.SIGKILL)
        await eventually(lambda: not any(runs(pid) for pid in pids))
        await eventually(lambda: not Path(directory).exists())
