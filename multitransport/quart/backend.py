"""Where an application's node keeps what it shares with others, by the settings."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from importlib.util import find_spec

from multitransport.brokers.backends import memory_backend
from multitransport.brokers.base import Backend
from multitransport.brokers.url import MEMORY, named
from multitransport.errors import ConfigurationError
from multitransport.node.declarations import RoomDeclaration
from multitransport.node.settings import Settings

__all__ = ["choose_backend", "tell_rooms"]


def choose_backend(settings: Settings, secret_keys: Sequence[str]) -> Backend:
    """Return what the setting ``broker`` names, not started yet; to be called in the loop that is to use it.

    Raises ConfigurationError where that cannot be.
    """
    if settings.broker == MEMORY:
        return memory_backend(
            asyncio.get_running_loop().time,
            max_rooms=settings.max_rooms,
            max_sessions=settings.max_sessions,
            room_idle_seconds=settings.room_idle_seconds,
        )
    if find_spec("hiredis") is None:
        raise ConfigurationError(f"{named(settings.broker)} needs an extra: pip install 'multitransport[redis]'")
    from multitransport.brokers.redis.backend import open_backend  # noqa: PLC0415 - what it needs is optional
    from multitransport.brokers.redis.timing import Timing  # noqa: PLC0415 - likewise

    return open_backend(
        settings.broker,
        secret_keys=secret_keys,
        prefix=settings.redis_prefix,
        max_rooms=settings.max_rooms,
        max_message_bytes=settings.max_message_bytes,
        timing=Timing(idle_seconds=settings.room_idle_seconds, lease_seconds=settings.lease_seconds),
    )


async def tell_rooms(backend: Backend, rooms: Sequence[RoomDeclaration]) -> None:
    """Have Redis know what the application declares of rooms, until cancelled: for those who publish from outside."""
    from multitransport.brokers.redis.rooms.broker import RedisBroker  # noqa: PLC0415 - what it needs is optional
    from multitransport.brokers.redis.rooms.declared import DeclaredRoom, keep_declared  # noqa: PLC0415 - likewise

    broker = backend.broker
    assert isinstance(broker, RedisBroker)
    declared = [DeclaredRoom(room.rule, room.retention, room.history, room.presence) for room in rooms]
    await keep_declared(broker.line, broker.keys, declared)
