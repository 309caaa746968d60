"""Sessions of which other nodes hold frames: whether those do, die or are out of hearing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from multitransport.brokers.base import SessionStore
from multitransport.core.session import SessionRecord
from multitransport.errors import BrokerUnavailable

__all__ = ["Watches"]

logger = logging.getLogger("multitransport")

_LOOK_SECONDS = 1.0
"""How often the store is asked about a session while other nodes hold frames of it: messages can be lost, and nodes
die. One that nobody listened for at two of these times in a row is gone, if the store agrees.
"""

_UNHEARD = 1_000
"""Nodes of which is remembered since when nobody listens for them."""


class Watches:
    """Looks after each session once a second while other nodes hold frames of it that were taken before it was here.

    ``remind`` tells a node that it is waited for, and returns whether anybody listened; ``settle`` brings a session to
    where the store has it, when some of its holders are gone; ``own`` runs what ends with the node.
    """

    def __init__(
        self,
        store: SessionStore,
        remind: Callable[[str, SessionRecord], Awaitable[bool]],
        settle: Callable[[str, set[str]], Awaitable[SessionRecord | None]],
        own: Callable[[Coroutine[Any, Any, Any]], asyncio.Future[Any]],
    ) -> None:
        self._store = store
        self._remind = remind
        self._settle = settle
        self._own = own
        self._watched: dict[str, int] = {}
        self._looks: set[asyncio.Future[None]] = set()
        self._unheard: dict[str, tuple[float, float]] = {}

    def begin(self, record: SessionRecord) -> None:
        """See that what other nodes hold by now for a session is done or lost, wherever it goes meanwhile."""
        if any(record.held_elsewhere(self._store.node).values()):
            watched = record.session_id in self._watched
            self._watched[record.session_id] = record.inbox.claimed
            if not watched:
                look = self._own(self._look_after(record))
                self._looks.add(look)
                look.add_done_callback(self._looks.discard)

    def end_all(self) -> None:
        """Look no more."""
        for look in self._looks:
            look.cancel()

    async def _look_after(self, record: SessionRecord) -> None:
        session_id = record.session_id
        try:
            while holders := self._holders(record):
                await asyncio.sleep(_LOOK_SECONDS)
                try:
                    found = await self._look(record, holders)
                except BrokerUnavailable:
                    logger.debug("%s waits on for %s", session_id, holders)
                except Exception:
                    logger.exception("%s waits on for %s", session_id, holders)
                else:
                    if found is None:
                        return
                    record = found
        finally:
            del self._watched[session_id]

    def _holders(self, record: SessionRecord) -> set[str]:
        held = record.held_elsewhere(self._store.node, self._watched[record.session_id])
        return set(filter(None, held.values()))

    async def _look(self, record: SessionRecord, holders: set[str]) -> SessionRecord | None:
        unheard = [node for node in holders if await self._is_unheard(node, record)]
        return await self._settle(record.session_id, await self._store.gone(holders, unheard))

    async def _is_unheard(self, node: str, record: SessionRecord) -> bool:
        """Remind a node; tell whether nobody has listened the last two times."""
        if await self._remind(node, record):
            self._unheard.pop(node, None)
            return False
        now = asyncio.get_running_loop().time()
        since, last = self._unheard.pop(node, (now, now))
        if now - last > 3 * _LOOK_SECONDS:
            since = now
        self._unheard[node] = since, now
        while len(self._unheard) > _UNHEARD:
            del self._unheard[next(iter(self._unheard))]
        return now - since > _LOOK_SECONDS / 2
