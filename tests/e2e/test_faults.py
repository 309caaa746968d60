"""What happens to a page when the network, a proxy, the browser or the server gets in its way."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser

from multitransport.testing.proxy import FaultProxy
from multitransport.testing.server import ServerProcess
from tests.e2e.conftest import dashboard_server
from tests.e2e.dashboard import Dashboard

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


@pytest.mark.parametrize("how", ["block", "strip"])
async def test_where_websocket_does_not_pass_the_page_lives_on_sse(
    dashboard: Dashboard, proxy: FaultProxy, how: str
) -> None:
    proxy.websocket = "block" if how == "block" else "strip"
    await dashboard.open("sse", readings=15)
    await dashboard.nothing_lost()


@pytest.mark.faults
async def test_where_streams_are_held_back_too_the_page_lives_on_long_polls(
    dashboard: Dashboard, proxy: FaultProxy
) -> None:
    proxy.websocket = "block"
    proxy.buffer_responses = 1 << 24
    await dashboard.open("poll", readings=15)
    await dashboard.nothing_lost()


async def test_a_line_that_goes_bad_under_a_live_page_costs_it_nothing(dashboard: Dashboard, proxy: FaultProxy) -> None:
    await dashboard.open()
    proxy.websocket = "block"
    proxy.cut()
    await dashboard.live("sse", within_seconds=40)
    proxy.cut()
    await dashboard.live("sse")
    await dashboard.nothing_lost()


async def test_offline_and_back(dashboard: Dashboard, proxy: FaultProxy) -> None:
    await dashboard.open()
    await dashboard.page.context.set_offline(True)
    await proxy.refuse()
    proxy.cut()
    state = await dashboard.shows(
        shown=lambda shown: shown != "live", sentence=lambda text: text.startswith("offline since ")
    )
    await dashboard.page.fill("#chat-text", "written offline")
    await dashboard.page.press("#chat-text", "Enter")
    await dashboard.shows(lines=lambda lines: "written offline" in lines)
    await proxy.accept()
    await dashboard.page.context.set_offline(False)
    back = await dashboard.live("websocket")
    assert back["session"] == state["session"]
    await dashboard.shows(lines=lambda lines: lines.count("written offline") == 1)
    await dashboard.nothing_lost()


async def test_a_frozen_page_catches_up(dashboard: Dashboard, browser: Browser, server: ServerProcess) -> None:
    await dashboard.open()
    devtools = await dashboard.page.context.new_cdp_session(dashboard.page)
    before = (await dashboard.state())["last"]
    await devtools.send("Page.setWebLifecycleState", {"state": "frozen"})
    async with Dashboard(browser, server.url) as awake:
        await awake.open()
        await awake.shows(last=lambda n: n >= before + 20)
    await devtools.send("Page.setWebLifecycleState", {"state": "active"})
    await dashboard.live("websocket", readings=10)
    state = await dashboard.nothing_lost()
    assert state["last"] >= before + 20


@pytest.mark.faults
async def test_a_server_that_was_killed_has_lost_its_log_and_the_page_says_so(browser: Browser) -> None:
    async with dashboard_server() as server, Dashboard(browser, server.url) as dashboard:
        await dashboard.open(readings=15)
        await server.kill()
        await dashboard.shows(shown=lambda shown: shown != "live")
        await server.start()
        state = await dashboard.live("websocket", within_seconds=40)
        assert state["restarts"] == 1
        assert state["unknownLosses"] >= 1
        assert (state["gaps"], state["duplicates"]) == (0, 0)
        assert state["verdict"] == "Nothing lost in silence"
        assert any("began anew" in line for line in state["journal"])
        assert await dashboard.page.locator("#known-lost").text_content() == "unknown"


async def test_a_server_that_is_stopped_says_goodbye_and_the_page_comes_back(browser: Browser) -> None:
    async with dashboard_server() as server, Dashboard(browser, server.url) as dashboard:
        await dashboard.open()
        assert await server.terminate(within_seconds=4) == 0
        await dashboard.shows(shown=lambda shown: shown != "live")
        await server.start()
        state = await dashboard.live("websocket", within_seconds=40)
        assert (state["gaps"], state["duplicates"], state["restarts"]) == (0, 0, 1)
        assert "Traceback" not in server.output
