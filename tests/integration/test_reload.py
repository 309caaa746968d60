from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import httpx
import pytest

from multitransport.testing.waiting import eventually
from tests.integration.runners import Group, started
from tests.integration.tabs import open_tabs

APP = """
import sys
from tests.integration.served_app import create_app

app = create_app()

if __name__ == "__main__":
    app.run(port=int(sys.argv[1]))
"""
END_SECONDS = 2.0
OURS = ("multitransport.cli", "run", "reloaded_app:app", "--reload", "--port", "{port}")
RELOADERS = {
    "quart run --reload": ("quart", "--app", "reloaded_app:app", "run", "--reload", "--port", "{port}"),
    "python app.py": ("reloaded_app", "{port}"),
    "hypercorn --reload": ("hypercorn", "reloaded_app:app", "--reload", "--bind", "127.0.0.1:{port}"),
    "multitransport run --reload": OURS,
}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "reloaded_app.py"
    path.write_text(APP)
    return path


def save(path: Path, text: str) -> None:
    """Write a file, at a time that differs from the last also where a file system counts in seconds."""
    later = path.stat().st_mtime_ns + 2_000_000_000
    path.write_text(text)
    os.utime(path, ns=(later, later))


async def answer(server: Group) -> str:
    """Return what tells one start of the application from another; empty while it cannot be reached."""
    async with httpx.AsyncClient() as client:
        try:
            return (await client.get(f"http://127.0.0.1:{server.port}/")).text
        except httpx.TransportError:
            return ""


async def other_answer(server: Group, than: str) -> str:
    found = await answer(server)
    return found if found != than else ""


@pytest.mark.parametrize("runner", RELOADERS)
async def test_saving_a_file_lets_go_of_every_tab_in_time_and_starts_anew(runner: str, source: Path) -> None:
    async with started(RELOADERS[runner], directory=source.parent) as server:
        before = await answer(server)
        async with open_tabs(f"http://127.0.0.1:{server.port}/realtime") as tabs:
            save(source, APP + "# saved")
            async with asyncio.timeout(END_SECONDS):
                told = await asyncio.gather(*tabs.values(), return_exceptions=True)
        if RELOADERS[runner] == OURS:
            assert [frames[-1][:2] for frames in told if isinstance(frames, list)] == [["close", 3000]] * 3
            assert "reloaded_app.py changed" in server.output
        assert await eventually(lambda: other_answer(server, before), 10), server.output
        server.signal(signal.SIGINT)
        await server.seconds_to_end()


async def test_a_mistake_is_waited_out(source: Path) -> None:
    async with started(OURS, directory=source.parent) as server:
        before = await answer(server)
        save(source, "syntax error")
        await eventually(lambda: "waiting for a file to change" in server.output, 10)
        save(source, APP)
        assert await eventually(lambda: other_answer(server, before), 10), server.output


async def test_a_watcher_that_is_killed_leaves_no_server_behind(source: Path) -> None:
    async with started(OURS, directory=source.parent) as server:
        await eventually(lambda: answer(server), 10)
        server.process.kill()
        assert await server.seconds_to_end() < END_SECONDS
        assert "after_serving ran" in server.output


async def test_a_stop_signal_to_the_watcher_alone_ends_the_server_too(source: Path) -> None:
    async with started(OURS, directory=source.parent) as server:
        await eventually(lambda: answer(server), 10)
        server.process.send_signal(signal.SIGTERM)
        assert await server.seconds_to_end() < END_SECONDS
        assert server.process.returncode == 0
        assert "after_serving ran" in server.output
