"""Sessions' records as Redis has them, whoever speaks for them."""

from __future__ import annotations

import asyncio

from multitransport.brokers.base import LastWord
from multitransport.brokers.redis.keys import Keys
from multitransport.brokers.redis.scripts import Script
from multitransport.brokers.redis.sessions.fencing import Fencing
from multitransport.brokers.redis.sessions.records import ForeignRecord, Kept, Records, decode_word
from multitransport.brokers.redis.sessions.speaking import Speaking
from multitransport.core.session import SessionRecord

__all__ = ["Finding"]

_WORD = Script("session_word.lua", "session.lua")


class Finding:
    """What is read is verified: lists lead to records that are not there, or not of that user, when a node died between
    two steps.
    """

    def __init__(self, keys: Keys, records: Records, fencing: Fencing, speaking: Speaking) -> None:
        self._keys = keys
        self._records = records
        self._fencing = fencing
        self._speaking = speaking

    async def find(self, session_id: str) -> SessionRecord | None:
        """Return the record of a session that has not ended."""
        mirror = self._speaking.mirrors.get(session_id)
        if mirror is not None and mirror.mine:
            return None if mirror.ended else mirror.record
        kept = await self.read(session_id)
        return None if kept is None or kept.record.ending else kept.record

    async def read(self, session_id: str) -> Kept | None:
        """Return the record as Redis has it."""
        key = self._keys.session(session_id)
        return self._speaking.decoded(session_id, await self._fencing.call(key, "HGETALL", key))

    async def of_user(self, user_id: str) -> list[str]:
        """Return the ids of a user's sessions."""
        key = self._keys.user(user_id)
        ids = [each.decode(errors="replace") for each in await self._fencing.call(key, "ZRANGE", key, 0, -1)]
        is_of = await asyncio.gather(*(self._is_of(session_id, user_id) for session_id in ids))
        return [session_id for session_id, its in zip(ids, is_of, strict=True) if its]

    async def owner(self, session_id: str) -> tuple[str, int] | None:
        """Return the node that speaks for a session, and how often that has changed."""
        key = self._keys.session(session_id)
        node, ended, term = await self._fencing.call(key, "HMGET", key, "n", "z", "t")
        if node is None or ended is not None:
            return None
        return node.decode(errors="replace"), int(term) if term is not None and term.isdigit() else 0

    async def last_word(self, session_id: str) -> LastWord | None:
        """Return what the client of a session that is gone has to hear; what is not final, once."""
        return decode_word(await self._fencing.run_free(_WORD, [self._keys.word(session_id)]))

    async def _is_of(self, session_id: str, user_id: str) -> bool:
        key = self._keys.session(session_id)
        sealed, ended = await self._fencing.call(key, "HMGET", key, "i", "z")
        if sealed is None or ended is not None:
            return False
        try:
            return self._records.verify(key, sealed).user_id == user_id
        except ForeignRecord as error:
            self._speaking.refuse(session_id, error)
            return False
