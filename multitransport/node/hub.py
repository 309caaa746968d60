"""The rooms of this node: which have readers, and how publications reach them."""

from __future__ import annotations

import asyncio

from multitransport.brokers.base import Broker
from multitransport.core.log import Log, Recovery, Retention
from multitransport.core.reader import Reader
from multitransport.node.feed import Feed
from multitransport.protocol.position import Position

__all__ = ["Hub"]


class Hub:
    """Joins readers to rooms. A room that was opened has a feed here until a sweep finds it without readers."""

    def __init__(self, broker: Broker, loop: asyncio.AbstractEventLoop) -> None:
        self._broker = broker
        self._loop = loop
        self._feeds: dict[str, Feed] = {}

    async def start(self) -> None:
        """Begin to listen to the broker."""
        await self._broker.start(self._advanced)

    async def stop(self) -> None:
        """Let go of the broker."""
        await self._broker.stop()

    async def publish(
        self, room: str, event: str, data: bytes, retention: Retention, source: str | None = None
    ) -> Position:
        """Publish encoded data; wait a moment where readers must be given time. Raises BrokerUnavailable."""
        position = await self._broker.publish(room, event, data, retention, source)
        feed = self._feeds.get(room)
        if feed is not None:
            await feed.room_for_more()
        return position

    async def open(
        self, room: str, retention: Retention, position: Position | None, history: int
    ) -> tuple[Log, Recovery]:
        """Return a room's log and where a reader starts in it. Between this and ``join`` must be no await. Raises
        BrokerUnavailable.
        """
        log = await self._broker.subscribe(room, retention, position, history)
        self._feed(log)
        return log, log.newest(history) if position is None else log.recover(position)

    def join(self, reader: Reader, log: Log, offset: int) -> None:
        """Let the reader read the log after the offset."""
        self.leave(reader, log.room)
        self._feed(log).cursors[reader.add(log, offset)] = None

    def leave(self, reader: Reader, room: str) -> None:
        """Take the reader out of a room."""
        cursor = reader.remove(room)
        feed = self._feeds.get(room)
        if cursor is not None and feed is not None:
            feed.cursors.pop(cursor, None)

    async def sweep(self) -> None:
        """Let go of rooms without readers, and of what no retention keeps."""
        for room in [room for room, feed in self._feeds.items() if not feed.cursors]:
            if not self._feeds[room].cursors:
                del self._feeds[room]
                await self._broker.unsubscribe(room)
        await self._broker.sweep()

    def _feed(self, log: Log) -> Feed:
        feed = self._feeds.get(log.room)
        if feed is None:
            feed = self._feeds[log.room] = Feed(log, self._loop)
        return feed

    def _advanced(self, room: str) -> None:
        feed = self._feeds.get(room)
        if feed is not None:
            feed.advanced()
