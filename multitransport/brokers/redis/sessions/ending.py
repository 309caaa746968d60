"""Ending sessions, each once."""

from __future__ import annotations

import asyncio
import contextlib
import secrets

from multitransport.brokers.base import LastWord
from multitransport.brokers.redis.scripts import Script
from multitransport.brokers.redis.sessions.fencing import Moved
from multitransport.brokers.redis.sessions.lease import LeaseLost
from multitransport.brokers.redis.sessions.mirrors import Mirror
from multitransport.brokers.redis.sessions.records import encode_word
from multitransport.brokers.redis.sessions.speaking import Speaking

__all__ = ["Ending"]

_END = Script("session_end.lua", "session.lua")
_REMOVE = Script("session_remove.lua", "session.lua")


class Ending:
    """An end is claimed first, and the record goes last: where its node dies in between, another one ends it again."""

    def __init__(self, speaking: Speaking) -> None:
        self._speaking = speaking

    async def end(self, session_id: str, word: LastWord | None, kept_for: int) -> bool:
        """Claim the end of a session, and keep its last word for these milliseconds; False where it is another's."""
        mirror = self._speaking.own(session_id)
        if mirror is None:
            return False
        told: list[str | int | bytes] = [b"" if word is None else encode_word(word), kept_for]
        return await self._speaking.in_turn(mirror, lambda: self._claim(mirror, told))

    async def remove(self, session_id: str) -> None:
        """Forget a session whose end this node has claimed."""
        mirror = self._speaking.mirrors.get(session_id)
        if mirror is not None and mirror.ended:
            await self._speaking.in_turn(mirror, lambda: self._remove(mirror))

    async def _claim(self, mirror: Mirror, told: list[str | int | bytes]) -> bool:
        if not mirror.mine or mirror.ended:
            return False
        nonce = secrets.token_urlsafe(6)
        try:
            claimed = await self._speaking.step(mirror, _END, nonce, self._speaking.kept_for, *told, word=True)
        except (Moved, LeaseLost):
            self._speaking.drop(mirror)
            return False
        mirror.ended = f"{mirror.node} {nonce}"
        self._speaking.expire(mirror, None)
        return bool(claimed)

    async def _remove(self, mirror: Mirror) -> None:
        session_id = mirror.record.session_id
        await asyncio.gather(
            self._speaking.name(mirror.record, "", session_id), self._speaking.unlist_user(mirror.record)
        )
        with contextlib.suppress(Moved, LeaseLost):
            await self._speaking.step(mirror, _REMOVE)
        self._speaking.drop(mirror)
        await self._speaking.unlist(mirror.node, session_id)
