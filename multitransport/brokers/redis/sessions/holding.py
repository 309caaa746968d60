"""Which node holds which frame: claimed, done, given back, lost."""

from __future__ import annotations

import logging
import sys
from collections.abc import Collection

from multitransport.brokers.base import Reclaimed, StaleAttach
from multitransport.brokers.redis.keys import Keys
from multitransport.brokers.redis.scripts import Script
from multitransport.brokers.redis.sessions.fencing import Doubtful, Fencing, Gone, Moved
from multitransport.brokers.redis.sessions.lease import Lease, LeaseLost
from multitransport.brokers.redis.sessions.mirrors import UNCHANGED, Changes, Mirror
from multitransport.brokers.redis.sessions.records import encode_outcome
from multitransport.brokers.redis.sessions.speaking import Outcome, Overtaken, Speaking
from multitransport.core.inbox import Inbox
from multitransport.core.session import SessionRecord
from multitransport.protocol.binary import Frame

__all__ = ["Holding"]

logger = logging.getLogger("multitransport")

_CLAIM = Script("session_claim.lua", "session.lua")
_RECLAIM = Script("session_reclaim.lua", "session.lua")
_GIVE_BACK = Script("session_give_back.lua", "session.lua")
_SETTLE = Script("session_settle.lua", "session.lua")
_FINISH = Script("session_finish.lua", "session.lua")

_BECAME: dict[int, Reclaimed] = {1: "lost", 2: "unbegun"}


class Holding:
    """The frames of sessions. Each that is claimed and not done has one holder, who alone commits it: two nodes never
    tell of one frame, and whoever waits for it knows for whom.
    """

    def __init__(self, keys: Keys, fencing: Fencing, lease: Lease, speaking: Speaking) -> None:
        self._keys = keys
        self._fencing = fencing
        self._lease = lease
        self._speaking = speaking

    async def claim(
        self, session_id: str, attach: int, seqs: list[int], window: int, beside: Collection[int] = ()
    ) -> int:
        """See SessionStore."""
        mirror = self._speaking.own(session_id)
        if mirror is None:
            raise StaleAttach
        return await self._speaking.in_turn(mirror, lambda: self._claim(mirror, attach, seqs, window, beside))

    async def reclaim(self, session_id: str, seqs: Collection[int], *, moved: bool) -> dict[int, Reclaimed]:
        """See SessionStore."""
        mirror = self._speaking.mirrors.get(session_id) if moved else self._speaking.own(session_id)
        if mirror is None:
            return {}
        return await self._speaking.in_turn(mirror, lambda: self._reclaim(mirror, seqs))

    async def commit(self, session_id: str, seq: int, outcome: Frame | None, max_bytes: int) -> bool:
        """See SessionStore."""
        mirror = self._speaking.mirrors.get(session_id)
        if mirror is None:
            return False
        return await self._speaking.in_turn(mirror, lambda: self._commit(mirror, seq, outcome, max_bytes))

    async def gone(self, nodes: Collection[str], unheard: Collection[str] = ()) -> set[str]:
        """See SessionStore."""
        living = await self._lease.living(self._fencing.call, unheard)
        if self._lease.node not in living:
            await self._lease.checked()
        # Where Redis lost who lives, not all have said so again.
        return set(nodes) - set(living) if self._lease.is_regained else set()

    async def settle(self, session_id: str, gone: Collection[str] = ()) -> SessionRecord | None:
        """See SessionStore."""
        mirror = self._speaking.mirrors.get(session_id)
        if mirror is not None and (record := await self.settled(mirror, gone)) is not None:
            return record
        try:
            fields = await self._fencing.run(self._lease.node, _SETTLE, [self._keys.session(session_id)], *gone)
        except (Gone, Doubtful, LeaseLost):
            return None
        kept = self._speaking.decoded(session_id, fields)
        return None if kept is None else kept.record

    async def give_back(self, session_id: str, seqs: Collection[int], *, begun: bool = False) -> str | None:
        """See SessionStore."""
        mirror = self._speaking.mirrors.get(session_id)
        if mirror is None:
            return None
        return await self._speaking.in_turn(mirror, lambda: self._give_back(mirror, seqs, begun=begun))

    async def finish(self, session_id: str) -> str | None:
        """See SessionStore."""
        # Not while it comes back: what it claims here then is not to be lost, nor what is known of it forgotten.
        async with self._speaking.coming(session_id):
            mirror = self._speaking.mirrors.get(session_id)
            if mirror is not None and mirror.changes() != UNCHANGED:
                await self._speaking.write_in_turn(mirror)
            key, node = self._keys.session(session_id), self._lease.node if mirror is None else mirror.node
            if mirror is not None:
                claimed = mirror.record.inbox.claimed
            else:
                claimed = int(await self._fencing.call(key, "HGET", key, "c") or 0)
            found = await self._fencing.run_free(_FINISH, [key], 0, node, claimed)
            speaks = found.decode(errors="replace") or None
            if mirror is not None and speaks != node and not mirror.ended:
                self._speaking.drop(mirror)
            return speaks

    async def settled(self, mirror: Mirror, gone: Collection[str] = ()) -> SessionRecord | None:
        """Bring a mirror to where Redis has it; None where this node may not say anything of it any more."""
        return await self._speaking.in_turn(mirror, lambda: self._settle(mirror, gone))

    # Steps: each holds the turn of its session

    async def _claim(self, mirror: Mirror, attach: int, seqs: list[int], window: int, beside: Collection[int]) -> int:
        inbox = mirror.record.inbox
        if mirror.record.attach != attach or not mirror.mine or mirror.ended:
            raise StaleAttach
        trial = Inbox(claimed=inbox.claimed, processed=inbox.processed, acked=inbox.claimed)
        trial.claim(seqs, window)
        acked = max(inbox.acked, trial.claimed - window)
        try:
            new = [seq for seq in beside if seq > inbox.claimed]
            await self._speaking.step(mirror, _CLAIM, attach, trial.claimed, acked, *new)
        except (Moved, LeaseLost):
            # What it holds it may still commit; the next of those steps finds out.
            mirror.record.node = ""
            raise StaleAttach from None
        if new:
            mirror.record.beside = {*new, *(seq for seq in mirror.record.beside or () if seq > inbox.processed)}
        return inbox.claim(seqs, window)

    async def _reclaim(self, mirror: Mirror, seqs: Collection[int]) -> dict[int, Reclaimed]:
        record = mirror.record
        free = [seq for seq, holder in record.held_elsewhere(mirror.node).items() if seq in seqs and not holder]
        if not free:
            return {}
        try:
            found = await self._speaking.step(mirror, _RECLAIM, *free)
        except (Moved, LeaseLost):
            record.node = ""
            return {}
        became: dict[int, Reclaimed] = {seq: _BECAME[each] for seq, each in zip(free, found, strict=True) if each}
        record.holders = {**(record.holders or {}), **dict.fromkeys(became, mirror.node)}
        return became

    async def _give_back(self, mirror: Mirror, seqs: Collection[int], *, begun: bool) -> str | None:
        try:
            node: bytes = await self._speaking.step(mirror, _GIVE_BACK, "" if begun else "-", *seqs)
        except (Moved, LeaseLost):
            return None
        mirror.record.holders = (mirror.record.holders or {}) | dict.fromkeys(seqs, "" if begun else None)
        return node.decode(errors="replace")

    async def _commit(self, mirror: Mirror, seq: int, outcome: Frame | None, max_bytes: int) -> bool:
        inbox = mirror.record.inbox
        if inbox.is_done(seq):
            return False
        told: Outcome = (seq, "", b"")
        if outcome is not None:
            fits = inbox.kept_bytes + len(outcome) <= max_bytes
            told = (seq, "1", encode_outcome(outcome)) if fits else (seq, "0", b"")
            max_bytes = sys.maxsize if fits else -1  # decided: what is acknowledged meanwhile changes nothing
        try:
            changes = await self._speaking.write(mirror, outcome=told)
        except (Moved, LeaseLost, Overtaken):
            return False
        inbox.commit(seq, outcome, max_bytes)
        (mirror.record.holders or {}).pop(seq, None)
        self._log(mirror, changes)
        return True

    async def _settle(self, mirror: Mirror, gone: Collection[str]) -> SessionRecord | None:
        session_id = mirror.record.session_id
        try:
            self._log(mirror, await self._speaking.write(mirror))
            fields = await self._speaking.step(mirror, _SETTLE, *gone)
        except (Moved, LeaseLost):
            return None
        if (kept := self._speaking.decoded(session_id, fields)) is None:
            return None
        mirror.refresh(kept, self._lease.registry)
        return mirror.record

    def _log(self, mirror: Mirror, changes: Changes) -> None:
        for name, fault in changes.faults.items():
            if name not in mirror.logged:
                mirror.logged.add(name)
                logger.error("a session cannot keep %s: %s", name, fault)
