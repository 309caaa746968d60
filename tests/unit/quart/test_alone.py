"""Who waits for the worker before it, and who finds another one beside it."""

from __future__ import annotations

import asyncio
import multiprocessing
import tempfile
from pathlib import Path

import pytest

from multitransport.quart import alone
from multitransport.testing.waiting import eventually


@pytest.fixture(autouse=True)
def _worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process is a worker, as far as the code can see: both parts of each test are one server's."""
    monkeypatch.setattr(multiprocessing, "parent_process", multiprocessing.current_process)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(alone, "_PATIENCE_SECONDS", 0.3)


def locks(folder: Path) -> list[Path]:
    return list(folder.glob("*.lock"))


async def end(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_the_second_of_two_says_so_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first, second = (asyncio.create_task(alone.warn_unless_alone("app")) for _ in range(2))
    await second
    assert caplog.text.count("several processes") == 1
    assert not first.done()
    await end(first)
    assert locks(tmp_path) == []


async def test_who_follows_another_waits_for_its_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first, second = (asyncio.create_task(alone.warn_unless_alone("app")) for _ in range(2))
    await eventually(lambda: len(locks(tmp_path)) == 1)
    await end(first)
    done, _ = await asyncio.wait([second], timeout=0.6)
    assert not done, "it has the lock now"
    assert "several" not in caplog.text
    await end(second)


async def test_another_application_is_no_concern(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tasks = [asyncio.create_task(alone.warn_unless_alone(name)) for name in ("app", "other")]
    done, _ = await asyncio.wait(tasks, timeout=0.6)
    assert not done
    assert len(locks(tmp_path)) == 2
    assert "several" not in caplog.text
    await end(*tasks)


async def test_who_is_no_worker_looks_for_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: None)
    await alone.warn_unless_alone("app")
    assert locks(tmp_path) == []


async def test_a_link_that_somebody_laid_there_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = asyncio.create_task(alone.warn_unless_alone("app"))
    await eventually(lambda: len(locks(tmp_path)) == 1)
    [lock] = locks(tmp_path)
    await end(task)
    lock.symlink_to(tmp_path / "elsewhere")
    await alone.warn_unless_alone("app")
    assert not (tmp_path / "elsewhere").exists()
