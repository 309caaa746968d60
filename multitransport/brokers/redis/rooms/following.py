"""One room this node follows: subscribed, read as far back as readers ask, caught up when something is missing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from multitransport.brokers.redis.rooms.announcements import Published
from multitransport.brokers.redis.rooms.reading import Reading
from multitransport.brokers.redis.rooms.tail import Snapshot, Tail
from multitransport.brokers.redis.timing import Timing
from multitransport.core.log import Log, Retention
from multitransport.core.publication import Draft
from multitransport.errors import BrokerUnavailable
from multitransport.protocol.position import Position

__all__ = ["Following"]

logger = logging.getLogger("multitransport")

_VOUCH_EVERY_SECONDS = 0.2
_RETRY_SECONDS = 0.5


class Following:
    """Keeps a room's tail in step with Redis. However many ask at a time, one read is under way."""

    def __init__(
        self,
        room: str,
        retention: Retention,
        *,
        reading: Reading,
        subscribed: Callable[[], Coroutine[Any, Any, None]],
        always_told: bool,
        advanced: Callable[[str], None],
        missed: Callable[[str], None],
        timing: Timing,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._room = room
        self._retention = retention
        self._reading = reading
        self._subscribed = subscribed
        self._always_told = always_told
        """Whether this node is told of all that is published; of an inbox only while it speaks for the session."""
        self._advanced = advanced
        self._missed = missed
        self._timing = timing
        self._tail = Tail(room, retention, self._loop.time, timing.max_held_bytes)
        self.opened = False
        """The room was read once."""
        self._flight: asyncio.Task[None] | None = None
        self._again = False
        self._told = ("", 0, 0)
        self._heard_at = self._loop.time()
        self.idle_since: float | None = None
        """Since when it has no readers."""
        self.waiting = 0
        """How many wait for it to reach back."""

    @property
    def log(self) -> Log:
        """The live log."""
        return self._tail.log

    async def reach(self, after: Position | None, history: int) -> None:
        """Have the log reach back to a position, or so many publications, as far as Redis does; and to the position if
        it is ahead. Raises BrokerUnavailable.
        """
        newer_asked = False
        while True:
            if not self.opened:
                await self._fly(self._open, after, history)
            elif not newer_asked and (not self._always_told or (after is not None and self._is_ahead(after))):
                newer_asked = await self._fly(self._read_newer)
            elif not self._tail.complete and self._reaches_too_little(after, history):
                await self._fly(self._read_all)
            else:
                return

    def announced(self, published: Published, draft: Draft, size: int) -> None:
        """Take what was said of a publication."""
        self._heard_at = self._loop.time()
        if self._tail.announced(published, draft, size):
            self._advanced(self._room)
        elif not self._flying:
            # Else what was held joins on when the read is done, or is read then.
            self.catch_up()

    def confirmed(self, position: Position, entry_id: str) -> None:
        """Note what Redis told a publisher of this node."""
        self._tail.confirmed(position, entry_id)

    def renewed(self, epoch: str) -> None:
        """The room has another epoch."""
        if epoch != self.log.epoch:
            self._tail.hold()
            self.catch_up()

    def check(self) -> None:
        """Compare with Redis, unless something was heard lately."""
        if self._loop.time() - self._heard_at >= self._timing.check_seconds / 2:
            self.catch_up()

    def catch_up(self) -> None:
        """Read what is missing, if anything is."""
        if self._flying:
            # It may have read before what is missing was there.
            self._again = True
        elif self.opened:
            self._flight = asyncio.create_task(self._catch_up())

    async def stop(self) -> None:
        """Follow no more."""
        if self._flight is not None:
            self._flight.cancel()
            await asyncio.gather(self._flight, return_exceptions=True)

    @property
    def _flying(self) -> bool:
        return self._flight is not None and not self._flight.done()

    def _is_ahead(self, after: Position) -> bool:
        return after.epoch != self.log.epoch or after.offset > self.log.top

    def _reaches_too_little(self, after: Position | None, history: int) -> bool:
        if after is None:
            return min(history, self.log.top) > self.log.top - self.log.base
        # Who has no place in the log is told so, and gets all there is.
        return self._is_ahead(after) or after.offset < self.log.base

    async def _fly(self, read: Callable[..., Coroutine[Any, Any, None]], *arguments: Any) -> bool:
        """Wait for the read that is under way, or begin this one; whether it was this one."""
        begins = not self._flying
        if begins:
            self._flight = asyncio.create_task(read(*arguments))
            self._flight.add_done_callback(self._landed)
        flight = self._flight
        assert flight is not None
        await asyncio.wait([flight])
        if flight.cancelled():
            raise BrokerUnavailable(f"room {self._room!r} was let go of while it was read")
        flight.result()
        return begins

    def _landed(self, flight: asyncio.Task[None]) -> None:
        """Go on by itself where a read failed while something was held; whoever waited for it may have gone."""
        if not flight.cancelled() and flight.exception() is not None and not self._tail.live:
            self.catch_up()

    async def _open(self, after: Position | None, history: int) -> None:
        try:
            async with asyncio.timeout(self._timing.publish_seconds):
                await self._subscribed()
        except TimeoutError:
            raise BrokerUnavailable(f"Redis did not confirm the subscription of {self._room!r} in time") from None
        self._again = False
        # Of a state room nothing is here yet, whatever position a reader has.
        await self._refresh(None if self._retention.keys else after, history)
        self.opened = True
        await self._settle()

    async def _read_newer(self) -> None:
        await self._refresh(self.log.position)
        await self._settle()

    async def _read_all(self) -> None:
        await self._refresh(Position(self.log.epoch, 0))
        await self._settle()

    async def _catch_up(self) -> None:
        while True:
            try:
                await self._read_newer()
                return
            except BrokerUnavailable as error:
                logger.debug("room %r cannot catch up: %s", self._room, error)
                await asyncio.sleep(_RETRY_SECONDS)

    async def _settle(self) -> None:
        """Read until what was held back joins on."""
        while not (self._tail.live or self._tail.release()) or self._again:
            self._again = False
            await self._refresh(self.log.position)
        self._heard_at = self._loop.time()
        if self._told != (now := (self.log.epoch, self.log.base, self.log.top)):
            self._told = now
            self._advanced(self._room)

    async def _refresh(self, known: Position | None, history: int = 0) -> None:
        tail, log = self._tail, self._tail.log
        patience_ends = self._loop.time() + self._timing.vouch_seconds
        while True:
            epoch, newest = log.epoch, tail.newest
            if known is not None and known.epoch != epoch:
                newest = 0, ""
            snapshot = await self._reading.read(self._room, self._retention, known, history, newest)
            verdict = tail.judge(snapshot, *newest) if snapshot.epoch == epoch else None
            if verdict is not False and snapshot.whole:
                break
            if verdict is True:
                await self._reading.vouch(self._room, snapshot.epoch)
                break
            if verdict is False or self._loop.time() >= patience_ends:
                logger.warning("room %r has lost what it had: it gets a new epoch", self._room)
                await self._reading.renew(self._room, snapshot.epoch)
            else:
                await asyncio.sleep(_VOUCH_EVERY_SECONDS)
        self._suspect(snapshot)
        tail.load(snapshot)

    def _suspect(self, snapshot: Snapshot) -> None:
        """Notice that a node which takes itself for up to date did not hear of something."""
        log = self.log
        if not (self._always_told and self._tail.live and snapshot.epoch == log.epoch):
            return
        if any(entry.offset > log.top and entry.age_seconds > self._timing.lag_seconds for entry in snapshot.entries):
            self._missed(self._room)
