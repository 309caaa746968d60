"""Every way to start the served application, as a process group of its own: what a terminal's Ctrl-C reaches."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from multitransport.testing.server import free_port
from multitransport.testing.waiting import eventually

__all__ = ["PACKAGE", "RUNNERS", "Group", "started"]

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "multitransport"
APP = "tests.integration.served_app"

RUNNERS = {
    "quart run": ("quart", "--app", f"{APP}:app", "run", "--port", "{port}"),
    "python app.py": (APP, "{port}"),
    "hypercorn": ("hypercorn", f"{APP}:app", "--bind", "127.0.0.1:{port}"),
    "hypercorn -w 2": ("hypercorn", f"{APP}:app", "-w", "2", "--bind", "127.0.0.1:{port}"),
    "uvicorn": ("uvicorn", f"{APP}:app", "--port", "{port}"),
    "multitransport run": ("multitransport.cli", "run", f"{APP}:create_app()", "--port", "{port}"),
}


class Group:
    """A running process and whatever it started."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self.process = process
        self.port = port
        self._written = bytearray()
        self._reading = asyncio.create_task(self._read())

    @property
    def output(self) -> str:
        """What all of them wrote so far."""
        return self._written.decode(errors="replace")

    def signal(self, number: signal.Signals) -> None:
        """Signal all of its process group, as a terminal does."""
        os.killpg(self.process.pid, number)

    async def seconds_to_end(self) -> float:
        """Wait until the last of them has ended, and return how long that took."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        async with asyncio.timeout(20):
            # The pipe they write to ends with the last of them.
            await self._reading
            await self.process.wait()
        return loop.time() - begun

    async def _read(self) -> None:
        assert self.process.stdout is not None
        while chunk := await self.process.stdout.read(65536):
            self._written += chunk

    async def accepts(self) -> bool:
        """Tell whether it can be connected to. Raises AssertionError where it has ended."""
        assert self.process.returncode is None, self.output
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        return True


@asynccontextmanager
async def started(
    command: Sequence[str], *, directory: Path = ROOT, ready: Callable[[], bool] | None = None
) -> AsyncIterator[Group]:
    """Run a module of the command's name, with a free port for `{port}`, and wait until it is ready."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        *(word.format(port=port) for word in command),
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    group = Group(process, port)
    try:
        await eventually(ready or group.accepts, 20)
        yield group
    finally:
        with suppress(ProcessLookupError):
            group.signal(signal.SIGKILL)
        await group.seconds_to_end()
