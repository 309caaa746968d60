"""Reading rooms in Redis, and saying there what became of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from multitransport.brokers.redis.connections.connection import ConnectionLost, Refusal, is_passing
from multitransport.brokers.redis.connections.line import Commands
from multitransport.brokers.redis.keys import Keys
from multitransport.brokers.redis.rooms.announcements import BadAnnouncement, Entry, Renewed, announcement, decode_body
from multitransport.brokers.redis.rooms.tail import Snapshot
from multitransport.brokers.redis.scripts import FORGET, READ, READ_STATE, RENEW, VOUCH, Script
from multitransport.brokers.redis.timing import Timing, milliseconds
from multitransport.core.log import Retention
from multitransport.errors import BrokerUnavailable
from multitransport.protocol.position import Position

__all__ = ["Reading"]

_AT_ONCE = 64
"""Rooms that are read at the same time."""


class Reading:
    """Rooms as Redis has them. Each method raises BrokerUnavailable where Redis gives no answer in time."""

    def __init__(self, line: Commands, keys: Keys, timing: Timing, new_epoch: Callable[[], str], announce: str) -> None:
        self._line = line
        self._keys = keys
        self._timing = timing
        self._new_epoch = new_epoch
        self._announce = announce
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self.reads = 0
        self.refused = 0
        """Entries that are not what this version writes. Readers are moved on over them."""

    async def read(
        self,
        room: str,
        retention: Retention,
        known: Position | None,
        history: int = 0,
        newest: tuple[int, str] = (0, ""),
    ) -> Snapshot:
        """Return what there is from the known position on, itself included, or the newest ``history`` entries.

        Everything, where the epoch is another than the known one; of a state room always, unless the position is its
        last. Where ``newest``, an offset of the known epoch and its id, is the room's last entry, the reader vouches
        for the room.
        """
        epoch, offset = ("", "") if known is None else (known.epoch, str(known.offset))
        if retention.keys:
            keys = [self._keys.meta(room), self._keys.state(room), self._keys.deletions(room)]
            ttl = milliseconds(self._timing.state_seconds)
            found = await self._run(READ_STATE, keys, self._new_epoch(), ttl, epoch, offset, *newest)
        else:
            keys = [self._keys.meta(room), self._keys.log(room)]
            ttl = milliseconds(retention.seconds + self._timing.idle_seconds)
            found = await self._run(READ, keys, self._new_epoch(), ttl, epoch, offset, history, *newest)
        self.reads += 1
        try:
            return self._snapshot(retention, known, *found)
        except (TypeError, ValueError) as error:
            raise BrokerUnavailable(f"what Redis has of {room!r} is not ours: {error}") from None

    async def end_doubt(self, room: str, retention: Retention) -> None:
        """Give a room a new epoch, unless somebody has vouched for its log."""
        snapshot = await self.read(room, retention, None)
        if not snapshot.whole:
            await self.renew(room, snapshot.epoch)

    async def vouch(self, room: str, epoch: str) -> None:
        """Say that the room's log is whole though Redis began anew."""
        await self._run(VOUCH, [self._keys.meta(room)], epoch)

    async def renew(self, room: str, epoch: str) -> None:
        """End an epoch whose offsets could mean two things, and tell every node."""
        new = self._new_epoch()
        told = announcement(Renewed(room, new))
        await self._run(RENEW, [self._keys.meta(room)], epoch, new, self._announce, self._keys.room_channel(room), told)

    async def forget(self, room: str) -> None:
        """Drop what Redis has of a room."""
        keys = [self._keys.meta(room), self._keys.log(room), self._keys.state(room), self._keys.deletions(room)]
        await self._run(FORGET, keys, self._announce, self._keys.room_channel(room), announcement(Renewed(room, "")))

    async def _run(self, script: Script, keys: list[bytes], *arguments: str | int | bytes) -> Any:
        seconds = self._timing.publish_seconds
        try:
            async with self._turns, asyncio.timeout(seconds):
                return await self._until_answered(script, keys, arguments)
        except TimeoutError:
            raise BrokerUnavailable(f"no answer within {seconds:g} s: {self._line.fault or 'Redis is slow'}") from None
        except Refusal as refusal:
            raise BrokerUnavailable(f"Redis refused: {refusal}") from None

    async def _until_answered(self, script: Script, keys: list[bytes], arguments: tuple[str | int | bytes, ...]) -> Any:
        pause = self._timing.retry_seconds / 20
        while True:
            try:
                return await self._line.run_script(script, keys, *arguments)
            except ConnectionLost:
                pass
            except Refusal as refusal:
                if not is_passing(refusal):
                    raise
            await asyncio.sleep(pause)
            pause = min(2 * pause, self._timing.retry_seconds)

    def _snapshot(
        self,
        retention: Retention,
        known: Position | None,
        epoch: bytes,
        top: bytes,
        last_id: bytes,
        now: bytes,
        whole: int,
        base: int,
        found: list[Any],
    ) -> Snapshot:
        entries = []
        for each in found:
            try:
                entries.append(_value(each, int(now)) if retention.keys else _entry(each, int(now)))
            except (BadAnnouncement, ValueError, UnicodeDecodeError, TypeError, IndexError):
                self.refused += 1
        entries.sort(key=_by_offset)
        if not retention.keys:
            entries = _unbroken(entries, int(top))
        reaches_back = known is not None and (known.offset == 0 or known.epoch != epoch.decode())
        return Snapshot(
            epoch=epoch.decode(),
            top=int(top),
            last_id=last_id.decode(),
            whole=bool(whole),
            all=bool(retention.keys) or reaches_back,
            base=base,
            entries=entries,
        )


def _unbroken(entries: list[Entry], top: int) -> list[Entry]:
    """Return those up to the last offset between which none is missing: what comes before a hole cannot be joined to
    what comes after it.
    """
    kept = 0
    for entry in reversed(entries):
        if entry.offset != top - kept:
            break
        kept += 1
    return entries[len(entries) - kept :]


def _by_offset(entry: Entry) -> int:
    return entry.offset


def _entry(found: list[Any], now: int) -> Entry:
    """Decode an entry of a stream: its offset, and the fields i, t and d."""
    offset = int(found[0].partition(b"-")[0])
    fields = dict(zip(found[1][::2], found[1][1::2], strict=True))
    return _made(offset, fields.get(b"i", b"").decode(), int(fields.get(b"t", b"0")), fields.get(b"d", b""), now)


def _value(found: bytes, now: int) -> Entry:
    """Decode a value of a state room: a line with offset, id and time, and the body."""
    head, _, body = found.partition(b"\n")
    offset, entry_id, at = head.decode().split(" ")
    entry = _made(int(offset), entry_id, int(at), body, now)
    if entry.draft.key is None:
        raise BadAnnouncement("a value of a state room without a key")
    return entry


def _made(offset: int, entry_id: str, at: int, body: bytes, now: int) -> Entry:
    return Entry(offset, decode_body(body, entry_id), max(0, now - at) / 1000)
