"""Three rooms that talk when they are told to, in turn, one of each way with who falls behind, and what their server's
memory is.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import time
from pathlib import Path
from typing import Any

from quart import Quart

from multitransport import MultiTransport, Session

BYTES = 256 << 10
"""What each room keeps at most."""

COUNT = 50
KEYS = 50
PAUSE_SECONDS = 0.3
PAD = "x" * 4000

BALLAST = 128
"""So many publications of 64 KiB fill whatever the system buffers for a socket."""

app = Quart(__name__)
app.secret_key = "of the tests"
rt = MultiTransport(
    app, ping_seconds=600.0, grace_seconds=600.0, hello_seconds=600.0, resume_seconds=2.0, stalled_seconds=600.0
)
talk: list[asyncio.Task[None]] = []
said: dict[str, int] = dict.fromkeys(("skip", "conflate", "disconnect"), 0)


@rt.room("skip", retention_count=COUNT, retention_bytes=BYTES)
@rt.room("disconnect", retention_count=COUNT, retention_bytes=BYTES, slow="disconnect")
@rt.room("conflate", mode="state", max_keys=KEYS, retention_bytes=BYTES)
async def join(client: Session) -> None:
    """Everybody may join."""


@rt.room("ballast", history=BALLAST, retention_count=BALLAST, retention_bytes=16 << 20)
async def fill(client: Session) -> None:
    """Who joins this one before it stops reading stops at once."""


@app.before_serving
async def load() -> None:
    for _ in range(BALLAST):
        await rt.publish("ballast", "said", "x" * (64 << 10))


async def speak(room: str) -> None:
    while True:
        said[room] += 1
        key = f"key {said[room] % KEYS}" if room == "conflate" else None
        await rt.publish(room, "said", {"at": time.monotonic(), "number": said[room], "pad": PAD}, key=key)
        await asyncio.sleep(PAUSE_SECONDS)


@app.post("/talk")
async def begin() -> dict[str, Any]:
    for room in said:
        talk.append(asyncio.create_task(speak(room)))
        await asyncio.sleep(PAUSE_SECONDS / len(said))
    return {}


@app.delete("/talk")
async def end() -> dict[str, int]:
    """Answer with how many publications there were, by room."""
    while talk:
        talk.pop().cancel()
    return said


def resident_kilobytes() -> int:
    """Return the memory that is in use, of which the allocator keeps nothing back."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") // 1024


@app.get("/inside")
async def inside() -> dict[str, Any]:
    """Count the members of each room, and its server's memory."""
    sessions = app.extensions["multitransport"].running.node.sessions.values()
    members = {room: sum(room in client.rooms for client in sessions) for room in said}
    return {"members": members, "kilobytes": resident_kilobytes()}
