"""Parts of the page that can be wrong without anybody seeing it, run in the browser with input made for the test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from multitransport.testing.server import ServerProcess

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

FEED = """async (steps) => {
  const { Continuity } = await import("/static/continuity.js");
  const continuity = new Continuity();
  for (const step of steps) {
    if (Array.isArray(step)) continuity.accept({ r: step[0], n: step[1] });
    else continuity.tell(step.lost);
  }
  return { ...continuity };
}"""

FOLD = """async ([readings, points]) => {
  const { History } = await import("/static/history.js");
  const history = new History(1);
  for (const [time, value] of readings) history.add(time, [value]);
  return history.folded(0, 1, points);
}"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def blank(browser: Browser, server: ServerProcess) -> AsyncIterator[Page]:
    """A page of the dashboard's origin on which nothing runs."""
    page = await browser.new_page()
    await page.goto(f"{server.url}/shared/icon.svg")
    yield page
    await page.close()


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([["a", 7], ["a", 8], ["a", 9]], {"gaps": 0, "duplicates": 0, "restarts": 0}),
        ([["a", 7], ["a", 9]], {"gaps": 1, "duplicates": 0}),
        ([["a", 7], ["a", 7], ["a", 8]], {"gaps": 0, "duplicates": 1}),
        ([["a", 7], ["a", 9], ["a", 8]], {"gaps": 1, "duplicates": 1}),
        ([["a", 7], {"lost": 4}, ["a", 12]], {"gaps": 0, "knownLost": 4, "unknownLosses": 0}),
        ([["a", 7], {"lost": 4}, ["a", 12], ["a", 14]], {"gaps": 1, "knownLost": 4}),
        ([["a", 7], {"lost": None}, ["b", 3], ["b", 4]], {"gaps": 0, "unknownLosses": 1, "restarts": 1}),
        ([["a", 7], ["b", 3], ["b", 5]], {"gaps": 1, "restarts": 1}),
    ],
)
async def test_continuity_tells_apart(blank: Page, steps: list[Any], expected: dict[str, int]) -> None:
    found = await blank.evaluate(FEED, steps)
    assert {name: found[name] for name in expected} == expected
    assert found["checked"] == sum(isinstance(step, list) for step in steps)


async def test_history_keeps_five_minutes_and_folds_them_alike_as_they_move(blank: Page) -> None:
    readings = [[i / 10, float(i % 7)] for i in range(3100)]
    times, values = await blank.evaluate(FOLD, [readings, 600])
    assert len(times) <= 602
    assert times[-1] - times[0] == pytest.approx(300, abs=1)
    later, moved = await blank.evaluate(FOLD, [[*readings, [310.0, 3.0], [310.1, 4.0]], 600])
    shared = dict(zip(times[:-1], values[:-1], strict=True))
    again = dict(zip(later[1:-1], moved[1:-1], strict=True))
    assert len(shared.keys() & again.keys()) > 590
    assert all(shared[time] == pytest.approx(again[time]) for time in shared.keys() & again.keys() if time != times[0])


async def test_holes_in_time_repeated_times_and_a_clock_set_back(blank: Page) -> None:
    _, values = await blank.evaluate(FOLD, [[[1, 5.0], [1.1, 5.0], [9, 6.0]], 3000])
    assert values == [5, 5, None, 6]
    times, values = await blank.evaluate(FOLD, [[[1, 5.0], [1, 6.0], [0.9, 7.0], [1.2, 8.0]], 3000])
    assert values == [5, 6, 7, 8]
    assert times == sorted(set(times))
    times, values = await blank.evaluate(FOLD, [[[100, 5.0], [50, 6.0], [50.1, 7.0]], 3000])
    assert (times, values) == ([50, 50.1], [6, 7])
