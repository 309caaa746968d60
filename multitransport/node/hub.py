"""The rooms of this node: which have readers, and how publications reach them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from multitransport.brokers.base import Broker
from multitransport.core.log import Log, Recovery, Retention
from multitransport.core.publication import Draft
from multitransport.core.reader import Reader
from multitransport.node.feed import Feed
from multitransport.node.turn import Turn
from multitransport.protocol.position import Position

__all__ = ["Hub"]

_JOIN_SECONDS = 10.0
"""A room that was opened is kept for so long without readers: what comes between may have to wait for the store."""


class Hub:
    """Joins readers to rooms. A room that was opened has a feed here until a sweep finds it without readers."""

    def __init__(self, broker: Broker, loop: asyncio.AbstractEventLoop) -> None:
        self._broker = broker
        self.begun_anew: Callable[[str], None] = lambda room: None
        """Called with a room whose log has another epoch than before: what it kept may be gone."""
        self.turn = Turn(loop)
        self.opened: Callable[[str], None] = lambda room: None
        """Called with a room that was opened, and was not open before."""
        self._loop = loop
        self._feeds: dict[str, Feed] = {}

    async def start(self) -> None:
        """Begin to listen to the broker."""
        await self._broker.start(self._advanced, self._flashed)

    async def stop(self) -> None:
        """Let go of the broker."""
        await self._broker.stop()

    async def publish(self, room: str, draft: Draft, retention: Retention, to: str | None = None) -> Position:
        """Publish, ``to`` the node that alone reads the room, if so; wait a moment where readers must be given time.
        Raises BrokerUnavailable, RoomFull.
        """
        position = await self._broker.publish(room, draft, retention, to)
        feed = self._feeds.get(room)
        if feed is not None:
            await feed.room_for_more()
        return position

    async def flash(self, room: str, draft: Draft, to: str | None = None) -> None:
        """Publish what no log keeps. Raises BrokerUnavailable."""
        await self._broker.flash(room, draft, to)

    async def look(self, room: str) -> None:
        """See what there is in a room of which this node may not have been told."""
        self._broker.look(room)

    async def open(
        self, room: str, retention: Retention, position: Position | None, history: int
    ) -> tuple[Log, Recovery]:
        """Return a room's log and where a reader starts in it, for a ``join`` soon. Raises BrokerUnavailable."""
        log = await self._broker.subscribe(room, retention, position, history)
        feed = self._feeds.get(room)
        if feed is None or feed.log is not log:
            feed = self._feeds[room] = Feed(log, self._loop, self.turn)
            self.opened(room)
        feed.opened_at = self._loop.time()
        return log, log.newest(history) if position is None else log.recover(position)

    def log(self, room: str) -> Log | None:
        """Return the log of a room that was opened and not let go of since, as it is here."""
        feed = self._feeds.get(room)
        return None if feed is None else feed.log

    def join(
        self, reader: Reader, log: Log, offset: int, max_rate: float | None = None, told_at: float = -math.inf
    ) -> bool:
        """Let the reader read the log after the offset, that of a state room at most ``max_rate`` times a second, of
        which ``told_at`` was the last. False where the log was let go of since it was opened: it has to be opened anew.
        """
        feed = self._feeds.get(log.room)
        if feed is None or feed.log is not log:
            return False
        feed.opened_at = -math.inf
        told_at = max(told_at, self.leave(reader, log.room))
        if max_rate is None or log.mode != "state":  # in another it would fall behind by its own rate
            feed.add(reader.add(log, offset))
        else:
            held = self._loop.time() < told_at + 1 / max_rate
            feed.add_throttled(reader.add(log, offset, held=held), 1 / max_rate, told_at)
        return True

    def leave(self, reader: Reader, room: str) -> float:
        """Take the reader out of a room; return when it was told last, -inf where nothing bounds how often it is."""
        cursor = reader.remove(room)
        feed = self._feeds.get(room)
        return -math.inf if cursor is None or feed is None else feed.discard(cursor)

    def leave_all(self, reader: Reader) -> dict[str, float]:
        """Take the reader out of its rooms; return when it was told last in those that bound how often it is."""
        told = {room: self.leave(reader, room) for room in list(reader.cursors)}
        return {room: at for room, at in told.items() if at > -math.inf}

    async def forget(self, room: str) -> None:
        """Let go of a room that is no more, and of all it keeps."""
        self._feeds.pop(room, None)
        await self._broker.forget(room)

    async def sweep(self) -> None:
        """Let go of rooms without readers, and of what no retention keeps."""
        for room in [room for room, feed in self._feeds.items() if self._is_idle(feed)]:
            if (feed := self._feeds.get(room)) is not None and self._is_idle(feed):
                del self._feeds[room]
                await self._broker.unsubscribe(room)
        await self._broker.sweep()

    def _is_idle(self, feed: Feed) -> bool:
        return not feed.cursors and self._loop.time() - feed.opened_at > _JOIN_SECONDS

    def _advanced(self, room: str) -> None:
        feed = self._feeds.get(room)
        if feed is not None:
            if feed.epoch != feed.log.epoch:
                feed.epoch = feed.log.epoch
                self.begun_anew(room)
            feed.advanced()

    def _flashed(self, room: str, draft: Draft) -> None:
        feed = self._feeds.get(room)
        if feed is not None:
            feed.flash(draft, self._loop.time())
