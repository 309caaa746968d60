"""The dashboard in a browser, as the tests see it."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from playwright.async_api import Browser, ConsoleMessage, Page

from multitransport.testing.waiting import eventually

RECORD = """
// What the page received, in a record of the test's own that no code of the page touches.
globalThis.received = [];
const timer = setInterval(() => {
  if (!globalThis.dashboard) return;
  clearInterval(timer);
  dashboard.room.on("reading", ({ n, r }) => received.push([r, n]));
}, 0);
"""

STATE = """() => {
  const text = (id) => document.getElementById(id).textContent;
  const { gaps, duplicates, knownLost, unknownLosses, restarts, checked, last } = dashboard.continuity;
  return {
    ...dashboard.rt.status, gaps, duplicates, knownLost, unknownLosses, restarts, checked, last,
    shown: document.getElementById("status").dataset.state,
    sentence: text("status-text") + text("status-more"),
    verdict: text("verdict-text"),
    journal: [...document.querySelectorAll("#journal li")].map((line) => line.textContent.slice(8)),
    lines: [...document.querySelectorAll("#chat-lines li")].map((line) => line.lastChild.textContent),
    stats: dashboard.rt.stats,
  };
}"""


class Dashboard:
    """One page in a browser context of its own. Every message on its console that is an error is kept in `errors`."""

    def __init__(self, browser: Browser, url: str, **options: Any) -> None:
        self._browser = browser
        self._options = options
        self.url = url
        self.errors: list[str] = []
        self.page: Page

    async def __aenter__(self) -> Self:
        context = await self._browser.new_context(**self._options)
        self.page = await context.new_page()
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        await self.page.add_init_script(RECORD)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.page.context.close()

    def _note(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    async def open(self, transport: str = "websocket", readings: int = 3) -> None:
        """Load the page and wait until readings arrive over this transport."""
        await self.page.goto(self.url)
        await self.live(transport, readings)

    async def state(self) -> dict[str, Any]:
        """What the client says, what the page has counted and what it shows."""
        state: dict[str, Any] = await self.page.evaluate(STATE)
        return state

    async def shows(self, within_seconds: float = 20.0, **wanted: Any) -> dict[str, Any]:
        """Wait until the state holds these values; a function is asked about its value."""

        state: dict[str, Any] = {}

        async def met() -> bool:
            state.update(await self.state())
            return all(want(state[name]) if callable(want) else state[name] == want for name, want in wanted.items())

        try:
            await eventually(met, within_seconds)
        except AssertionError:
            raise AssertionError(f"the page never showed {list(wanted)}: {state}; errors: {self.errors}") from None
        return state

    async def live(self, transport: str, readings: int = 3, within_seconds: float = 40.0) -> dict[str, Any]:
        """Wait until the page is live over this transport and that many more readings have come."""
        state = await self.shows(
            within_seconds, state="live", shown="live", transport=transport, checked=lambda n: n > 0
        )
        return await self.shows(within_seconds, last=lambda n: n >= state["last"] + readings, transport=transport)

    async def nothing_lost(self) -> dict[str, Any]:
        """Assert that the page received every reading once, by its own count and by the test's."""
        state = await self.state()
        received = await self.page.evaluate("received")
        numbers = [n for _, n in received]
        assert len({run for run, _ in received}) == 1
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert (state["gaps"], state["duplicates"], state["knownLost"], state["unknownLosses"]) == (0, 0, 0, 0)
        assert state["verdict"] == "Nothing lost or repeated"
        return state
