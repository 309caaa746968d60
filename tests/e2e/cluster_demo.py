"""The demo of several nodes, started as `make demo NODES=3` does."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from multitransport.testing.server import free_port
from multitransport.testing.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
PRESS = {"X-Control": "press"}


class Demo:
    """The supervisor with all that it runs. Use it with ``async with``."""

    def __init__(self, nodes: int) -> None:
        self.port = free_port()
        self.output = ""
        self._nodes = nodes
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._http = httpx.AsyncClient(base_url=self.url, headers=PRESS, timeout=30)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        arguments = ["-m", "examples.cluster", "--nodes", str(self._nodes), "--port", str(self.port)]
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *arguments,
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        self._reading = asyncio.create_task(self._read(self._process))
        await eventually(self._started, 30)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._http.aclose()
        await self.end(signal.SIGINT)

    async def end(self, number: signal.Signals) -> None:
        """End the supervisor, and wait until it has ended."""
        assert self._process is not None
        assert self._reading is not None
        if self._process.returncode is None:
            self._process.send_signal(number)
        await asyncio.wait_for(self._process.wait(), 30)
        await self._reading

    async def state(self) -> dict[str, Any]:
        state: dict[str, Any] = (await self._http.get("/control/state")).json()
        return state

    def _started(self) -> bool:
        assert self._reading is not None
        assert not self._reading.done(), self.output
        return "Ctrl-C stops everything" in self.output

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while line := await process.stdout.readline():
            self.output += line.decode()


def runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A container may have nobody who collects what has ended.
    state = Path(f"/proc/{pid}/stat")
    return not (state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z")
