"""Taking over the sessions of nodes that are gone."""

from __future__ import annotations

import asyncio

from multitransport.brokers.redis.keys import Keys
from multitransport.brokers.redis.scripts import Script
from multitransport.brokers.redis.sessions.fencing import Doubtful, Fencing, Gone, Moved
from multitransport.brokers.redis.sessions.lease import Lease, LeaseLost
from multitransport.brokers.redis.sessions.speaking import Speaking
from multitransport.brokers.redis.timing import Timing, milliseconds
from multitransport.core.session import SessionRecord

__all__ = ["Adopting"]

_ADOPT = Script("session_adopt.lua", "session.lua")

_AT_ONCE = 100


class Adopting:
    """Each session is adopted by one node: the first one that finds the dead one's name in its record, or the one that
    finds its own there and knows nothing of it.
    """

    def __init__(self, keys: Keys, fencing: Fencing, lease: Lease, speaking: Speaking, timing: Timing) -> None:
        self._keys = keys
        self._fencing = fencing
        self._lease = lease
        self._speaking = speaking
        self._timing = timing
        self._patience = milliseconds(timing.lease_seconds)

    async def adopt(self, expires_after: int) -> list[SessionRecord]:
        """Return the records of some sessions that now are this node's, none where there are no more."""
        for dead in list(self._lease.dead):
            key = self._keys.sessions(dead)
            while listed := await self._fencing.call(key, "ZRANDMEMBER", key, _AT_ONCE):
                ids = [each.decode(errors="replace") for each in listed]
                await self._speaking.list_own(*ids)
                found = await asyncio.gather(*(self._take(each, dead, expires_after, lives=False) for each in ids))
                await self._fencing.call(key, "ZREM", key, *listed)
                if records := [record for record in found if record is not None]:
                    return records
            await self._lease.bury(dead, self._fencing.call)
        return await self._adopt_own(expires_after)

    async def take(self, session_id: str, former: str, expires_after: int) -> SessionRecord | None:
        """Return the record of a session that was that node's and now is this one's, or None. The former one may be
        this very node, where a hello was cut off when Redis had taken it.
        """
        async with self._speaking.coming(session_id):
            mirror = self._speaking.mirrors.get(session_id)
            if mirror is not None and mirror.mine:  # also where this node is ending it
                return None
            await self._speaking.list_own(session_id)
            record = await self._take(session_id, former, expires_after, lives=True)
        if record is not None and former != record.node:
            await self._speaking.unlist(former, session_id)
        return record

    async def _adopt_own(self, expires_after: int) -> list[SessionRecord]:
        """Where Redis began anew it may have lost that a session of this node has ended, or went elsewhere. If another
        node speaks for it, that one puts its record back first.
        """
        speaking, doubted_at = self._speaking, self._speaking.doubted_at
        if not doubted_at or self._lease.now < doubted_at + self._patience:
            return []
        key = self._keys.sessions(self._lease.node)
        while listed := await self._fencing.call(key, "ZRANGEBYSCORE", key, "-inf", doubted_at, "LIMIT", 0, _AT_ONCE):
            ids = [each.decode(errors="replace") for each in listed]
            found = await asyncio.gather(*(self._recover(each, expires_after) for each in ids))
            await speaking.list_own(*(each for each in ids if each in speaking.mirrors))
            if records := [record for record in found if record is not None]:
                return records
        if speaking.doubted_at == doubted_at:
            speaking.doubted_at = 0
        return []

    async def _recover(self, session_id: str, expires_after: int) -> SessionRecord | None:
        async with self._speaking.coming(session_id):
            if session_id in self._speaking.mirrors:
                return None
            return await self._take(session_id, self._lease.node, expires_after, lives=False)

    async def _take(self, session_id: str, former: str, expires_after: int, *, lives: bool) -> SessionRecord | None:
        async with self._speaking.resting(session_id):
            return await self._adopt(session_id, former, expires_after, lives=lives)

    async def _adopt(self, session_id: str, former: str, expires_after: int, *, lives: bool) -> SessionRecord | None:
        node, key = self._lease.node, self._keys.session(session_id)
        arguments = (former, expires_after, self._speaking.kept_for, int(lives))
        fields = None
        patience_ends = asyncio.get_running_loop().time() + self._timing.vouch_seconds
        while fields is None:
            impatient = int(asyncio.get_running_loop().time() >= patience_ends)
            try:
                fields = await self._fencing.run(node, _ADOPT, [key], *arguments, impatient)
            except Doubtful:
                await asyncio.sleep(self._timing.vouch_seconds / 20)
            except (Gone, Moved, LeaseLost):
                fields = []
        kept = self._speaking.decoded(session_id, fields)
        if kept is not None:
            return self._speaking.take_up(session_id, kept).record
        if self._speaking.own(session_id) is None:
            await self._speaking.unlist(node, session_id)
        return None
