"""What a node is put on: everything in this process, or Redis."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import partial

from multitransport.brokers.base import Backend
from multitransport.brokers.memory import MemoryBroker, MemorySessionStore

__all__ = ["memory_backend"]


def memory_backend(
    clock: Callable[[], float], *, max_rooms: int, max_sessions: int, room_idle_seconds: float
) -> Backend:
    """Return rooms and sessions of this process alone."""
    broker = MemoryBroker(
        clock=clock,
        new_epoch=partial(secrets.token_urlsafe, 6),
        max_rooms=max_rooms,
        idle_seconds=room_idle_seconds,
    )
    return Backend(broker, MemorySessionStore(clock=clock, max_words=max_sessions), None)
