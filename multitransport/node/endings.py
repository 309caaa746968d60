"""How sessions end: by a word, when their time is over, or because their node is gone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any

from multitransport.brokers.base import LastWord, SessionStore
from multitransport.core.session import Event, State, next_state
from multitransport.errors import BrokerUnavailable
from multitransport.node.attachment import Close
from multitransport.node.checks import Checks
from multitransport.node.elsewhere import Elsewhere
from multitransport.node.hub import Hub
from multitransport.node.moves import Moves
from multitransport.node.presence import Presence
from multitransport.node.rooms import SESSION_INBOX, USER_INBOX
from multitransport.node.session import Session
from multitransport.node.sessions import Sessions
from multitransport.node.settings import Settings
from multitransport.node.timers import Timers
from multitransport.node.verbs import APPLICATION_CODES
from multitransport.protocol.codes import CloseCode, is_final

__all__ = ["Endings"]

logger = logging.getLogger("multitransport")


class Endings:
    """Ends sessions, once each, and overlooks for a while that one is away. ``gone`` is told of each at once; ``own``
    runs what ends with the node.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        store: SessionStore,
        hub: Hub,
        checks: Checks,
        presence: Presence,
        sessions: Sessions,
        moves: Moves,
        elsewhere: Elsewhere,
        timers: Timers,
        clock: Callable[[], float],
        gone: Callable[[Session], None],
        own: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self._settings = settings
        self._store = store
        self._hub = hub
        self._checks = checks
        self._presence = presence
        self._sessions = sessions
        self._moves = moves
        self._elsewhere = elsewhere
        self._timers = timers
        self._clock = clock
        self._gone = gone
        self._own = own

    def end(self, client: Session, reason: str, close: Close | None = None) -> None:
        """End a session for good."""
        if client.state in (State.ENDED, State.MOVED):
            return
        client.state = next_state(client.state, Event.END)
        word: LastWord | None = None
        if close is not None and (is_final(close.code) or client.attachment is None):
            # On a dead line, or between two polls, nobody hears it now.
            word = LastWord(int(close.code), close.reason)
        self._sessions.end(client, word)
        if client.attachment is not None:
            client.attachment.close(close or Close(CloseCode.BYE, reason))
        client.jobs.clear()
        current = asyncio.current_task()
        under_way = {task for task in client.under_way if task is not current}
        for task in under_way:
            task.cancel()
        self._gone(client)
        self._own(self._farewell(client, reason, close, under_way))

    async def look(self) -> None:
        """End sessions whose time has run out, and speak for those whose nodes are gone."""
        for session_id in await self._store.expired():
            try:
                if (client := await self._here(session_id)) is not None:
                    self.end(client, "expired")
            except BrokerUnavailable as error:
                logger.warning("session %s does not end yet: %s", session_id, error)
        while records := await self._store.adopt(self._settings.resume_seconds):
            for record in records:
                self._moves.adopted(record)

    def miss(self, client: Session, away_since: float) -> None:
        """Look again when a session has been without a transport for as long as others are to overlook."""
        if not client.missed:
            client.missed = True
            self._timers.call_at(away_since + self._settings.presence_seconds, partial(self._absent, client))

    async def _here(self, session_id: str) -> Session | None:
        return self._sessions.get(session_id) or await self._moves.found(session_id)

    async def _farewell(
        self, client: Session, reason: str, close: Close | None, under_way: set[asyncio.Task[None]]
    ) -> None:
        session_id, user_id = client.session_id, client.user_id
        mine = await self._store.end(session_id, self._sessions.word_of(session_id), self._settings.resume_seconds)
        self._sessions.ended(client)
        if not mine:  # its end is another node's
            if close is not None and close.code in APPLICATION_CODES:
                await self._elsewhere.do("end", session_id, int(close.code), close.reason)
            return
        await self._presence.refresh(client)
        if under_way:
            # Handlers are over before the callbacks say that their session is, unless they will not be cancelled.
            await asyncio.wait(under_way, timeout=self._settings.close_seconds)
        await self._hub.forget(f"{SESSION_INBOX}{session_id}")
        await self._checks.disconnected(client, reason)
        await self._store.remove(session_id)
        if user_id is not None:
            with suppress(BrokerUnavailable):  # it has its time to live
                if not await self._elsewhere.named(user_id, None):
                    await self._hub.forget(f"{USER_INBOX}{user_id}")

    def _absent(self, client: Session) -> None:
        client.missed = False
        if client.away_since is None or client.state in (State.ENDED, State.MOVED):
            return
        if self._clock() < client.away_since + self._settings.presence_seconds:
            self.miss(client, client.away_since)  # it has been back meanwhile
        elif self._moves.is_mine(client):
            self._own(self._presence.refresh(client))
