"""Publications on their way to the program, as an asynchronous iteration."""

from __future__ import annotations

import asyncio
from typing import Self

from multitransport.client.buffer import RoomBuffer
from multitransport.client.events import Gap, Publication
from multitransport.errors import MultiTransportError

__all__ = ["Feed"]


class Feed:
    """Yields ``Publication``, and ``Gap`` wherever publications were lost, whether by the server's retention or because
    the program did not keep up. It ends when the membership does, and raises what ended it where that was not the
    program. There may be one iteration at a time.
    """

    def __init__(self) -> None:
        self._buffer = RoomBuffer()
        self._news = asyncio.Event()
        self._ended = False
        self._error: MultiTransportError | None = None

    def __aiter__(self) -> Self:
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

    def end(self, error: MultiTransportError | None = None) -> None:
        """The membership is over."""
        if not self._ended:
            self._ended, self._error = True, error
            self._news.set()
