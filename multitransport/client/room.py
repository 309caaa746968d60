"""A room as the program sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any, Protocol

from multitransport.client.buffer import RoomBuffer
from multitransport.client.events import Gap, Publication
from multitransport.errors import MultiTransportError
from multitransport.protocol.position import Position

__all__ = ["Room"]


class Connection(Protocol):
    """What a room asks of the client it belongs to."""

    async def publish(self, room: str, event: str, data: Any, *, timeout: float | None = None) -> Any: ...

    async def leave(self, room: Room) -> None: ...

    def position(self, room: str) -> Position | None: ...


class Room:
    """A membership. Await it to know that it is joined; iterate over it for what is published.

    Iteration yields ``Publication``, and ``Gap`` wherever publications were lost, whether by the server's retention
    or because the program did not keep up; it ends when the room is left, and raises what ended it otherwise:
    Refused where the server refused the join or took the membership away, ConnectionClosed where the session ended.
    There may be one iteration at a time.
    """

    def __init__(self, name: str, connection: Connection) -> None:
        self.name = name
        self._connection = connection
        self._buffer = RoomBuffer()
        self._joined = asyncio.Event()
        self._news = asyncio.Event()
        self._ended = False
        self._error: MultiTransportError | None = None

    @property
    def position(self) -> Position | None:
        """The last position received, which a later ``join`` may continue from; None before the room is joined."""
        return self._connection.position(self.name)

    async def publish(self, event: str, data: Any, *, timeout: float | None = None) -> Any:
        """Publish to this room and return what the server answers. Raises as ``Client.request`` does."""
        return await self._connection.publish(self.name, event, data, timeout=timeout)

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

    def __aiter__(self) -> Room:
        return self

    async def __anext__(self) -> Publication | Gap:
        while not self._buffer:
            if self._error is not None:
                raise self._error
            if self._ended:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        return self._buffer.take()

    # For the client

    def put(self, item: Publication | Gap) -> None:
        """Deliver an item."""
        self._buffer.put(item)
        self._news.set()

    def joined(self) -> None:
        """The server has answered."""
        self._joined.set()

    def end(self, error: MultiTransportError | None = None) -> None:
        """The membership is over."""
        if not self._ended:
            self._ended, self._error = True, error
            self._joined.set()
            self._news.set()
