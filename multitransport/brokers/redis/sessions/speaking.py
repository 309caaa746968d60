"""The sessions a node speaks for, and what it says of them to Redis."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from multitransport.brokers.redis.keys import Keys
from multitransport.brokers.redis.scripts import Script
from multitransport.brokers.redis.sessions.fencing import Doubtful, Fencing, Gone, Moved
from multitransport.brokers.redis.sessions.lease import Lease, LeaseLost
from multitransport.brokers.redis.sessions.mirrors import Changes, Mirror
from multitransport.brokers.redis.sessions.records import ForeignRecord, Kept, Records
from multitransport.brokers.redis.timing import Timing, milliseconds
from multitransport.core.session import SessionRecord

__all__ = ["Detaching", "Outcome", "Overtaken", "Speaking"]

logger = logging.getLogger("multitransport")

_LIST = Script("session_list.lua", "session.lua")
_NAME = Script("session_name.lua", "session.lua")
_RESTORE = Script("session_restore.lua", "session.lua")
_WRITE = Script("session_write.lua", "session.lua")

_SLICE = 200
"""Sessions that are refreshed at the same time."""

_TELL_REFUSED_EVERY = 1000

T = TypeVar("T")

Outcome = tuple[int, str, bytes]
"""A seq that is processed, whether its outcome is kept (``1``), too large (``0``) or none, and that outcome."""

Detaching = tuple[int, int]
"""The attach that ended, and after how many milliseconds the session expires."""


class Overtaken(Exception):
    """What was written has been taken, but for the outcome: there is another one of this seq."""


class Speaking:
    """Mirrors of the sessions that this node speaks for or holds frames of. A step takes its turn with those of its
    session, and is repeated until Redis has answered it; whoever asked for it may be gone by then.
    """

    def __init__(self, keys: Keys, records: Records, fencing: Fencing, lease: Lease, timing: Timing) -> None:
        self._keys = keys
        self._records = records
        self._fencing = fencing
        self._lease = lease
        self._timing = timing
        self._anew = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._comings: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self.doubted_at = 0
        """When Redis was found to be another one than before, in its milliseconds, until all is compared with it."""
        self.mirrors: dict[str, Mirror] = {}
        self.expires: dict[str, int] = {}
        """When detached sessions expire, in milliseconds of Redis."""
        self.refused = 0

    @property
    def kept_for(self) -> int:
        """The time to live of what is not known to end, in milliseconds."""
        return milliseconds(self._timing.session_seconds)

    # Mirrors

    def own(self, session_id: str) -> Mirror | None:
        """Return the mirror of a session that this node speaks for, as far as it knows."""
        mirror = self.mirrors.get(session_id)
        return mirror if mirror is not None and mirror.mine and not mirror.ended else None

    def coming(self, session_id: str) -> asyncio.Lock:
        """Return what is held while a session of which nothing is known here becomes this node's: else who looks for
        those that Redis says are this node's takes one whose hello is under way for one that nobody carries.
        """
        return self._comings.setdefault(session_id, asyncio.Lock())

    @contextlib.asynccontextmanager
    async def resting(self, session_id: str) -> AsyncIterator[None]:
        """Hold the turn of a session that becomes this node's, where this one holds frames of it: the answer to a step
        that is under way would say that it is another node's. A step that waits for a node to vouch for the record is
        not waited for without end.
        """
        mirror = self.mirrors.get(session_id)
        async with contextlib.AsyncExitStack() as held:
            if mirror is not None:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._timing.vouch_seconds):
                        await held.enter_async_context(mirror.turn)
            yield

    def take_up(self, session_id: str, kept: Kept) -> Mirror:
        """Speak for the session of which Redis said this."""
        mirror = self.mirrors.get(session_id)
        if mirror is None:
            mirror = self.mirrors[session_id] = Mirror(self._lease.node, kept.record, self._lease.registry)
            mirror.values, mirror.term, mirror.replication = kept.values, kept.term, kept.replication
        elif kept.record.attach >= mirror.record.attach:  # else a later answer was faster
            mirror.refresh(kept, self._lease.registry)
        self.expire(mirror, kept.expires)
        return mirror

    def expire(self, mirror: Mirror, expires: int | None) -> None:
        """Note when a session's time is over; None while it is attached."""
        mirror.expires = expires
        if expires is None:
            self.expires.pop(mirror.record.session_id, None)
        else:
            self.expires[mirror.record.session_id] = expires

    def drop(self, mirror: Mirror) -> None:
        """Know nothing more of a session."""
        mirror.record.node = ""
        if self.mirrors.get(mirror.record.session_id) is mirror:
            del self.mirrors[mirror.record.session_id]
            self.expires.pop(mirror.record.session_id, None)

    def drop_all(self) -> None:
        """Know nothing more of any session."""
        for mirror in self.mirrors.values():
            mirror.record.node = ""
        self.mirrors.clear()
        self.expires.clear()

    def decoded(self, session_id: str, fields: Sequence[bytes]) -> Kept | None:
        """Return a record from its fields and values; None where it is none of this deployment."""
        if not fields:
            return None
        try:
            return self._records.decode(self._keys.session(session_id), session_id, fields)
        except ForeignRecord as error:
            self.refuse(session_id, error)
            return None

    def refuse(self, session_id: str, error: ForeignRecord) -> None:
        """Count a record that is not of this deployment and version, and say so now and then."""
        if self.refused % _TELL_REFUSED_EVERY == 0:
            logger.warning("refused the record of session %r in Redis: %s", session_id, error)
        self.refused += 1

    # Steps

    def begin(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Do something that goes on though nobody waits for it."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def stop(self) -> None:
        """Give up what is under way."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.drop_all()

    async def in_turn(self, mirror: Mirror, work: Callable[[], Awaitable[T]]) -> T:
        """Do the steps of a session one after the other, also where who waits for them goes away."""

        async def turn() -> T:
            async with mirror.turn:
                return await work()

        return await asyncio.shield(self.begin(turn()))

    async def step(self, mirror: Mirror, script: Script, *arguments: str | int | bytes, word: bool = False) -> Any:
        """Run a script on a session's record, with its last word where it needs that.

        What Redis has lost of the record is put back first. Raises Moved, LeaseLost, BrokerUnavailable.
        """
        session_id = mirror.record.session_id
        keys = [self._keys.session(session_id), *([self._keys.word(session_id)] if word else [])]
        while True:
            try:
                return await self._fencing.run(mirror.node, script, keys, *arguments)
            except Doubtful:
                if mirror.mine:
                    await self._restore(mirror)
                else:
                    await asyncio.sleep(self._timing.retry_seconds / 4)
            except Moved as moved:
                if not (mirror.mine and str(moved).isdecimal() and int(str(moved)) < mirror.term):
                    raise
                # A node that did not know yet that the session had gone was the first to put back what Redis lost.
                await self._restore(mirror)
            except Gone as gone:
                if not (mirror.mine and await self._is_lost(mirror, str(gone))):
                    raise Moved("it is gone") from None
                await self._restore(mirror)

    async def write(
        self,
        mirror: Mirror,
        *,
        outcome: Outcome = (0, "", b""),
        detaching: Detaching | None = None,
        gone: Sequence[bytes] = (),
        changed: Sequence[str | int | bytes] = (),
    ) -> Changes:
        """Write what has changed. Raises as ``step``; a mirror that is of no use any more is dropped then. Raises
        Overtaken.
        """
        changes = mirror.changes()
        fields = [*gone, *changes.gone]
        values: list[str | int | bytes] = [*changed]
        for pair in changes.changed.items():
            values += pair
        attach, expiring = ("", 0) if detaching is None else detaching
        acked = mirror.record.inbox.acked
        try:
            node, expires, noted, follows = await self.step(
                mirror, _WRITE, self.kept_for, acked, *outcome, attach, expiring, len(fields), *fields, *values
            )
        except (Moved, LeaseLost):
            self.drop(mirror)
            raise
        mirror.took(changes)
        mirror.record.node = node.decode()
        if outcome[0]:
            mirror.record.follows = follows.decode()
        if detaching is not None and mirror.mine:
            self.expire(mirror, int(expires) or None)
        if not noted:
            raise Overtaken
        return changes

    async def write_in_turn(
        self,
        mirror: Mirror,
        *,
        detaching: Detaching | None = None,
        gone: Sequence[bytes] = (),
        changed: Sequence[str | int | bytes] = (),
    ) -> Changes | None:
        """Write what has changed; None where this node may not any more."""

        async def work() -> Changes | None:
            try:
                return await self.write(mirror, detaching=detaching, gone=gone, changed=changed)
            except (Moved, LeaseLost):
                return None

        return await self.in_turn(mirror, work)

    async def list_own(self, *session_ids: str) -> None:
        """Say whose sessions these are, so that they are found when this node has died."""
        await self._list(self._keys.sessions(self._lease.node), *session_ids)

    async def unlist(self, node: str, session_id: str) -> None:
        """Say that a node does not speak for a session any more."""
        key = self._keys.sessions(node)
        await self._fencing.call(key, "ZREM", key, session_id)

    async def list_user(self, record: SessionRecord) -> None:
        """Say that a session is its user's."""
        if record.user_id is not None:
            await self._list(self._keys.user(record.user_id), record.session_id)

    async def unlist_user(self, record: SessionRecord) -> None:
        """Say that a session is its user's no more."""
        if record.user_id is not None:
            key = self._keys.user(record.user_id)
            await self._fencing.call(key, "ZREM", key, record.session_id)

    async def name(self, record: SessionRecord, session_id: str, instead: str = "") -> str:
        """Say which session the client's ``new`` became ('' for none), in the place of another one; return which."""
        key = self._keys.new(record.new, record.user_id)
        found: bytes = await self._fencing.run_free(_NAME, [key], session_id, instead, self.kept_for)
        return found.decode(errors="replace")

    # Refreshing

    def renewed(self, anew: bool) -> None:
        """Take notice of a renewal of the lease: all is said again where Redis may have lost it."""
        if anew:
            self._anew.set()
            self.doubted_at = self._lease.now

    async def run(self) -> None:
        """Say again and again what is kept, so that it stays, until cancelled."""
        while True:
            hurried = self._anew.is_set()
            self._anew.clear()
            mirrors = list(self.mirrors.values())
            slices = [mirrors[n : n + _SLICE] for n in range(0, len(mirrors), _SLICE)] or [[]]
            pause = self._timing.session_seconds / 4 / len(slices)
            for part in slices:
                if part:
                    await self._refresh(part)
                if not hurried or part is slices[-1]:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(pause):
                            await self._anew.wait()
                if self._anew.is_set():
                    break

    async def _refresh(self, mirrors: list[Mirror]) -> None:
        mine = [mirror.record.session_id for mirror in mirrors if mirror.mine]
        work = [self.in_turn(mirror, lambda mirror=mirror: self._refresh_one(mirror)) for mirror in mirrors]  # type: ignore[misc]
        for found in await asyncio.gather(self.list_own(*mine), *work, return_exceptions=True):
            if isinstance(found, Exception) and not isinstance(found, Moved | LeaseLost):
                logger.error("a session could not be refreshed in Redis: %s", found)

    async def _refresh_one(self, mirror: Mirror) -> None:
        session_id = mirror.record.session_id
        if self.mirrors.get(session_id) is not mirror:
            return
        registry = self._lease.registry
        await self.write(mirror)
        mirror.registry = registry
        if mirror.mine and not mirror.ended:
            await asyncio.gather(self.list_user(mirror.record), self.name(mirror.record, session_id, session_id))

    async def _list(self, key: bytes, *session_ids: str) -> None:
        if session_ids:
            await self._fencing.run_free(_LIST, [key], self.kept_for, *session_ids)

    async def _is_lost(self, mirror: Mirror, replication: str) -> bool:
        """Whether a record that is not there was lost by Redis, rather than ended by somebody else."""
        if replication != mirror.replication:
            return True
        await self._lease.checked()
        return self._lease.registry != mirror.registry

    async def _restore(self, mirror: Mirror) -> None:
        """Put the record back as this node has it. Raises Moved where another one is known to speak for it."""
        record = mirror.record
        key = self._keys.session(record.session_id)
        changes = mirror.changes()
        values = {name: value for name, value in mirror.values.items() if name not in changes.gone} | changes.changed
        fields = self._records.encode(key, record)
        for pair in values.items():
            fields += pair
        if mirror.ended or record.ending:
            fields += ("z", mirror.ended or "gone")
        registry = self._lease.registry
        await self.list_own(record.session_id)
        try:
            replication = await self._fencing.run(
                mirror.node, _RESTORE, [key], mirror.term, self.kept_for, mirror.expires or 0, *fields
            )
        except (Moved, LeaseLost):
            self.drop(mirror)
            raise
        mirror.took(changes)
        mirror.replication, mirror.registry = replication.decode(), registry

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waited for it may have gone
