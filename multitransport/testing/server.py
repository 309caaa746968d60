"""A real Hypercorn for tests: in the test's own event loop, or as a process that can be killed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from hypercorn.asyncio import serve as hypercorn_serve
from hypercorn.config import Config

from multitransport.testing.asgi_call import App
from multitransport.testing.waiting import eventually
from multitransport.transports.asgi import Connection

__all__ = ["ServerProcess", "free_port", "serve"]


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody else is given for the next minute, unless they name it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = listening.getsockname()
        with socket.create_connection(address):
            accepted, _ = listening.accept()
            # Whoever closes first leaves a TIME_WAIT behind: a port that has one is not picked for others, and can be
            # listened on.
            accepted.close()
    return int(address[1])


_NOTICE_SECONDS = 1.0
"""How long an app may take to notice that its connection was reset, before Hypercorn cancels it."""


@contextlib.asynccontextmanager
async def serve(app: App, *, config: Config | None = None, stop_seconds: float = 3.0) -> AsyncIterator[str]:
    """Serve an ASGI app in this event loop on a free port; gives its URL once it has started up.

    Leaving stops the server as a signal does; connections open after ``stop_seconds`` are reset.
    """
    if config is None:
        config = Config()
        config.graceful_timeout = stop_seconds + _NOTICE_SECONDS
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    config.bind = [f"fd://{listening.detach()}"]
    ready, stop = asyncio.Event(), asyncio.Event()
    tracked = Tracked(app)

    async def until_stopped() -> None:
        # Hypercorn asks for it when it accepts connections.
        ready.set()
        await stop.wait()

    serving = asyncio.create_task(hypercorn_serve(tracked, config, shutdown_trigger=until_stopped, mode="asgi"))
    starting = asyncio.create_task(ready.wait())
    await asyncio.wait({serving, starting}, return_when=asyncio.FIRST_COMPLETED)
    starting.cancel()
    try:
        if ready.is_set():
            yield f"http://127.0.0.1:{port}"
    finally:
        stop.set()
        await asyncio.wait({serving}, timeout=stop_seconds)
        tracked.abort()
    await serving


class Tracked:
    """Knows the connections of the calls that run, since Hypercorn may wait for them for ever."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._aborts: set[Callable[[], None]] = set()

    def abort(self) -> None:
        """Reset them."""
        for abort in self._aborts:
            abort()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Call the app."""
        abort = Connection(scope, send).abort
        if scope["type"] != "lifespan":
            self._aborts.add(abort)
        try:
            await self._app(scope, receive, send)
        finally:
            self._aborts.discard(abort)


class ServerProcess:
    """``module:app`` in a process of its own, on a port it keeps over restarts. Use it with ``async with``.

    ``command`` replaces ``python -m hypercorn --workers 0``; ``--bind 127.0.0.1:port`` and
    ``module:app`` follow it.
    """

    def __init__(
        self,
        app: str,
        *,
        command: Sequence[str] = (sys.executable, "-m", "hypercorn", "--workers", "0"),
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        directory: str | Path | None = None,
        port: int | None = None,
    ) -> None:
        self.port = port or free_port()
        self.process: asyncio.subprocess.Process | None = None
        self._arguments = [*command, *arguments, "--bind", f"127.0.0.1:{self.port}", app]
        self._environment = {**os.environ, **(environment or {})}
        self._directory = directory
        self._output = tempfile.TemporaryFile()  # noqa: SIM115

    @property
    def url(self) -> str:
        """``http://127.0.0.1:port``."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def output(self) -> str:
        """What all processes so far have written to their standard output and error."""
        self._output.seek(0)
        return self._output.read().decode(errors="replace")

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.process is not None and self.process.returncode is None:
            self.resume()
            await self.kill()
        self._output.close()

    async def start(self, within_seconds: float = 15.0) -> None:
        """Start and wait until it accepts connections. Raises AssertionError, with its output, where it does not."""
        self.process = await asyncio.create_subprocess_exec(
            *self._arguments,
            cwd=self._directory,
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
            start_new_session=True,
        )
        try:
            await eventually(self._accepts, within_seconds)
        except AssertionError as error:
            await self.kill()
            raise AssertionError(f"the server did not start: {self.output}") from error

    async def terminate(self, within_seconds: float = 10.0) -> int:
        """Stop it by SIGTERM and return its exit status. Raises TimeoutError where it does not stop."""
        process = self._signal(signal.SIGTERM)
        async with asyncio.timeout(within_seconds):
            return await process.wait()

    async def kill(self) -> int:
        """End it, and what it has started, by SIGKILL."""
        return await self._signal(signal.SIGKILL, whole_group=True).wait()

    async def restart(self) -> None:
        """Kill it and start it again on the same port."""
        await self.kill()
        await self.start()

    def suspend(self) -> None:
        """Freeze it: its connections stay, and nothing moves."""
        self._signal(signal.SIGSTOP, whole_group=True)

    def resume(self) -> None:
        """Thaw it."""
        self._signal(signal.SIGCONT, whole_group=True)

    async def _accepts(self) -> bool:
        if self.process is None or self.process.returncode is not None:
            raise AssertionError("the process has ended")
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        return True

    def _signal(self, number: signal.Signals, *, whole_group: bool = False) -> asyncio.subprocess.Process:
        if self.process is None:
            raise RuntimeError("the server was never started")
        with contextlib.suppress(ProcessLookupError):
            if whole_group:
                os.killpg(self.process.pid, number)
            else:
                self.process.send_signal(number)
        return self.process
