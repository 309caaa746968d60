"""The Broker whose rooms are in Redis."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Coroutine
from functools import partial
from math import ceil
from typing import Any

from multitransport.brokers.base import TooManyRooms
from multitransport.brokers.redis.connections.cluster import ClusterLine, ClusterSubscription, Topology
from multitransport.brokers.redis.connections.line import Commands, Line, tell_of_failure
from multitransport.brokers.redis.connections.server import Server
from multitransport.brokers.redis.connections.subscription import Subscription
from multitransport.brokers.redis.keys import Keys
from multitransport.brokers.redis.rooms.announcements import (
    BadAnnouncement,
    Published,
    Renewed,
    decode,
    decode_body,
    is_announcement,
)
from multitransport.brokers.redis.rooms.following import Following
from multitransport.brokers.redis.rooms.publishing import Publishing
from multitransport.brokers.redis.rooms.reading import Reading
from multitransport.brokers.redis.timing import Timing
from multitransport.core.log import Log, Retention
from multitransport.core.publication import Draft
from multitransport.errors import BrokerUnavailable
from multitransport.protocol.position import Position

__all__ = ["RedisBroker"]

logger = logging.getLogger("multitransport")

_INBOX = "@session/"
"""What the name of a room with one reader begins with."""

_SWEEP_SLICE = 500

_CHECKED_AT_ONCE = 25
_CHECK_PAUSE_SECONDS = 0.05
"""Silent rooms are compared with Redis so many at a time, and so long after each other at least: where there are more
than 5,000 of them a round takes longer than it should rather than all of the node's time.
"""

_TELL_REFUSED_EVERY = 1000


def _ignore(*_: object) -> None:
    """Stand in for a node before one has started."""


class RedisBroker:
    """A Broker over one Redis. Each node has its own object; nodes with the same URL and prefix share their rooms.

    ``fault`` says why it does not work at the moment, None where it does. ``refused`` counts what was announced or kept
    in Redis and is not of this deployment and version. ``told`` gets what other nodes say to this one, on its
    ``own_channel``: whatever does not begin as an announcement. ``until`` says when this node's lease ends, in
    milliseconds of Redis, 0 where it has none: later than that Redis takes no publication of it. It is to be set before
    the start.
    """

    def __init__(
        self,
        url: str,
        *,
        prefix: str = "multitransport",
        max_rooms: int = 100_000,
        new_epoch: Callable[[], str] | None = None,
        timing: Timing | None = None,
    ) -> None:
        """Raises ConfigurationError for a URL or a prefix that cannot be meant."""
        self.timing = timing = timing or Timing()
        self._server = Server(url, timing.connect_seconds)
        self.keys = Keys(prefix, self._server.database)
        self._max_rooms = max_rooms
        self._new_epoch = new_epoch or partial(secrets.token_urlsafe, 6)
        self.node = secrets.token_urlsafe(9)
        self.own_channel = self.keys.node_channel(self.node)
        self.told: Callable[[bytes], None] = _ignore
        self.heard_anew: Callable[[], None] = _ignore
        self.until: Callable[[], int] = int
        self._advanced: Callable[[str], None] = _ignore
        self._flashed: Callable[[str, Draft], None] = _ignore
        self._rooms: dict[str, Following] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._refused = 0
        self._started = False

    async def start(self, advanced: Callable[[str], None], flashed: Callable[[str, Draft], None]) -> None:
        """See Broker. Redis need not be there yet; ``fault`` tells."""
        self._advanced, self._flashed = advanced, flashed
        topology = Topology(self._server, self.timing) if self._server.clustered else None
        self._announce = "PUBLISH" if topology is None else "SPUBLISH"
        self._line: Commands = (
            Line(self._server, self.timing) if topology is None else ClusterLine(self._server, self.timing, topology)
        )
        common = self._line, self.keys, self.timing, self._new_epoch, self._announce
        self._reading = Reading(*common)
        self._publishing = Publishing(*common, self._taken, self._doubted, self.until)
        self._channels: dict[bytes, str] = {}
        hear: dict[str, Any] = {"own": self.own_channel, "received": self._received, "confirmed": self._confirmed}
        self._subscription: Subscription | ClusterSubscription = (
            Subscription(self._server, self.timing, **hear)
            if topology is None
            else ClusterSubscription(self._server, self.timing, topology, **hear)
        )
        self._tasks = [self._own(self._line.run()), self._own(self._subscription.run()), self._own(self._check())]
        self._started = True

    async def stop(self) -> None:
        """See Broker."""
        if not self._started:
            return
        self._started = False
        self._advanced = self._flashed = _ignore
        for room in list(self._rooms):
            await self._drop(room)
        await self._publishing.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def fault(self) -> str | None:
        """Why publications are not taken or not heard of now; None where all is well."""
        if not self._started:
            return "not started"
        return self._line.fault or self._subscription.fault

    @property
    def clustered(self) -> bool:
        """Whether its Redis is a cluster."""
        return self._server.clustered

    @property
    def line(self) -> Commands:
        """Where its commands go, from its start on; each start makes another one."""
        return self._line

    async def hears(self) -> None:
        """Return once this node hears what is said to it."""
        await self._subscription.hears()

    async def say(self, channel: bytes, message: bytes) -> int:
        """Say something on a channel, once there is a connection, and return how many listened.

        Raises Refusal, ConnectionLost.
        """
        return int(await self._line.call(channel, self._announce, channel, message))

    @property
    def refused(self) -> int:
        """How much was not of this deployment and version."""
        return self._refused + self._reading.refused

    @property
    def reads(self) -> int:
        """How often a room was read in Redis."""
        return self._reading.reads

    async def publish(self, room: str, draft: Draft, retention: Retention, to: str | None = None) -> Position:
        """See Broker. What Redis does not answer is repeated, and taken once, until BrokerUnavailable."""
        return await self._publishing.publish(room, draft, retention, self._channel_to(room, to))

    async def flash(self, room: str, draft: Draft, to: str | None = None) -> None:
        """See Broker."""
        await self._publishing.flash(room, draft, self._channel_to(room, to))

    def look(self, room: str) -> None:
        """See Broker."""
        if (following := self._rooms.get(room)) is not None:
            following.catch_up()

    async def subscribe(self, room: str, retention: Retention, after: Position | None = None, history: int = 0) -> Log:
        """See Broker. Answered without Redis where the room is followed and its tail reaches back far enough."""
        following = self._rooms.get(room)
        if following is None:
            following = await self._follow(room, retention)
        following.idle_since = None
        following.waiting += 1
        try:
            async with asyncio.timeout(self.timing.publish_seconds):
                await following.reach(after, history)
        except (TimeoutError, BrokerUnavailable) as error:
            if not following.opened and following.waiting == 1 and self._rooms.get(room) is following:
                await self._drop(room)
            raise BrokerUnavailable(f"room {room!r} cannot be read: {str(error) or self.fault}") from None
        finally:
            following.waiting -= 1
        return following.log

    async def unsubscribe(self, room: str) -> None:
        """See Broker. The room is followed for a while yet: readers come back."""
        if (following := self._rooms.get(room)) is not None:
            following.idle_since = asyncio.get_running_loop().time()

    async def forget(self, room: str) -> None:
        """See Broker. Where Redis is away it forgets by itself, later."""
        await self._drop(room)
        try:
            await self._reading.forget(room)
        except BrokerUnavailable as error:
            logger.warning("room %r is forgotten only in time: %s", room, error)

    async def sweep(self) -> None:
        """See Broker. Yields to others every few hundred rooms."""
        now = asyncio.get_running_loop().time()
        for count, (room, following) in enumerate(list(self._rooms.items()), 1):
            following.log.trim(now)
            if following.idle_since is not None and now - following.idle_since > self.timing.linger_seconds:
                await self._drop(room)
            if count % _SWEEP_SLICE == 0:
                await asyncio.sleep(0)

    async def _follow(self, room: str, retention: Retention) -> Following:
        if len(self._rooms) >= self._max_rooms:
            idle = next((name for name, each in self._rooms.items() if each.idle_since is not None), None)
            if idle is None:
                raise TooManyRooms(f"this process follows {self._max_rooms} rooms already")
            await self._drop(idle)
        channel = self.keys.room_channel(room)
        inbox = self._is_inbox(room)
        following = self._rooms[room] = Following(
            room,
            retention,
            reading=self._reading,
            subscribed=self.hears if inbox else partial(self._subscription.add, channel),
            always_told=not inbox,
            advanced=self._advanced,
            missed=self._missed,
            timing=self.timing,
        )
        if not inbox:
            self._channels[channel] = room
        return following

    def _is_inbox(self, room: str) -> bool:
        """Whether a room has one reader, which hears of it on its node's own channel. A script of a cluster cannot say
        anything there, since that is in another slot.
        """
        return room.startswith(_INBOX) and not self.clustered

    def _channel_to(self, room: str, node: str | None) -> bytes | None:
        return self.keys.node_channel(node.partition(".")[0]) if node and self._is_inbox(room) else None

    async def _drop(self, room: str) -> None:
        if (following := self._rooms.pop(room, None)) is not None:
            channel = self.keys.room_channel(room)
            if self._channels.pop(channel, None) is not None:
                self._subscription.remove(channel)
            await following.stop()

    def _received(self, channel: bytes, message: Any) -> None:
        if channel == self.own_channel and not is_announcement(message):
            self.told(message)
            return
        try:
            announced, body = decode(message)
            following = self._rooms.get(announced.room)
            if channel != self.own_channel and self._channels.get(channel, announced.room) != announced.room:
                raise BadAnnouncement(f"it is of room {announced.room!r}, on another one's channel")
            if following is None:
                return  # let go of since it was said
            if isinstance(announced, Published):
                following.announced(announced, decode_body(body, announced.id), len(body))
            elif isinstance(announced, Renewed):
                following.renewed(announced.epoch)
            else:
                self._flashed(announced.room, decode_body(body, None))
        except BadAnnouncement as error:
            if self._refused % _TELL_REFUSED_EVERY == 0:
                logger.warning("refused what was announced on %r: %s", channel, error)
            self._refused += 1

    def _taken(self, room: str, position: Position, entry_id: str) -> None:
        if (following := self._rooms.get(room)) is not None:
            following.confirmed(position, entry_id)

    async def _doubted(self, room: str, retention: Retention, patience_ended: bool) -> None:
        """Redis began anew: whoever knows a room's last entry vouches for it; else it is another log."""
        following = self._rooms.get(room)
        try:
            if following is not None and following.opened:
                following.catch_up()
            elif patience_ended:
                await self._reading.end_doubt(room, retention)
        except BrokerUnavailable as error:
            logger.warning("room %r stays in doubt: %s", room, error)

    def _confirmed(self, channel: bytes) -> None:
        if channel == self.own_channel:
            self.heard_anew()
            for name in filter(self._is_inbox, self._rooms):
                self._rooms[name].catch_up()
        if (room := self._channels.get(channel)) is not None:
            self._rooms[room].catch_up()

    def _missed(self, room: str) -> None:
        self._subscription.restart(f"room {room!r} was not heard of, though Redis has news of it")

    async def _check(self) -> None:
        """Compare each room that is silent with Redis, a few of them at a time."""
        while True:
            rooms = list(self._rooms.values())
            slices = ceil(len(rooms) / _CHECKED_AT_ONCE) or 1
            for turn in range(slices):
                await asyncio.sleep(max(self.timing.check_seconds / slices, _CHECK_PAUSE_SECONDS))
                for following in rooms[turn::slices]:
                    following.check()

    def _own(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        task.add_done_callback(tell_of_failure)
        return task
