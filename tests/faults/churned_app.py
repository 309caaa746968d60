"""The application of the contracts, which also tells what there is inside of its server."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import math
import os
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from multitransport import Session
from multitransport.brokers.base import Broker
from multitransport.brokers.memory import MemoryBroker, MemorySessionStore
from multitransport.core.heartbeat import Heartbeat
from multitransport.core.inbox import Inbox
from multitransport.core.passes import StateCursor
from multitransport.core.reader import Cursor, Reader
from multitransport.core.state import StateLog
from multitransport.node.attachment import Attachment
from multitransport.node.feed import Throttle
from multitransport.node.rooms import PRESENCE
from multitransport.node.session import JoinRequest
from tests.contracts.application import Application
from tests.contracts.served import working

application = Application(
    hello_seconds=10.0, resume_seconds=10.0, ping_seconds=5.0, grace_seconds=10.0, presence_seconds=1.0
)
app = application.quart

COUNTED = {
    f"{each.__module__}.{each.__name__}"
    for each in (Attachment, Cursor, Heartbeat, Inbox, JoinRequest, Reader, Session, StateCursor, Throttle)
}
"""Types of which nothing may be left without a session."""


def resident_kilobytes() -> int:
    """Return the memory that is in use, of which the allocator keeps nothing back."""
    ctypes.CDLL(None).malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") // 1024


def shown_in(broker: Broker) -> list[StateLog]:
    """Return the logs of who is in rooms."""
    assert isinstance(broker, MemoryBroker)
    return [log for log in broker._logs.values() if log.room.startswith(PRESENCE) and isinstance(log, StateLog)]


@app.get("/inside")
async def inside() -> dict[str, int]:
    """Count what sessions are made of, and forget what the application itself noted and who has left."""
    for notes in (application.ran, application.connected, application.disconnected):
        notes.clear()
    node = application.node
    await node.hub.sweep()
    # That somebody left is kept for five minutes: how much there is of that says how fast the machine is.
    for log in shown_in(node.hub._broker):
        log.trim(math.inf)
    gc.collect()
    alive = Counter(f"{type(each).__module__}.{type(each).__name__}" for each in gc.get_objects())
    store, broker = node._store, node.hub._broker
    assert isinstance(broker, MemoryBroker)
    assert isinstance(store, MemorySessionStore)
    return {
        "sessions": len(node.sessions) + len(node.sessions._by_user),
        "records": len(store._records) + len(store._by_new) + len(store._expires_at),
        "attachments": len(node._attachments),
        "cursors": sum(len(feed.cursors) for feed in node.hub._feeds.values()),
        "readers": sum(count for name, count in alive.items() if name in COUNTED),
        "timers": sum(map(len, node._timers._wheel._buckets.values())),
        "members": sum(len(log.values()) for log in shown_in(broker)) + len(node.presence._turns),
        "asked": len(node.verbs.asks),
        "feeds": len(node.hub._feeds),
        "rooms": len(broker._logs),
        "own tasks": len(node._tasks),
        "tasks": len(working() - {asyncio.current_task()}),
        "objects": alive.total(),
        "kilobytes": resident_kilobytes(),
    }
