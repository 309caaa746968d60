"""One Chromium, one dashboard and one server of all examples for these tests; each test has pages of its own."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright

from multitransport.testing.proxy import FaultProxy
from multitransport.testing.server import ServerProcess, serve
from tests.contracts.application import Application
from tests.e2e.dashboard import Dashboard
from tests.e2e.plain import PAGE, Visit

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def dashboard_server() -> ServerProcess:
    """The dashboard in one process: a kill would leave the worker of a second one alive."""
    return ServerProcess("app:app", directory=EXAMPLES / "dashboard", arguments=("--workers", "0"))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        path = os.environ.get("CHROMIUM", "/usr/bin/chromium")
        browser = await playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def server() -> AsyncIterator[ServerProcess]:
    async with dashboard_server() as server:
        yield server
        assert await server.terminate() == 0
        assert "Traceback" not in server.output


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def examples() -> AsyncIterator[str]:
    """The URL of all the examples in one application."""
    async with ServerProcess("app:app", directory=EXAMPLES, arguments=("--workers", "0")) as server:
        yield server.url
        assert await server.terminate() == 0
        assert "Traceback" not in server.output


@pytest_asyncio.fixture(loop_scope="session")
async def proxy(server: ServerProcess) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(server.url) as proxy:
        yield proxy


@pytest_asyncio.fixture(loop_scope="session")
async def dashboard(browser: Browser, proxy: FaultProxy) -> AsyncIterator[Dashboard]:
    """The page, not yet opened, behind the proxy."""
    async with Dashboard(browser, proxy.url) as dashboard:
        yield dashboard


@pytest_asyncio.fixture(loop_scope="session")
async def app() -> Application:
    """The application of the contracts, with the plain page."""
    application = Application()

    @application.quart.get("/")
    async def page() -> str:
        return PAGE

    return application


@pytest_asyncio.fixture(loop_scope="session")
async def line(app: Application) -> AsyncIterator[FaultProxy]:
    """What lies between the plain page and its server."""
    async with serve(app.quart) as url, FaultProxy(url) as line:
        yield line


@pytest_asyncio.fixture(loop_scope="session")
async def visit(browser: Browser, line: FaultProxy) -> AsyncIterator[Visit]:
    """Open a page and start a client on it."""
    context = await browser.new_context()

    async def open_page(transport: str | None = None, auth: Any = None) -> Page:
        page = await context.new_page()
        await page.goto(line.url)
        await page.wait_for_function("globalThis.ready")
        await page.evaluate("([transport, auth]) => start(transport, auth)", [transport, auth])
        return page

    yield open_page
    await context.close()
