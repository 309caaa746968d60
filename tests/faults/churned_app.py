"""The application of the contracts, which also tells what there is inside of its server."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.contracts.application import Application
from tests.contracts.served import working

application = Application(hello_seconds=5.0, resume_seconds=4.0, ping_seconds=2.0, grace_seconds=5.0)
app = application.quart


def resident_kilobytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") // 1024


@app.get("/inside")
async def inside() -> dict[str, int]:
    """Count what sessions are made of, and forget what the application itself noted."""
    for notes in (application.ran, application.connected, application.disconnected):
        notes.clear()
    gc.collect()
    node = application.node
    store = node._store
    return {
        "sessions": len(node.sessions),
        "records": len(store._records) + len(store._by_new) + len(store._expires_at),
        "attachments": len(node._attachments),
        "cursors": sum(len(feed.cursors) for feed in node.hub._feeds.values()),
        "timers": sum(map(len, node._timers._wheel._buckets.values())),
        "own tasks": len(node._tasks),
        "tasks": len(working() - {asyncio.current_task()}),
        "kilobytes": resident_kilobytes(),
    }
