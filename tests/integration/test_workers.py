"""Several workers, each with rooms and sessions of its own in its memory: said at start, and only then."""

from __future__ import annotations

import signal
from pathlib import Path

import httpx
import pytest

from multitransport.testing.waiting import eventually
from tests.integration.runners import started
from tests.redis_server import RedisServer

pytestmark = pytest.mark.faults

SAID = "several processes serve this application"

APP = """
import os
from quart import Quart
from multitransport import MultiTransport

app = Quart(__name__)
app.secret_key = "of the tests"
MultiTransport(app, broker=os.environ["BROKER"])

@app.get("/pid")
async def pid() -> str:
    return str(os.getpid())
"""
HYPERCORN = ("hypercorn", "an_app:app", "--bind", "127.0.0.1:{port}", "-w")
UVICORN = ("uvicorn", "an_app:app", "--port", "{port}", "--workers")


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "an_app.py").write_text(APP)
    monkeypatch.setenv("BROKER", "memory")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def locks(source: Path) -> list[Path]:
    return list(source.glob("multitransport-*.lock"))


@pytest.mark.parametrize("command", [HYPERCORN, UVICORN], ids=["hypercorn", "uvicorn"])
async def test_two_workers_are_told_what_to_do(source: Path, command: tuple[str, ...]) -> None:
    async with started((*command, "2"), directory=source) as group:
        await eventually(lambda: SAID in group.output, 15.0)
        assert 'broker="redis://' in group.output
        assert "one worker" in group.output
        assert group.output.count(SAID) == 1
        group.signal(signal.SIGINT)
        await group.seconds_to_end()
    assert locks(source) == []


async def test_one_worker_is_told_nothing(source: Path) -> None:
    async with started((*HYPERCORN, "1"), directory=source) as group:
        [lock] = locks(source)
        assert lock.stat().st_mode & 0o777 == 0o600
        group.signal(signal.SIGINT)
        await group.seconds_to_end()
        assert SAID not in group.output
    assert locks(source) == []


async def test_two_workers_with_redis_are_told_nothing(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with RedisServer() as redis:
        monkeypatch.setenv("BROKER", redis.url)
        async with started((*HYPERCORN, "2"), directory=source) as group:
            found: set[str] = set()

            async def both_answer() -> bool:
                async with httpx.AsyncClient() as client:
                    found.add((await client.get(f"http://127.0.0.1:{group.port}/pid")).text)
                return len(found) == 2

            await eventually(both_answer, 20.0)
            assert locks(source) == []
            group.signal(signal.SIGINT)
            await group.seconds_to_end()
            assert SAID not in group.output
