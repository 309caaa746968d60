"""Publications on their way to Redis: one message a room at a time, all rooms of a turn in one write."""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from multitransport.brokers.redis.connections.connection import ConnectionLost, Refusal, is_passing
from multitransport.brokers.redis.connections.line import Commands
from multitransport.brokers.redis.keys import Keys
from multitransport.brokers.redis.rooms.announcements import Flashed, announcement, encode_body
from multitransport.brokers.redis.scripts import FLASH, PUBLISH, PUBLISH_STATE, Script
from multitransport.brokers.redis.timing import Timing, milliseconds
from multitransport.core.log import Retention
from multitransport.core.publication import Draft
from multitransport.errors import BrokerUnavailable, RoomFull
from multitransport.protocol.position import Position

__all__ = ["Publishing"]

_MOST_AT_ONCE = 64
"""Publications of one message."""


class _Waiting(msgspec.Struct):
    draft: Draft
    retention: Retention
    body: bytes
    channel: bytes
    """Where it is announced."""
    taken: asyncio.Future[Position]
    entry_id: str = ""
    refusal: str = ""
    """What Redis said last, while it is worth another attempt."""


class Publishing:
    """Takes publications until Redis has them.

    A message that was not answered is repeated as it was: its serial tells Redis, which keeps each publisher's last one
    of a room, what it took already. Only when it is answered, or nobody waits for it, the room's next one goes out.
    """

    def __init__(
        self,
        line: Commands,
        keys: Keys,
        timing: Timing,
        new_epoch: Callable[[], str],
        announce: str,
        confirmed: Callable[[str, Position, str], None],
        doubted: Callable[[str, Retention, bool], Awaitable[None]],
        until: Callable[[], int] = int,
    ) -> None:
        """``confirmed`` is told the room, the position and the entry's id of what was taken; ``doubted`` is told
        of a room that takes nothing until somebody vouches for its log, and whether there was time enough for that.
        ``until`` says when this publisher's lease ends, in milliseconds of Redis: later than that nothing is taken. 0:
        it has none.
        """
        self._line = line
        self._keys = keys
        self._timing = timing
        self._new_epoch = new_epoch
        self._announce = announce
        self._confirmed = confirmed
        self._doubted = doubted
        self._until = until
        self._publisher = secrets.token_urlsafe(9)
        self._serial = 0
        self._rooms: dict[str, deque[_Waiting]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._bytes = 0
        self._flashing = 0

    async def publish(self, room: str, draft: Draft, retention: Retention, channel: bytes | None = None) -> Position:
        """Return the position of the publication; it is announced where its room is, or on the channel given.

        Raises BrokerUnavailable, RoomFull, ValueError without a key.
        """
        if retention.keys and draft.key is None:
            raise ValueError(f"{room!r} is a state room: a publication needs a key")
        body = encode_body(draft)
        if self._bytes and self._bytes + len(body) > self._timing.max_waiting_bytes:
            raise BrokerUnavailable(f"{self._bytes} bytes wait for Redis already: {self._line.fault or 'it is slow'}")
        channel = channel or self._keys.room_channel(room)
        waiting = _Waiting(draft, retention, body, channel, asyncio.get_running_loop().create_future())
        self._bytes += len(body)
        try:
            self._enqueue(room, waiting)
            async with asyncio.timeout(self._timing.publish_seconds):
                return await waiting.taken
        except TimeoutError:
            why = self._line.fault or waiting.refusal or "no answer"
            seconds = f"{self._timing.publish_seconds:g} s"
            raise BrokerUnavailable(
                f"Redis did not confirm a publication to {room!r} within {seconds}: {why}"
            ) from None
        finally:
            self._bytes -= len(body)

    async def flash(self, room: str, draft: Draft, channel: bytes | None = None) -> None:
        """Announce what no log keeps. Raises BrokerUnavailable."""
        if self._line.fault is not None and self._line.connections:
            raise BrokerUnavailable(f"Redis did not take a volatile publication: {self._line.fault}")
        message = announcement(Flashed(room), encode_body(draft))
        if self._flashing and self._flashing + len(message) > self._timing.max_waiting_bytes:
            raise BrokerUnavailable(f"{self._flashing} bytes of volatile publications wait for Redis already")
        self._flashing += len(message)
        try:
            async with asyncio.timeout(self._timing.publish_seconds):
                keys, channel = [self._keys.meta(room)], channel or self._keys.room_channel(room)
                await self._line.run_script(FLASH, keys, self._until(), self._announce, channel, message)
        except (TimeoutError, ConnectionLost, Refusal) as error:
            why = str(error) or self._line.fault
            raise BrokerUnavailable(f"Redis did not take a volatile publication: {why}") from None
        finally:
            self._flashing -= len(message)

    async def stop(self) -> None:
        """Give up what is not in Redis."""
        for queue in self._rooms.values():
            for waiting in queue:
                _fail([waiting], BrokerUnavailable("the broker was stopped"))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _enqueue(self, room: str, waiting: _Waiting) -> None:
        queue = self._rooms.get(room)
        if queue is None:
            queue = self._rooms[room] = deque()
            task = asyncio.create_task(self._drain(room, queue))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        queue.append(waiting)

    async def _drain(self, room: str, queue: deque[_Waiting]) -> None:
        try:
            while queue:
                batch = self._next(queue)
                if batch:
                    await self._send(room, batch)
        finally:
            del self._rooms[room]

    def _next(self, queue: deque[_Waiting]) -> list[_Waiting]:
        """Take what fits in one message, without what nobody waits for."""
        batch: list[_Waiting] = []
        size = 0
        while queue and len(batch) < _MOST_AT_ONCE:
            size += len(queue[0].body)
            if batch and (size > self._timing.max_held_bytes or not _go_together(queue[0], batch[0])):
                break
            waiting = queue.popleft()
            if not waiting.taken.done():
                batch.append(waiting)
        return batch

    async def _send(self, room: str, batch: list[_Waiting]) -> None:
        script, keys, head, entries = self._message(room, batch)
        pause = self._timing.retry_seconds / 20
        patience_ends: float | None = None
        loop = asyncio.get_running_loop()
        while True:
            # What its publisher was told of as not taken, while there was no connection, must not be sent after all.
            await self._line.ready(keys[0])
            if all(waiting.taken.done() for waiting in batch):
                return
            try:
                reply = await self._line.run_script(script, keys, *head, self._until(), *entries)
                epoch, outcomes = _answer(reply, len(batch))
            except ConnectionLost:
                pass
            except Refusal as refusal:
                for waiting in batch:
                    waiting.refusal = str(refusal)
                if str(refusal).startswith("DOUBTFUL"):
                    patience_ends = patience_ends or loop.time() + self._timing.vouch_seconds
                    await self._doubted(room, batch[0].retention, loop.time() >= patience_ends)
                    pause = max(pause, self._timing.vouch_seconds / 4)
                elif not is_passing(refusal) and not str(refusal).startswith("LAPSED"):
                    _fail(batch, BrokerUnavailable(f"Redis refused a publication to {room!r}: {refusal}"))
                    return
            except ValueError as error:
                _fail(
                    batch, BrokerUnavailable(f"Redis answered a publication to {room!r} with something else: {error}")
                )
                return
            else:
                self._settle(room, batch, epoch, outcomes)
                return
            await asyncio.sleep(pause)
            pause = min(2 * pause, self._timing.retry_seconds)

    def _message(
        self, room: str, batch: list[_Waiting]
    ) -> tuple[Script, list[bytes], list[str | int | bytes], list[str | int | bytes]]:
        """Return the script, the keys, and the arguments before and after the end of the lease."""
        retention = batch[0].retention
        state = retention.keys > 0
        keep = self._timing.state_seconds if state else retention.seconds + self._timing.idle_seconds
        keys = [self._keys.meta(room)]
        keys += [self._keys.state(room), self._keys.deletions(room)] if state else [self._keys.log(room)]
        entries: list[str | int | bytes] = []
        for waiting in batch:
            draft = waiting.draft
            self._serial += 1
            number = 0
            if draft.id is not None:
                keys.append(self._keys.once(room, draft.id))
                number = len(keys)
            waiting.entry_id = f"{self._publisher}.{self._serial}"
            entries += (waiting.entry_id, number)
            if state:
                entries += (draft.key or "", int(draft.deleted))
            entries.append(waiting.body)
        head: list[str | int | bytes] = [
            self._new_epoch(),
            self._announce,
            batch[0].channel,
            msgspec.json.encode(room),
            self._publisher,
            self._serial,
            retention.keys if state else retention.count,
            retention.bytes,
            milliseconds(retention.seconds),
            milliseconds(keep),
        ]
        return PUBLISH_STATE if state else PUBLISH, keys, head, entries

    def _settle(self, room: str, batch: list[_Waiting], epoch: str, outcomes: list[str]) -> None:
        for waiting, outcome in zip(batch, outcomes, strict=True):
            if outcome.isdecimal() and waiting.draft.id is None:
                self._confirmed(room, Position(epoch, int(outcome)), waiting.entry_id)
            if waiting.taken.done():
                continue
            if outcome.isdecimal():
                waiting.taken.set_result(Position(epoch, int(outcome)))
            else:
                bound = f"{waiting.retention.bytes} bytes" if outcome == "bytes" else f"{waiting.retention.keys} keys"
                waiting.taken.set_exception(RoomFull(f"{room!r} holds {bound}, as much as it may"))


def _go_together(one: _Waiting, other: _Waiting) -> bool:
    return one.retention == other.retention and one.channel == other.channel


def _answer(reply: Any, count: int) -> tuple[str, list[str]]:
    """Return the epoch and what became of each publication. Raises ValueError."""
    if not (isinstance(reply, list) and len(reply) == 2 and all(isinstance(each, bytes) for each in reply)):
        raise ValueError(repr(reply)[:100])
    outcomes = reply[1].decode().split(",")
    if len(outcomes) != count:
        raise ValueError(f"{len(outcomes)} outcomes of {count}")
    return reply[0].decode(), outcomes


def _fail(batch: list[_Waiting], error: BrokerUnavailable) -> None:
    for waiting in batch:
        if not waiting.taken.done():
            waiting.taken.set_exception(error)
