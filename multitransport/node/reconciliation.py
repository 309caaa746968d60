"""Who is shown in rooms, compared with whose sessions there are."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import defaultdict
from collections.abc import Callable, Coroutine
from functools import partial
from itertools import chain
from typing import Any

from multitransport.brokers.base import NodeUnreachable, SessionStore
from multitransport.core.publication import Draft
from multitransport.errors import BrokerUnavailable
from multitransport.node.hub import Hub
from multitransport.node.moves import Moves
from multitransport.node.peers import Peers
from multitransport.node.presence import Presence, said_of, shown_in
from multitransport.node.rooms import PRESENCE, RoomTable
from multitransport.node.session import Session
from multitransport.node.sessions import Sessions
from multitransport.node.settings import Settings
from multitransport.node.timers import Timers

__all__ = ["Reconciliation"]

logger = logging.getLogger("multitransport")

_AT_ONCE = 100
"""Sessions that the store is asked for at the same time."""

_ASK_SECONDS = 3.0

_SPREAD = 1.25
"""Nodes that have found the same do not act on it at the same moment: the first one tells the others."""


class Reconciliation:
    """Takes out of presence rooms who is shown there and is not. The store may have forgotten a session before its
    room, or both lost what they had last: that somebody left.

    A room is compared when this node opens it, and when its log begins anew. Whichever node speaks for a session says
    how it is. Where none does, a node that lives has put back what was lost of its own when the room is compared again,
    and who is gone then as well is taken out. ``missed`` is called with sessions that were found to be this node's;
    ``own`` runs what ends with the node.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        store: SessionStore,
        hub: Hub,
        rooms: RoomTable,
        presence: Presence,
        sessions: Sessions,
        moves: Moves,
        peers: Peers,
        timers: Timers,
        clock: Callable[[], float],
        missed: Callable[[Session, float], None],
        own: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self._store = store
        self._hub = hub
        self._rooms = rooms
        self._presence = presence
        self._sessions = sessions
        self._moves = moves
        self._peers = peers
        self._timers = timers
        self._clock = clock
        self._missed = missed
        self._own = own
        self._patience = max(settings.resume_seconds, settings.lease_seconds)
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._wanted: set[str] = set()
        self._under_way: set[str] = set()
        self._due: set[str] = set()
        self._suspects: dict[str, dict[str, float]] = {}
        """By room: for whom no node was found to speak, and since when."""
        peers.serve(shown=self._correct)

    def begin(self, room: str) -> None:
        """Compare a room, if it is one that says who is in another one. A single process loses nothing."""
        if self._peers and room.startswith(PRESENCE):
            self._wanted.add(room)
            if room not in self._under_way:
                self._under_way.add(room)
                self._own(self._work_off(room))

    async def _work_off(self, room: str) -> None:
        try:
            while room in self._wanted:
                await self._compare(room)
        except BrokerUnavailable as error:
            logger.debug("who is shown in %r cannot be compared yet: %s", room, error)
            self._look_again(room)
        finally:
            self._under_way.discard(room)

    def _look_again(self, room: str) -> None:
        if room not in self._due:
            self._due.add(room)
            at = self._clock() + self._patience * random.uniform(1, _SPREAD)  # noqa: S311
            self._timers.call_at(at, partial(self._again, room))

    def _again(self, room: str) -> None:
        self._due.discard(room)
        self.begin(room)

    async def _compare(self, room: str) -> None:
        log, _ = await self._hub.open(room, self._rooms.retention(room), None, 0)
        self._wanted.discard(room)  # after the opening, which may have been the first one
        shown = [session_id for session_id, _ in shown_in(log)]
        speakers: defaultdict[str | None, list[str]] = defaultdict(list)
        for session_id, node in zip(shown, await asyncio.gather(*map(self._owner, shown)), strict=True):
            speakers[node].append(session_id)
        doubtful = [await self._ask(node, room, ids) for node, ids in speakers.items() if node is not None]
        now, former, gone = self._clock(), self._suspects.pop(room, {}), speakers[None]
        suspects = {each: former.get(each, now) for each in [*gone, *chain.from_iterable(doubtful)]}
        for session_id in gone:
            if suspects[session_id] + self._patience <= now:
                await self._take_out(room, session_id)
                del suspects[session_id]
        if suspects:
            self._suspects[room] = suspects
            self._look_again(room)

    async def _owner(self, session_id: str) -> str | None:
        if session_id in self._sessions:
            return self._store.node
        async with self._turns:
            return await self._store.owner(session_id)

    async def _ask(self, node: str, room: str, ids: list[str]) -> list[str]:
        """Have the node that speaks for these sessions correct what the room shows of them; return those for which it
        did not.
        """
        if node == self._store.node:
            return await self._correct(room, ids)
        try:
            return list(await self._peers.ask(node, "shown", room, ids, seconds=_ASK_SECONDS))
        except NodeUnreachable:  # then others adopt its sessions
            return ids

    async def _correct(self, room: str, ids: list[str]) -> list[str]:
        """Have a room show these sessions of this node as they are; return those that are not."""
        others = []
        for session_id in ids:
            client = self._sessions.get(session_id)
            if client is None and (client := await self._moves.found(session_id)) is not None:
                self._missed(client, self._clock())
            if client is None or not self._moves.is_mine(client):
                others.append(session_id)
            elif room not in client.record.rooms or client.attachment is None:
                # One that is there and attached is shown by whatever made it so.
                self._own(self._presence.correct(client, room.removeprefix(PRESENCE)))
        return others

    async def _take_out(self, room: str, session_id: str) -> None:
        log = self._hub.log(room)
        if log is None or said_of(log, session_id) is not None:
            draft = Draft("member", b"null", key=session_id, deleted=True)
            await self._hub.publish(room, draft, self._rooms.retention(room))
