"""A real redis-server on a free port, that can be killed, frozen and robbed of what it has."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from multitransport.brokers.redis.connections.connection import Connection, ConnectionLost, Refusal
from multitransport.testing.server import free_port
from multitransport.testing.waiting import eventually

__all__ = ["RedisServer"]

_CONNECT_SECONDS = 10.0
"""The machine may be busy with three hundred visitors."""


class RedisServer:
    """Use it with ``async with``. ``keep`` writes each command to a log on disk, which survives ``kill``."""

    def __init__(self, *arguments: str, keep: bool = False, sentinel: str | None = None) -> None:
        """With ``sentinel``, its configuration, it is one."""
        self.port = free_port()
        self.directory = Path(tempfile.mkdtemp(prefix="redis-"))
        self._sentinel = sentinel
        self._arguments = ["--appendonly", "yes" if keep else "no", "--appendfsync", "always", *arguments]
        self.process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.kill()
        shutil.rmtree(self.directory)

    async def start(self) -> None:
        arguments = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.directory)]
        if self._sentinel is not None:
            path = self.directory / "sentinel.conf"
            path.write_text(self._sentinel)
            arguments = [str(path), *arguments, "--sentinel"]
        else:
            arguments += ["--save", "", *self._arguments]
        self.process = await asyncio.create_subprocess_exec(
            shutil.which("redis-server") or "/usr/bin/redis-server",
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        await eventually(self._answers, 10.0)

    async def kill(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(signal.SIGKILL)
            await self.process.wait()

    def suspend(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    async def call(self, *command: str | int | bytes) -> Any:
        """Send one command over a connection of its own, also where nodes would have none: to a replica."""
        async with asyncio.timeout(_CONNECT_SECONDS):
            _, connection = await asyncio.get_running_loop().create_connection(Connection, "127.0.0.1", self.port)
            try:
                return await connection.request(*command)
            finally:
                connection.end("done")

    async def keys(self) -> dict[str, int]:
        """Return every key with the milliseconds it has left, -1 for ever."""
        return {key.decode(): await self.call("PTTL", key) for key in await self.call("KEYS", "*")}

    def saved(self) -> bytes:
        """Return the log on disk as it is now."""
        return self._newest_log().read_bytes()

    def restore(self, saved: bytes) -> None:
        """Put an older log in its place, while the server is down."""
        self._newest_log().write_bytes(saved)

    def _newest_log(self) -> Path:
        [found] = self.directory.glob("appendonlydir/*.incr.aof")
        return found

    async def _answers(self) -> bool:
        assert self.process is not None
        if self.process.returncode is not None:
            raise AssertionError(f"redis-server ended with {self.process.returncode}")
        with contextlib.suppress(OSError, Refusal, ConnectionLost):
            return bool(await self.call("PING") == b"PONG")
        return False
