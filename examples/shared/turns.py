"""What only one of several nodes may do: they are on one machine here, so a lock on a file is enough."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

LOOK_SECONDS = 0.25


@asynccontextmanager
async def turn(name: str) -> AsyncGenerator[None]:
    """Wait until no other node does this, then hold it; the system lets go of it however this process ends.

    A node that is alone need not wait.
    """
    directory = os.environ.get("CLUSTER_DIRECTORY")
    if directory is None:
        yield
        return
    with (Path(directory) / f"{name}.turn").open("w") as file:
        while not _locked(file.fileno()):  # noqa: ASYNC110 - the one who lets go is in another process
            await asyncio.sleep(LOOK_SECONDS)
        yield


def _locked(descriptor: int) -> bool:
    import fcntl  # noqa: PLC0415 - Windows has none, nor the nodes

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
