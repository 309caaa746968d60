"""Programs that are started, watched and ended by this one, and never outlive it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

PROBE_SECONDS = 0.25
PATIENCE_SECONDS = 10.0
AGAIN_SECONDS = 1.0
KEPT_LINES = 20

# Its standard input is a pipe from the supervisor, which ends with it, however it ends; all the programs are in the
# process group that this shell leads.
GUARD = 'trap "" HUP INT TERM; read -r _; rm -rf -- "$1"; kill -9 0'


class Guard:
    """Sees that nothing is left when the supervisor has ended: no program, and nothing in ``directory``."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Begin to watch."""
        self._process = await asyncio.create_subprocess_exec(
            "/bin/sh", "-c", GUARD, "guard", str(self._directory), stdin=asyncio.subprocess.PIPE, process_group=0
        )

    @property
    def group(self) -> int:
        """The process group of everything that must not be left."""
        assert self._process is not None
        return self._process.pid

    async def ended(self) -> None:
        """Wait until somebody has ended the guard, after which nothing is safe any more."""
        assert self._process is not None
        await self._process.wait()

    async def release(self) -> None:
        """Have it clean up now."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            await self._process.wait()


class Process:
    """One program. ``probe`` returns why it is not ready, or None where it is; it is asked several times a second.

    What a ``quiet`` one prints is shown only where it ends unasked.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        guard: Guard,
        probe: Callable[[], Awaitable[str | None]],
        directory: Path | None = None,
        environment: Mapping[str, str] | None = None,
        quiet: bool = False,
    ) -> None:
        self.name = name
        self.pid: int | None = None
        """Of the one that runs, or ran last."""
        self.fault: str | None = "starting"
        self._command = command
        self._guard = guard
        self._probe = probe
        self._directory = directory
        self._environment = {**os.environ, **(environment or {})}
        self._quiet = quiet
        self._process: asyncio.subprocess.Process | None = None
        self._run: asyncio.Task[None] | None = None
        self._asked: str | None = None
        self._restarting = False

    @property
    def running(self) -> bool:
        """Whether there is a process of it."""
        return self._process is not None

    @property
    def state(self) -> str:
        """``starting``, ``up``, ``unready``; ``draining``; ``killed``, ``stopped``, ``crashed``."""
        if self._process is None:
            return self._asked or "crashed"
        if self._asked is not None:
            return "draining" if self._asked == "stopped" else self._asked
        return {None: "up", "starting": "starting"}.get(self.fault, "unready")

    async def start(self) -> None:
        """Start it, unless it runs. It is started again when it ends unasked."""
        if self._process is not None:
            return
        self._asked, self.fault = None, "starting"
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            cwd=self._directory,
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            process_group=self._guard.group,
            limit=1 << 20,
        )
        self.pid = self._process.pid
        self._run = asyncio.create_task(self._watch(self._process))

    def kill(self) -> None:
        """End it by SIGKILL."""
        self._end(signal.SIGKILL, "killed")

    def terminate(self) -> None:
        """Ask it by SIGTERM to end."""
        self._end(signal.SIGTERM, "stopped")

    async def stop(self, patience_seconds: float = PATIENCE_SECONDS) -> None:
        """End it: by SIGTERM, and by SIGKILL where that takes too long."""
        self.terminate()
        if self._run is not None:
            done, _ = await asyncio.wait({self._run}, timeout=patience_seconds)
            if not done:
                self.say("does not end: it is killed")
                self.kill()
                await asyncio.wait({self._run})

    async def restart(self, between: Callable[[], None] | None = None) -> None:
        """Stop it where it runs, do what is to be done while it does not, and start it."""
        if self._restarting:
            return
        self._restarting = True
        try:
            await self.stop()
            if between is not None:
                between()
            await self.start()
        finally:
            self._restarting = False

    async def ready(self) -> None:
        """Wait until it is ready. Raises RuntimeError where it ends before."""
        while self.state != "up":
            if not self.running:
                raise RuntimeError(f"{self.name} has ended: what it said is above")
            await asyncio.sleep(PROBE_SECONDS / 5)

    def say(self, text: str) -> None:
        """Print a line under its name."""
        with contextlib.suppress(BrokenPipeError):  # whoever read it is gone; that must not end the rest
            sys.stdout.write(f"{self.name:<6} | {text}\n")
            sys.stdout.flush()

    def _end(self, number: signal.Signals, asked: str) -> None:
        if self._process is None:
            self._asked = self._asked or asked
        elif self._asked is None or number == signal.SIGKILL:
            self._asked = asked
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        probing = asyncio.create_task(self._ask())
        assert process.stdout is not None
        kept: deque[str] = deque(maxlen=KEPT_LINES)
        try:
            while line := await process.stdout.readline():
                (kept.append if self._quiet else self.say)(line.decode(errors="replace").rstrip())
            code = await process.wait()
        finally:
            probing.cancel()
            self._process = None
        if self._asked is None:
            for text in kept:
                self.say(text)
            self.say(f"has ended with {code}, unasked; it is started again")
            await asyncio.sleep(AGAIN_SECONDS)
            if self._asked is None:
                await self.start()
        else:
            self.say(f"is {self._asked}")

    async def _ask(self) -> None:
        while True:
            fault = await self._probe()
            if fault is None or self.fault != "starting":
                self.fault = fault
            await asyncio.sleep(PROBE_SECONDS)
