from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from examples.cluster import process
from examples.cluster.process import Guard, Process
from multitransport.testing.waiting import eventually

# A supervisor of one program, which says the process id of that.
SUPERVISOR = """
import asyncio, sys
from pathlib import Path
from examples.cluster.process import Guard, Process

async def main():
    async def fine(): return None
    guard = Guard(Path(sys.argv[1]))
    await guard.start()
    program = Process("sleeper", ["sleep", "600"], guard=guard, probe=fine)
    await program.start()
    print(program.pid, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


async def ready() -> str | None:
    return None


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "AGAIN_SECONDS", 0.05)


@pytest_asyncio.fixture
async def guard(tmp_path: Path) -> AsyncIterator[Guard]:
    guard = Guard(tmp_path / "data")
    await guard.start()
    yield guard
    await guard.release()


def runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A container may have nobody who collects what has ended.
    state = Path(f"/proc/{pid}/stat")
    return not (state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z")


async def test_nothing_is_left_of_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "log").write_text("something")
    supervisor = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SUPERVISOR, str(data), stdout=asyncio.subprocess.PIPE
    )
    assert supervisor.stdout is not None
    pid = int(await supervisor.stdout.readline())
    assert runs(pid)
    supervisor.kill()
    await supervisor.wait()
    await eventually(lambda: not runs(pid) and not data.exists())


async def test_what_ends_unasked_is_started_again(guard: Guard, capsys: pytest.CaptureFixture[str]) -> None:
    program = Process("sleeper", ["sh", "-c", "echo begun; exec sleep 600"], guard=guard, probe=ready)
    await program.start()
    await program.ready()
    first = program.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await eventually(lambda: program.pid != first and program.state == "up")
    await program.stop()
    assert program.state == "stopped"
    assert capsys.readouterr().out.splitlines() == [
        "sleeper | begun",
        "sleeper | has ended with -9, unasked; it is started again",
        "sleeper | begun",
        "sleeper | is stopped",
    ]


async def test_what_was_killed_stays_down_until_it_is_started(guard: Guard) -> None:
    program = Process("sleeper", ["sleep", "600"], guard=guard, probe=ready)
    await program.start()
    await program.ready()
    program.kill()
    assert program.state == "killed"
    await eventually(lambda: not program.running)
    await program.restart()
    await program.ready()
    await program.restart()
    await program.ready()
    await program.stop()


async def test_what_does_not_heed_is_killed(guard: Guard, capsys: pytest.CaptureFixture[str]) -> None:
    script = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); time.sleep(600)"
    program = Process("deaf", [sys.executable, "-c", script], guard=guard, probe=ready)
    await program.start()
    await eventually(lambda: "deaf   | 1" in capsys.readouterr().out)
    stopping = asyncio.create_task(program.stop(patience_seconds=0.1))
    await asyncio.sleep(0)
    assert program.state == "draining"
    await stopping
    assert program.state == "killed"


async def test_a_quiet_one_is_heard_where_it_fails(guard: Guard, capsys: pytest.CaptureFixture[str]) -> None:
    program = Process("quiet", ["sh", "-c", "echo the reason; exit 3"], guard=guard, probe=ready, quiet=True)
    await program.start()
    await eventually(lambda: not program.running)
    await program.stop()
    assert capsys.readouterr().out.splitlines()[:2] == [
        "quiet  | the reason",
        "quiet  | has ended with 3, unasked; it is started again",
    ]
