"""What a test needs to act on rooms from outside of an application: the rooms, declared as a node does it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from multitransport.brokers.redis.connections.line import Line
from multitransport.brokers.redis.connections.server import Server
from multitransport.brokers.redis.keys import Keys
from multitransport.brokers.redis.rooms.declared import DeclaredRoom, declare
from multitransport.brokers.redis.timing import Timing
from multitransport.core.log import Retention

__all__ = ["ROOMS", "command", "declare_rooms", "line_to"]

ROOT = Path(__file__).resolve().parents[1]

ROOMS = [
    DeclaredRoom("chat/<name>", Retention(count=100, seconds=60.0), history=10),
    DeclaredRoom("hall", Retention(count=100, seconds=60.0), presence=True),
    DeclaredRoom("load/<int:host>", Retention(seconds=60.0, bytes=10_000, keys=2)),
]


@asynccontextmanager
async def line_to(url: str) -> AsyncIterator[Line]:
    """Give a connection of its own."""
    line = Line(Server(url, 2.0), Timing())
    running = asyncio.create_task(line.run())
    try:
        yield line
    finally:
        running.cancel()


async def declare_rooms(url: str, rooms: list[DeclaredRoom] = ROOMS, prefix: str = "multitransport") -> None:
    """Say once what an application declares."""
    async with line_to(url) as line:
        await declare(line, Keys(prefix, 0), rooms)


async def command(*arguments: str, url: str | None, stdin: bytes = b"") -> subprocess.CompletedProcess[str]:
    """Run ``multitransport`` to its end, with the Redis in its environment."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "multitransport.cli",
        *arguments,
        cwd=ROOT,
        env=os.environ if url is None else {**os.environ, "MULTITRANSPORT_BROKER": url},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    async with asyncio.timeout(20):
        out, err = await process.communicate(stdin)
    assert process.returncode is not None
    return subprocess.CompletedProcess(arguments, process.returncode, out.decode(), err.decode())
