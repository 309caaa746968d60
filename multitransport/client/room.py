"""A room as the program sees it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Generator, Mapping
from types import MappingProxyType
from typing import Any, Protocol

import msgspec

from multitransport.client.events import CaughtUp, Gap, Mode, Publication
from multitransport.client.feed import Feed
from multitransport.client.presence import MemberChange, Presence
from multitransport.core.members import Member
from multitransport.errors import MultiTransportError
from multitransport.protocol.position import Position

__all__ = ["Room"]

_logger = logging.getLogger("multitransport.client")


class Connection(Protocol):
    """What a room asks of the client it belongs to."""

    async def publish(
        self,
        room: str,
        event: str,
        data: Any = None,
        *,
        key: str | None = None,
        deleted: bool = False,
        timeout: float | None = None,
    ) -> Any: ...

    async def set_max_rate(self, room: Room, max_rate: float | None) -> None: ...

    async def presence(self, room: Room, meta: Any) -> None: ...

    async def leave(self, room: Room) -> None: ...

    def position(self, room: str) -> Position | None: ...


class Room(Feed):
    """A membership. Await it to know that it is joined; iterate over it for what is published.

    Iteration yields ``Publication``, and ``Gap`` wherever publications were lost, whether by the server's retention
    or because the program did not keep up; of a state room that it does not keep up with it yields the newest of each
    key. It ends when the room is left, and raises what ended it otherwise: Refused where the server refused the join or
    took the membership away, ConnectionClosed where the session ended. There may be one iteration at a time.
    """

    def __init__(self, name: str, connection: Connection) -> None:
        super().__init__()
        self.name = name
        self.mode: Mode | None = None
        self._connection = connection
        self._joined = asyncio.Event()
        self._state: dict[str, Any] = {}
        self._presence = Presence()
        self._listeners: list[Callable[[MemberChange], object]] = []

    @property
    def position(self) -> Position | None:
        """The last position received, which a later ``join`` may continue from; None before the room is joined."""
        return self._connection.position(self.name)

    @property
    def state(self) -> Mapping[str, Any]:
        """The data of each key of a state room as it is now, iterated over or not; empty in other rooms."""
        return MappingProxyType(self._state)

    @property
    def members(self) -> Mapping[str, Member]:
        """Who is in a room with presence, by member id, as it is now; empty in other rooms."""
        return MappingProxyType(self._presence.members)

    def on_presence(self, listener: Callable[[MemberChange], object]) -> Callable[[MemberChange], object]:
        """Have each change of ``members`` told, after it has happened; may be used as a decorator."""
        self._listeners.append(listener)
        return listener

    async def presence(self, meta: Any) -> None:
        """Change what others see of this session in the room, any JSON value. Raises as ``Client.request`` does."""
        await self._connection.presence(self, meta)

    async def set_max_rate(self, max_rate: float | None) -> None:
        """Have a state room told at most so many times a second from now on; None lifts the bound.

        Raises ValueError for a rate that is not 0.001 to 1000, TypeError for one that is no number; otherwise as
        ``Client.request`` does.
        """
        await self._connection.set_max_rate(self, max_rate)

    async def publish(
        self,
        event: str,
        data: Any = None,
        *,
        key: str | None = None,
        deleted: bool = False,
        timeout: float | None = None,
    ) -> Any:
        """Publish to this room and return what the server answers. Raises as ``Client.request`` does.

        In a state room ``key`` says what it replaces, and ``deleted`` ends the key.
        """
        return await self._connection.publish(self.name, event, data, key=key, deleted=deleted, timeout=timeout)

    async def leave(self) -> None:
        """Leave; what is already here can still be iterated over."""
        await self._connection.leave(self)

    def __await__(self) -> Generator[Any, None, Room]:
        return self._wait_joined().__await__()

    async def _wait_joined(self) -> Room:
        await self._joined.wait()
        if self._error is not None:
            raise self._error
        return self

    # For the client

    def put(self, item: Publication | Gap) -> None:
        """Deliver an item, having taken it into the state."""
        if self.mode == "state":
            if isinstance(item, Gap):
                self._state.clear()
            elif item.key is not None and item.position is not None:
                if item.deleted:
                    self._state.pop(item.key, None)
                else:
                    self._state[item.key] = item.data
        super().put(item)

    def put_presence(self, effect: Publication | Gap | CaughtUp) -> None:
        """Deliver what the room of its presence tells."""
        try:
            changes = self._presence.take(effect)
        except msgspec.ValidationError:
            _logger.warning("the server told of a member of %s that is none", self.name, exc_info=True)
            return
        for change in changes:
            for listener in list(self._listeners):
                try:
                    listener(change)
                except Exception:
                    _logger.exception("a listener to the presence of %s failed", self.name)

    def joined(self, mode: Mode) -> None:
        """The server has answered."""
        self.mode = mode
        self._buffer.conflate = mode == "state"
        self._joined.set()

    def end(self, error: MultiTransportError | None = None) -> None:
        """The membership is over."""
        super().end(error)
        self._joined.set()
