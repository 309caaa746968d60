"""Sessions that come from other nodes and go to them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine
from contextlib import suppress
from typing import Any

from multitransport.brokers.base import Attached, SessionStore
from multitransport.core.session import Event, SessionRecord, State, next_state
from multitransport.errors import BrokerUnavailable
from multitransport.node.attachment import Close
from multitransport.node.hub import Hub
from multitransport.node.peers import Peers
from multitransport.node.request import Request
from multitransport.node.session import JoinRequest, Repeat, Session
from multitransport.node.sessions import Sessions
from multitransport.node.settings import Settings
from multitransport.node.watches import Watches
from multitransport.protocol.codes import CloseCode
from multitransport.protocol.frames import Bye

__all__ = ["Moves"]

logger = logging.getLogger("multitransport")

_AT_ONCE = 100
"""Sessions whose nodes are asked for at the same time."""

_FENCES = 10_000
"""Sessions that went elsewhere of which is remembered when: their own hello here may still be on its way."""


class Moves:
    """Keeps the sessions this node speaks for in step with the store, while their clients go from node to node.

    A session that goes is let go of at once; what was begun for it here goes on, and the node it went to waits for
    that. ``changed`` is called with a session whose record others have changed, and what it was before; ``came_alone``
    with one that is here from a moment on, and its client is not; ``own`` runs what ends with the node.
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
        own: Callable[[Coroutine[Any, Any, Any]], asyncio.Future[Any]],
    ) -> None:
        self._settings = settings
        self._store = store
        self._peers = peers
        self._hub = hub
        self._sessions = sessions
        self._new_session = new_session
        self._own = own
        self._leaving: dict[str, Session] = {}
        self._watches = Watches(store, self._remind, self._settle_by_id, own)
        self._fences: dict[str, int] = {}
        self.changed: Callable[[Session, frozenset[str], frozenset[int]], Coroutine[Any, Any, None]] = _ignore
        self.came_alone: Callable[[Session, float], None] = _pass
        peers.serve(fence=self._fence, settle=self._tell_settled)

    def arrived(self, attached: Attached, candidate: Session, attach: int) -> Session:
        """Return the session this node speaks for from now on, as the connect check made it. Raises Close where a later
        hello has come meanwhile, here or elsewhere.
        """
        record, session_id = attached.record, attached.record.session_id
        if attached.former is not None:
            awaited = attached.former in self.held_elsewhere(record).values()
            self._own(self._tell_fence(attached.former, record, record.attach, superseded=True, awaited=awaited))
        if record.attach > attach or self._fences.get(session_id, 0) > attach:
            raise Close(CloseCode.STALE_ATTACH, "a newer transport carries this session")
        client = self._sessions.get(session_id)
        if client is None:
            client = self._leaving.pop(session_id, None)
            if client is not None:  # it is back before what was begun here is over
                client.state = next_state(client.state, Event.ATTACH)
            else:
                client = self._new_session(record, candidate.http) if candidate.resumed else candidate
            self._sessions.add(client)
        client.record = record
        if client is not candidate:
            client.resume_as(candidate)
        self._look_into(client)
        if self._peers:
            self._own(self.save(client))
        return client

    def adopted(self, record: SessionRecord) -> Session:
        """Return the session of a record that another node has left; nothing carries it."""
        if (known := self._sessions.get(record.session_id)) is not None:
            return known  # it has come here by itself meanwhile
        client = self._leaving.pop(record.session_id, None) or self._new_session(record, Request(_NOWHERE))
        client.record = record
        client.settled = client.resumed = True
        client.state = State.DETACHED
        client.away_since = asyncio.get_running_loop().time()
        self.came_alone(client, client.away_since)
        self._sessions.add(client)
        self._look_into(client)
        return client

    async def taken(self, record: SessionRecord, former: str) -> None:
        """Speak for a session that was taken from a node which does not answer, but may live."""
        self.adopted(record)
        await self._tell_fence(former, record, record.attach + 1)

    async def found(self, session_id: str) -> Session | None:
        """Return a session of which this node knows nothing though it speaks for it: its hello was cut off when the
        store had taken it. Raises BrokerUnavailable.
        """
        if self._sessions.is_ending(session_id):
            return None
        node = self._store.node
        record = await self._store.take(session_id, node, self._settings.resume_seconds)
        if record is None:
            record = await self._store.find(session_id)
        return None if record is None or record.node != node else self.adopted(record)

    async def save(self, client: Session) -> None:
        """Keep what the application has changed of a session."""
        try:
            await self._store.save(client.session_id)
        except TypeError:
            logger.exception("what is in the data of %s cannot be kept for other nodes", client.session_id)

    def is_mine(self, client: Session) -> bool:
        """Tell whether this node speaks for a session as far as the store has said; let go of one that it does not."""
        if client.state is State.ENDED or (client.record.node == self._store.node and not client.moved):
            return True
        if self._sessions.get(client.session_id) is client:
            self._let_go(client)
        return False

    async def is_still_mine(self, client: Session) -> bool:
        """Ask the store whether this node speaks for a session, and let go of one that it does not."""
        with suppress(BrokerUnavailable):
            await self._store.owner(client.session_id)
        return self.is_mine(client)

    async def missed(self) -> None:
        """Messages may have been lost: let go of what other nodes speak for."""
        clients = list(self._sessions.values())
        for start in range(0, len(clients), _AT_ONCE):
            await asyncio.gather(*map(self.is_still_mine, clients[start : start + _AT_ONCE]))

    # What other nodes hold

    def held_elsewhere(self, record: SessionRecord, through: int | None = None) -> dict[int, str | None]:
        """Return which other nodes hold frames up to a seq, or all, that are not done; none where they are lost."""
        return record.held_elsewhere(self._store.node, through)

    def not_in_hand(self, client: Session, through: int | None) -> dict[int, str | None]:
        """Return the holders of frames up to a seq, or all, that are not done and not in hand here; this node is one of
        what it is just taking.
        """
        holders, inbox = client.record.holders or {}, client.record.inbox
        return {
            seq: holder
            for seq, holder in holders.items()
            if (through is None or seq <= through)
            and not (holder == self._store.node and seq in client.in_hand)
            and not inbox.is_done(seq)
        }

    async def news(self, client: Session, seconds: float | None = None) -> None:
        """Wait, for so long at most, until something has changed of what other nodes hold for a session."""
        if client.news is None:
            client.news = asyncio.Event()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await client.news.wait()

    async def settle(self, client: Session, gone: Collection[str] = ()) -> SessionRecord | None:
        """Bring a session to where the store has it, when these nodes are gone, and tell its client what others did for
        it. Raises BrokerUnavailable.
        """
        rooms, outcomes = frozenset(client.record.rooms), frozenset(client.record.inbox.outcomes)
        found = await self._store.settle(client.session_id, gone)
        if found is not client.record:  # nothing that this node would have to say of it counts any more
            client.drop_jobs()
            client.in_hand = frozenset()
        elif client.jobs or not client.moved:
            self._watches.begin(client.record)
        client.stir()
        if self.is_mine(client):
            await self.changed(client, rooms, outcomes)
        return found

    def progressed(self, client: Session) -> None:
        """Something was carried out for a session: if another node speaks for it, that one has to tell its client; and
        what follows may wait at another one.
        """
        record = client.record
        if record.follows or client.moved:
            for node in {record.follows, record.node if client.moved else ""} - {"", self._store.node}:
                self._own(self._peers.tell(node, "settle", client.session_id))

    def _look_into(self, client: Session) -> None:
        """Take care of what the store says of the holders of a session that has come here."""
        self._watches.begin(client.record)
        if client.record.holders:
            self._own(self._disown(client))

    async def _disown(self, client: Session) -> None:
        """Have what the store says this node holds, and it does not, be lost: an answer of the store's was."""
        if client.taking:
            await asyncio.wait(set(client.taking))
        holders = client.record.holders or {}
        not_here = [seq for seq, holder in holders.items() if holder == self._store.node and seq not in client.in_hand]
        if not_here and self.is_mine(client):
            await self._store.give_back(client.session_id, not_here, begun=True)
            await self.settle(client)

    async def _settle_by_id(self, session_id: str, gone: Collection[str] = ()) -> SessionRecord | None:
        client = self._sessions.get(session_id) or self._leaving.get(session_id)
        if client is not None:
            return await self.settle(client, gone)
        return await self._store.settle(session_id, gone)

    async def _tell_settled(self, session_id: str) -> None:
        """Another node has done something for a session."""
        if session_id in self._sessions or session_id in self._leaving:
            await self._settle_by_id(session_id)

    # Leaving

    async def give_back_all(self, *, moved: bool) -> None:
        """Give back what is not begun, of all sessions or only of those that have ``moved``: their clients send it
        again where they are then.
        """
        self._watches.end_all()
        clients = [*self._leaving.values(), *(() if moved else self._sessions.values())]
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.close_seconds):
                await asyncio.gather(*map(self._give_back, clients), return_exceptions=True)

    async def _give_back(self, client: Session) -> None:
        claimed = [job for job in client.drop_jobs() if not isinstance(job, Repeat)]
        if seqs := [seq for job in claimed if (seq := getattr(job, "seq", None)) is not None]:
            client.in_hand = client.in_hand.difference(seqs)
            giving = asyncio.ensure_future(self._store.give_back(client.session_id, seqs))
            client.giving = client.note_taking(giving)  # else what waits for its end would lose them
            node = await giving
            if node not in (None, self._store.node):
                await self._peers.tell(node, "settle", client.session_id)

    def forsake_all(self) -> set[asyncio.Task[None]]:
        """Let go of every session at once, and return what was under way, which is cancelled: others speak for them."""
        cancelled: set[asyncio.Task[None]] = set()
        for client in [*self._sessions.values(), *self._leaving.values()]:
            client.jobs.clear()
            client.stir()
            for task in client.under_way:
                task.cancel()
                cancelled.add(task)
            if not client.moved:
                self._leave(client, _elsewhere())
        self._leaving.clear()
        return cancelled

    async def _tell_fence(
        self, node: str, record: SessionRecord, attach: int, *, superseded: bool = False, awaited: bool = True
    ) -> bool:
        return await self._peers.tell(node, "fence", record.session_id, attach, superseded, awaited)

    async def _remind(self, node: str, record: SessionRecord) -> bool:
        return await self._tell_fence(node, record, record.attach)

    async def _fence(self, session_id: str, attach: int, superseded: bool, awaited: bool) -> None:
        """Another node speaks for a session since this attach; ``superseded``: by a hello. It waits for what this one
        holds where that is ``awaited``.
        """
        self._fences[session_id] = max(attach, self._fences.get(session_id, 0))
        while len(self._fences) > _FENCES:
            del self._fences[next(iter(self._fences))]
        client = self._sessions.get(session_id)
        if client is None:
            if session_id not in self._leaving:
                self._own(self._finish(session_id, awaited=awaited))
        elif client.record.attach < attach or client.record.node != self._store.node:
            self._let_go(client, superseded=superseded, awaited=awaited)

    def _let_go(self, client: Session, *, superseded: bool = False, awaited: bool = True) -> None:
        """Take no more for a session, and see what was begun here to its end. Only where a newer transport is known to
        carry it its client must not come back with this one.
        """
        if superseded:
            self._leave(client, Close(CloseCode.SUPERSEDED, "a newer transport carries this session"))
        else:
            self._leave(client, _elsewhere())
        self._leaving[client.session_id] = client
        self._own(self._hand_over(client, awaited=awaited))

    def _leave(self, client: Session, close: Close) -> None:
        client.state = next_state(client.state, Event.MOVE)
        client.record.node = ""  # what is known of it here is not to be gone by any more
        self._sessions.remove(client)
        client.drop_jobs(JoinRequest, Repeat, Bye)
        attachment, client.attachment = client.attachment, None
        if attachment is not None:
            self._hub.leave_all(attachment.reader)
            attachment.close(close)

    async def _hand_over(self, client: Session, *, awaited: bool) -> None:
        # What is being taken may be claimed already, and runs here then.
        while under_way := {*client.under_way, *(client.taking or ())}:
            await asyncio.wait(under_way)
            if self._leaving.get(client.session_id) is not client:
                return
        if self._leaving.get(client.session_id) is client:
            del self._leaving[client.session_id]
            await self._finish(client.session_id, awaited=awaited)

    async def _finish(self, session_id: str, *, awaited: bool) -> None:
        node = await self._store.finish(session_id)
        if awaited and node is not None and node != self._store.node:
            await self._peers.tell(node, "settle", session_id)


_NOWHERE: dict[str, Any] = {"type": "http", "headers": [], "client": None, "path": "", "query_string": b""}


def _elsewhere() -> Close:
    return Close(CloseCode.GOING_AWAY, "another server goes on with this session", retry_after_seconds=0.1)


async def _ignore(*_: object) -> None:
    """Stand in until the node is put together."""


def _pass(*_: object) -> None:
    """Stand in, too."""
