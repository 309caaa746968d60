"""The rooms that applications declare, as a process that is none of them knows them."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from multitransport.brokers.redis.rooms.declared import DeclaredRoom
from multitransport.core.log import Retention
from multitransport.errors import ConfigurationError, Refuse
from multitransport.node.declarations import RoomDeclaration
from multitransport.node.rooms import PRESENCE, SESSION_INBOX, USER_INBOX, RoomTable
from multitransport.protocol.codes import ErrorCode

__all__ = ["DeclaredRooms"]

T = TypeVar("T")

logger = logging.getLogger("multitransport")

_FRESH_SECONDS = 30.0
"""How long what was read is taken for what is declared."""

_AGAIN_SECONDS = 1.0
"""How long it is, by a room that is not among it: an application may have been deployed that has it."""


class DeclaredRooms:
    """Resolves names of rooms as the applications do; where a deploy is under way, as the newest that knows them."""

    def __init__(self, read: Callable[[], Awaitable[list[list[DeclaredRoom]]]]) -> None:
        self._read = read
        self._reading = asyncio.Lock()
        self._loop = asyncio.get_running_loop()
        self._read_at = -math.inf
        self._tables: list[RoomTable] = []

    async def retention(self, name: str) -> Retention:
        """Return what a room keeps. Raises Refuse where none is declared with this name, BrokerUnavailable."""
        if name.startswith((SESSION_INBOX, USER_INBOX)):
            raise Refuse(
                ErrorCode.BAD_ROOM,
                f"{name!r} is an inbox, to which only the application publishes; declare a room such as "
                "'user/<id>' that its user may join, and publish there",
            )
        return await self._found(lambda table: table.resolve(name).declaration.retention)

    async def declaration(self, name: str) -> RoomDeclaration:
        """Return how a room is declared. Raises as ``retention``."""
        return await self._found(lambda table: table.resolve(name).declaration)

    async def presence(self, name: str) -> tuple[str, Retention]:
        """Return the room in which it is told who is in this one, and what that keeps. Raises as ``retention``, and
        ValueError where the room has no presence.
        """
        if not (await self.declaration(name)).presence:
            raise ValueError(f"{name!r} has no presence: declare it with presence=True")
        room = f"{PRESENCE}{name}"
        return room, await self._found(lambda table: table.retention(room))

    async def _found(self, find: Callable[[RoomTable], T]) -> T:
        await self._refresh(_FRESH_SECONDS)
        try:
            return self._first(find)
        except Refuse:
            if not await self._refresh(_AGAIN_SECONDS):
                raise
            return self._first(find)

    def _first(self, find: Callable[[RoomTable], T]) -> T:
        refused: Refuse | None = None
        for table in self._tables:
            try:
                return find(table)
            except Refuse as refuse:
                refused = refused or refuse
        raise refused or Refuse(
            ErrorCode.UNKNOWN_ROOM, "no room is declared: no application has run yet with this Redis and this prefix"
        )

    async def _refresh(self, seconds: float) -> bool:
        """Read what is declared, unless that was done within this time; whether it was done now."""
        async with self._reading:
            if self._loop.time() - self._read_at < seconds:
                return False
            tables = [table for rooms in await self._read() if (table := _table(rooms)) is not None]
            self._read_at = self._loop.time()
            # Where Redis has lost it, the nodes will say it again.
            self._tables = tables or self._tables
        return True


def _table(rooms: Sequence[DeclaredRoom]) -> RoomTable | None:
    try:
        return RoomTable([_declaration(room) for room in rooms])
    except ConfigurationError as error:
        logger.warning("what Redis has of declared rooms is left out in part: %s", error)
        return None


def _declaration(room: DeclaredRoom) -> RoomDeclaration:
    return RoomDeclaration(room.rule, _join, room.history, room.retention, None, room.presence)


def _join(*_: Any, **__: Any) -> bool:
    """Nobody joins a room here."""
    return False
