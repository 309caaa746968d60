"""Sessions that come from other nodes and go to them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from multitransport.brokers.base import Attached, SessionStore
from multitransport.core.session import Event, SessionRecord, State, next_state
from multitransport.node.attachment import Close
from multitransport.node.hub import Hub
from multitransport.node.peers import Peers
from multitransport.node.request import Request
from multitransport.node.session import JoinRequest, Session
from multitransport.node.sessions import Sessions
from multitransport.node.settings import Settings
from multitransport.protocol.codes import CloseCode

__all__ = ["Moves"]

logger = logging.getLogger("multitransport")

_LOOK_AGAIN_SECONDS = 1.0
"""How long a session whose former node is busy waits for news before it asks the store: messages can be lost."""


_FENCES = 10_000
"""Sessions that went elsewhere of which is remembered when: their own hello here may still be on its way."""


class Moves:
    """Keeps the sessions this node speaks for in step with the store, while their clients go from node to node.

    A session that goes is let go of at once; what was begun for it here goes on, and the node it went to waits for
    that. ``changed`` is called with a session whose record others have changed, and what it was before; ``own`` runs
    what ends with the node.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        store: SessionStore,
        peers: Peers,
        hub: Hub,
        sessions: Sessions,
        new_session: Callable[[SessionRecord, Request], Session],
        own: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self._settings = settings
        self._store = store
        self._peers = peers
        self._hub = hub
        self._sessions = sessions
        self._new_session = new_session
        self._own = own
        self._leaving: dict[str, Session] = {}
        self._fences: dict[str, int] = {}
        self.changed: Callable[[Session, frozenset[str], frozenset[int]], Coroutine[Any, Any, None]] = _ignore
        peers.serve(fence=self._fence, settle=self._settle_by_id)

    async def arrived(self, attached: Attached, candidate: Session) -> Session:
        """Return the session this node speaks for from now on, as the connect check made it. Raises Close where that is
        over already.
        """
        record = attached.record
        if self._fences.get(record.session_id, 0) > record.attach:
            raise _superseded()  # the word of that was faster
        client = self._sessions.get(record.session_id)
        if client is None:
            client = self._leaving.pop(record.session_id, None)
            if client is not None:  # it is back before what was begun here is over
                client.state = next_state(client.state, Event.ATTACH)
            elif candidate.resumed:
                client = self._new_session(record, candidate.http)
            else:
                client = candidate
            client.record = record
            client.inherited = record.inbox.claimed
            self._sessions.add(client)
        if client is not candidate:
            client.resume_as(candidate)
        if attached.former is not None:
            busy = attached.former in (record.busy or ())
            await self._peers.tell(attached.former, "fence", record.session_id, record.attach, busy)
        await self.save(client)
        if client.moved:
            raise _superseded()
        return client

    def adopted(self, record: SessionRecord) -> Session:
        """Return the session of a record that a dead node has left; nothing carries it."""
        client = self._new_session(record, Request(_NOWHERE))
        client.settled = client.resumed = True
        client.state = State.DETACHED
        client.inherited = record.inbox.claimed
        client.away_since = asyncio.get_running_loop().time()
        self._sessions.add(client)
        return client

    async def save(self, client: Session) -> None:
        """Keep what the application has changed of a session."""
        try:
            await self._store.save(client.session_id)
        except TypeError:
            logger.exception("what is in the data of %s cannot be kept for other nodes", client.session_id)

    async def settled(self, client: Session) -> None:
        """Wait until no other node is busy any more with what came before."""
        waited_for = set(client.record.busy or ())
        while waited_for and client.state is not State.ENDED:
            client.settling = client.settling or asyncio.Event()
            client.settling.clear()
            try:
                async with asyncio.timeout(_LOOK_AGAIN_SECONDS):
                    await client.settling.wait()
            except TimeoutError:
                pass
            waited_for &= await self._still_busy(client)
        client.settling = client.record.busy = None

    async def _still_busy(self, client: Session) -> set[str]:
        record: SessionRecord | None = client.record
        if client.moved:  # those that were busy before this node still come first
            record = await self._store.find(client.session_id)
            if record is not None:
                client.record.data, client.record.metas = record.data, record.metas
        else:
            await self.settle(client)
        return set(() if record is None else record.busy or ())

    async def settle(self, client: Session) -> None:
        """Bring a session to where the store has it, and tell its client what others did for it."""
        rooms, outcomes = frozenset(client.record.rooms), frozenset(client.record.inbox.outcomes)
        await self._store.settle(client.session_id)
        if client.settling is not None:
            client.settling.set()
        await self.changed(client, rooms, outcomes)

    async def progressed(self, client: Session) -> None:
        """Something was carried out for a session: if another node speaks for it, that node has to tell its client."""
        if client.moved and (node := await self._store.owner(client.session_id)) is not None:
            await self._peers.tell(node, "settle", client.session_id)

    def forsake_all(self) -> None:
        """Let go of every session at once, with all that is under way: others speak for them."""
        for client in [*self._sessions.values(), *self._leaving.values()]:
            client.jobs.clear()
            for task in client.under_way:
                task.cancel()
            if not client.moved:
                self._let_go(client, Close(CloseCode.GOING_AWAY, "this server lost its part", retry_after_seconds=0.1))
        self._leaving.clear()

    def release(self, client: Session) -> None:
        """Another node speaks for a session, as the store has said."""
        if self._sessions.get(client.session_id) is client:
            self._let_go(client, _superseded())

    async def _fence(self, session_id: str, attach: int, busy: bool) -> None:
        self._fences[session_id] = attach
        while len(self._fences) > _FENCES:
            del self._fences[next(iter(self._fences))]
        client = self._sessions.get(session_id)
        if client is None or client.record.attach > attach:
            return
        self._let_go(client, _superseded())
        if client.worker is not None or client.tasks:
            self._leaving[session_id] = client
            self._own(self._hand_over(client))
        elif busy:
            self._own(self._finish(client))

    def _let_go(self, client: Session, close: Close) -> None:
        client.state = next_state(client.state, Event.MOVE)
        client.record.node = ""  # what is known of it here is not to be gone by any more
        self._sessions.remove(client)
        client.jobs[1:] = [job for job in client.jobs[1:] if not isinstance(job, JoinRequest)]
        attachment, client.attachment = client.attachment, None
        if attachment is not None:
            self._hub.leave_all(attachment.reader)
            attachment.close(close)

    async def _hand_over(self, client: Session) -> None:
        """See what was begun here to its end."""
        while under_way := client.under_way:
            await asyncio.wait(under_way)
            if self._leaving.get(client.session_id) is not client:
                return
        if self._leaving.get(client.session_id) is client:
            del self._leaving[client.session_id]
            await self._finish(client)

    async def _finish(self, client: Session) -> None:
        node = await self._store.finish(client.session_id)
        if node is not None:
            await self._peers.tell(node, "settle", client.session_id)

    async def _settle_by_id(self, session_id: str) -> None:
        if (client := self._sessions.get(session_id)) is not None:
            await self.settle(client)


_NOWHERE: dict[str, Any] = {"type": "http", "headers": [], "client": None, "path": "", "query_string": b""}


def _superseded() -> Close:
    return Close(CloseCode.SUPERSEDED, "a newer transport carries this session")


async def _ignore(*_: object) -> None:
    """Stand in until the node is put together."""
