from __future__ import annotations

import asyncio
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import websockets

from multitransport.testing.waiting import eventually
from tests.integration.runners import APP, ROOT, Group, started
from tests.integration.tabs import open_tabs

RUN = ("multitransport.cli", "run", f"{APP}:app", "--port", "{port}")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end, which has to come by itself."""
    command = [sys.executable, "-m", "multitransport.cli", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20, check=False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no.such.module:app"], "Error: there is no module 'no.such.module'"),
        ([f"{APP}:ap"], f"did you mean `{APP}:app`?"),
        ([f"{APP}:STARTED"], "is no ASGI application but str"),
        ([f"{APP}:app", "--bind", "nonsense"], "Error: expected host:port or unix:path, not 'nonsense'"),
        ([f"{APP}:create_failing_app()"], "Error: the application did not start"),
    ],
)
def test_what_cannot_be_served_is_said_in_a_line(arguments: list[str], message: str) -> None:
    ended = run("run", *arguments, "--port", "0")
    assert ended.returncode == 1
    assert message in ended.stderr.splitlines()[-1]
    assert str(ROOT / "multitransport/cli") not in ended.stderr, "no traceback goes through the runner"


def test_a_taken_port_is_said_in_a_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = run("run", f"{APP}:app", "--bind", address)
    assert (ended.returncode, ended.stderr) == (1, f"Error: cannot listen on {address}: Address already in use\n")


async def test_the_first_line_says_where_it_is() -> None:
    async with started(RUN) as server:
        await eventually(lambda: server.output)
        assert f"{APP}:app is served on http://127.0.0.1:{server.port} " in server.output


async def read_endless(server: Group, begun: asyncio.Event) -> bool:
    """Read a stream of the application's own, and return whether it was cut."""
    async with httpx.AsyncClient() as client:
        try:
            async with client.stream("GET", f"http://127.0.0.1:{server.port}/endless") as response:
                async for _ in response.aiter_raw():
                    begun.set()
        except httpx.TransportError:
            return True
    return False


async def test_what_does_not_end_within_the_grace_is_cut() -> None:
    async with started((*RUN, "--grace", "0.3")) as server:
        begun = asyncio.Event()
        reading = asyncio.create_task(read_endless(server, begun))
        await begun.wait()
        async with open_tabs(f"http://127.0.0.1:{server.port}/realtime") as tabs:
            server.signal(signal.SIGTERM)
            seconds = await server.seconds_to_end()
            assert [(await tab)[-1][0] for tab in tabs.values()] == ["close"] * 3
        assert await reading
    assert 0.3 <= seconds < 1.5
    assert "after_serving ran" in server.output
    assert server.process.returncode == 0


async def test_a_thread_that_is_blocked_does_not_keep_it_for_ever() -> None:
    async with started((*RUN, "--grace", "0.1")) as server, httpx.AsyncClient() as client:
        busy = asyncio.create_task(client.get(f"http://127.0.0.1:{server.port}/busy", timeout=30))
        assert (await client.get(f"http://127.0.0.1:{server.port}/")).status_code == 200
        server.signal(signal.SIGTERM)
        assert await server.seconds_to_end() < 3
        assert "something still runs and is cut off" in server.output
        with pytest.raises(httpx.TransportError):
            await busy


async def test_a_second_signal_ends_it_at_once() -> None:
    async with started((*RUN, "--grace", "30")) as server:
        begun = asyncio.Event()
        reading = asyncio.create_task(read_endless(server, begun))
        await begun.wait()
        server.signal(signal.SIGINT)
        server.signal(signal.SIGTERM)
        assert await server.seconds_to_end() < 1
        assert await reading
        assert server.process.returncode == 1


@pytest.mark.parametrize(("options", "negotiated"), [((), []), (("--deflate",), ["permessage-deflate"])])
async def test_deflate_is_negotiated_only_when_asked_for(options: tuple[str, ...], negotiated: list[str]) -> None:
    async with (
        started((*RUN, *options)) as server,
        websockets.connect(f"ws://127.0.0.1:{server.port}/realtime/websocket") as connection,
    ):
        assert [extension.name for extension in connection.protocol.extensions] == negotiated


@pytest.mark.parametrize("option", ["--uvloop", "--no-uvloop"])
async def test_it_serves_on_either_event_loop(option: str) -> None:
    async with started((*RUN, option)) as server, open_tabs(f"http://127.0.0.1:{server.port}/realtime"):
        server.signal(signal.SIGINT)
        assert await server.seconds_to_end() < 2


async def test_below_a_root_path_it_serves_with_and_without_the_prefix() -> None:
    async with started((*RUN, "--root-path", "app/")) as server, httpx.AsyncClient() as client:
        for path in ("/app/realtime/health", "/realtime/health"):
            assert (await client.get(f"http://127.0.0.1:{server.port}{path}")).json() == {"status": "ready"}
        for path in ("/app/page", "/page"):
            page = await client.get(f"http://127.0.0.1:{server.port}{path}")
            assert page.text == "/app/realtime/client.js"


async def test_requests_are_logged_where_that_is_asked_for_and_warnings_with_their_time() -> None:
    async with started((*RUN, "--access-log")) as server, httpx.AsyncClient() as client:
        await client.get(f"http://127.0.0.1:{server.port}/page")
        await eventually(lambda: '"GET /page 1.1" 200' in server.output)
        await client.get(f"http://127.0.0.1:{server.port}/raising")
        await eventually(lambda: "[ERROR] Exception on request GET /raising" in server.output)
    [line] = [line for line in server.output.splitlines() if "GET /raising" in line and "ERROR" in line]
    assert re.match(r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}\] \[\d+\] ", line)


@pytest.mark.parametrize(
    ("configured", "line"),
    [
        ("logging.basicConfig(level='INFO', format='%(name)s says %(message)s')", r"shop says it begins"),
        ("app.logger.setLevel('INFO')", r"\[[^]]+\] \[\d+\] \[INFO\] it begins"),
    ],
)
async def test_what_the_application_says_of_its_log_holds(tmp_path: Path, configured: str, line: str) -> None:
    (tmp_path / "shop.py").write_text(f"""
import logging
from quart import Quart

app = Quart("shop")
{configured}

@app.before_serving
async def begin():
    app.logger.info("it begins")
""")
    async with started(("multitransport.cli", "run", "shop:app", "--port", "{port}"), directory=tmp_path) as server:
        await eventually(lambda: "it begins" in server.output)
    [written] = [each for each in server.output.splitlines() if "it begins" in each]
    assert re.fullmatch(line, written)


async def test_a_socket_in_the_file_system(tmp_path: Path) -> None:
    path = tmp_path / "app.sock"
    async with started((*RUN, "--bind", f"unix:{path}"), ready=path.exists) as server:
        async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=str(path))) as client:
            assert (await client.get("http://app/realtime/health")).status_code == 200
        server.signal(signal.SIGTERM)
        assert await server.seconds_to_end() < 2
    assert not path.exists()
