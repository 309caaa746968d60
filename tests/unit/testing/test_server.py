"""Real servers for tests."""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from multitransport.testing.server import ServerProcess, free_port, serve
from multitransport.testing.waiting import eventually

APP = f"{Path(__file__).parent / 'served_module.py'}:app"


class Application:
    """Answers, streams for ever at ``/endless``, and notes its lifespan."""

    def __init__(self) -> None:
        self.events: list[str] = []

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            self.events.append("up")
            await send({"type": "lifespan.startup.complete"})
            await receive()
            self.events.append("down")
            await send({"type": "lifespan.shutdown.complete"})
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if scope["path"] == "/endless":
            await send({"type": "http.response.body", "body": b".", "more_body": True})
            while (await receive())["type"] != "http.disconnect":
                pass
            self.events.append("left")
            return
        await send({"type": "http.response.body", "body": b"hello"})


async def test_an_app_is_served_in_this_loop_from_startup_to_shutdown() -> None:
    app = Application()
    async with serve(app) as url, httpx.AsyncClient() as http:
        assert app.events == ["up"]
        assert (await http.get(url)).text == "hello"
    assert app.events == ["up", "down"]


async def test_an_open_stream_does_not_keep_it_from_stopping() -> None:
    app, loop = Application(), asyncio.get_running_loop()
    before = asyncio.all_tasks()
    async with httpx.AsyncClient() as http:
        async with serve(app, stop_seconds=0.1) as url:
            response = await http.send(http.build_request("GET", f"{url}/endless"), stream=True)
            started = loop.time()
        assert loop.time() - started < 4
        await response.aclose()
    assert app.events == ["up", "left", "down"]
    await eventually(lambda: asyncio.all_tasks() <= before)


async def test_a_startup_that_fails_is_raised() -> None:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    with pytest.raises(Exception, match="no database"):
        async with serve(app):
            pytest.fail("it must not come this far")


def test_a_free_port_is_kept_from_everybody_who_does_not_name_it() -> None:
    port = free_port()
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", port))
    with socket.create_server(("127.0.0.1", port)):
        pass


async def answer(server: ServerProcess) -> str:
    async with httpx.AsyncClient(timeout=2) as http:
        return (await http.get(server.url)).text


async def test_a_process_is_started_killed_and_restarted_on_its_port() -> None:
    async with ServerProcess(APP, environment={"COLOUR": "green"}) as server:
        assert server.process is not None
        assert await answer(server) == f"{server.process.pid} green"
        first, url = server.process, server.url
        await server.restart()
        assert first.returncode == -9
        assert server.url == url
        assert await answer(server) == f"{server.process.pid} green"
        assert await server.terminate() == 0
        assert "Running on" in server.output


async def test_a_suspended_process_answers_once_it_is_resumed() -> None:
    async with ServerProcess(APP) as server:
        server.suspend()
        asking = asyncio.create_task(answer(server))
        done, _ = await asyncio.wait({asking}, timeout=0.2)
        assert not done
        server.resume()
        assert (await asking).endswith("None")
    assert server.process is not None
    assert server.process.returncode is not None


async def test_one_that_does_not_start_shows_its_output() -> None:
    server = ServerProcess("app", command=(sys.executable, "-c", "raise SystemExit('out of paper')"))
    with pytest.raises(AssertionError, match="out of paper"):
        await server.start()
    await server.__aexit__(None, None, None)
