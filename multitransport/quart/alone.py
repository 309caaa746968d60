"""Notices that several processes serve an application, each with rooms and sessions of its own in its memory.

Workers of one server have one parent. Each tries to lock a file that is named after that parent and the application;
who cannot get it is not alone. That holds for Hypercorn, Uvicorn and Gunicorn with several workers. A reloader that has
one worker after the other gives none of them cause: the lock goes with its process, and is waited for a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

if sys.platform != "win32":  # which has neither the lock nor servers with workers that share a socket
    import fcntl

__all__ = ["warn_unless_alone"]

logger = logging.getLogger("multitransport")

_PATIENCE_SECONDS = 2.0
"""How long the worker before this one may take to end."""

_LOOK_SECONDS = 0.1

_NOT_ALONE = (
    'several processes serve this application, and with broker="memory" each has rooms and sessions of its own: who is '
    "connected to one misses what is published in another, and sessions cannot be resumed. Let them share a Redis, "
    'MultiTransport(app, broker="redis://localhost:6379/0"), or serve with one worker.'
)


async def warn_unless_alone(application: str) -> None:
    """Keep the lock until cancelled; log an error where another worker of the same server has it."""
    parent = _parent()
    if sys.platform == "win32" or parent is None:
        return
    with _opened(_lock_path(application, parent)) as lock:
        if lock is None:
            return
        loop = asyncio.get_running_loop()
        patience_ends = loop.time() + _PATIENCE_SECONDS
        while not _taken(lock):
            if loop.time() > patience_ends:
                logger.error(_NOT_ALONE)
                return
            await asyncio.sleep(_LOOK_SECONDS)
        await loop.create_future()


def _parent() -> int | None:
    """Return the process that started this one as a worker, None where it is none."""
    starter = multiprocessing.parent_process()
    if starter is not None:
        return starter.pid
    return os.getppid() if "gunicorn.arbiter" in sys.modules else None


def _lock_path(application: str, parent: int) -> Path:
    name = sha256(application.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"multitransport-{os.getuid()}-{parent}-{name}.lock"


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int | None]:
    """Open the file, which is removed by whoever has locked it; None where that cannot be."""
    try:
        # Whatever else is there under this name is not followed, and nothing is ever written to it.
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        logger.debug("cannot tell whether other workers serve this application: %s", error)
        yield None
        return
    try:
        yield lock
    finally:
        if _taken(lock):
            with contextlib.suppress(OSError):
                path.unlink()
        os.close(lock)


def _taken(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
