"""One process's part in the whole: its sessions, their transports and deadlines, its rooms. Made anew for each serving
loop.
"""

from __future__ import annotations

import asyncio
import logging
import math
import secrets
from collections.abc import Awaitable, Coroutine, Sequence
from functools import partial
from typing import Any, TypeVar

from multitransport.brokers.base import Backend
from multitransport.core.heartbeat import Action
from multitransport.core.session import Event, SessionRecord, State, next_state
from multitransport.errors import BrokerUnavailable, MultiTransportError
from multitransport.node.admission import Admission
from multitransport.node.attachment import Attachment, Close
from multitransport.node.checks import Checks
from multitransport.node.declarations import Declarations
from multitransport.node.dispatch import Dispatch
from multitransport.node.drain import Drain
from multitransport.node.elsewhere import Elsewhere
from multitransport.node.endings import Endings
from multitransport.node.host import Host
from multitransport.node.hub import Hub
from multitransport.node.intake import Intake
from multitransport.node.moves import Moves
from multitransport.node.peers import Peers
from multitransport.node.presence import Presence
from multitransport.node.reconciliation import Reconciliation
from multitransport.node.request import Request
from multitransport.node.rooms import RoomTable
from multitransport.node.session import Session
from multitransport.node.sessions import Sessions
from multitransport.node.settings import Settings
from multitransport.node.timers import Timers
from multitransport.node.tokens import Tokens
from multitransport.node.verbs import ServerVerbs
from multitransport.node.visits import Visit, Visits
from multitransport.node.welcome import Welcome
from multitransport.protocol.codec import Malformed
from multitransport.protocol.codes import CloseCode
from multitransport.protocol.frames import (
    ClientFrame,
    HelloOptions,
    encode,
)
from multitransport.protocol.position import Position

__all__ = ["Node"]

logger = logging.getLogger("multitransport")

T = TypeVar("T")

_SWEEP_EVERY = 30
"""Rooms are swept once in so many looks for expired sessions."""


class Node:
    """Carries sessions over whatever transport brings them."""

    def __init__(
        self,
        declarations: Declarations,
        host: Host,
        settings: Settings,
        *,
        secret_keys: Sequence[str],
        backend: Backend,
    ) -> None:
        self.settings = settings
        self._loop = loop = asyncio.get_running_loop()
        self.sessions = Sessions()
        self.draining = False
        self._attachments: dict[Attachment, Session] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._drained: asyncio.Task[None] | None = None
        shortest = min(settings.ping_seconds, settings.grace_seconds, settings.stalled_seconds, settings.hello_seconds)
        self._timers = Timers(loop, min(0.25, shortest / 10))
        self._look_seconds = min(1.0, settings.resume_seconds / 10, settings.hello_seconds / 10)
        self._broker, self._store = backend.broker, backend.store
        self.hub = hub = Hub(backend.broker, loop)
        self.rooms = rooms = RoomTable(declarations.rooms)
        self.checks = checks = Checks(declarations, host, partial(secrets.token_hex, 4))
        self.presence = presence = Presence(hub, rooms, settings.max_meta_bytes, self.own)
        self._peers = peers = Peers(backend.bus)
        self._drain = Drain(settings, self._attachments.keys(), elsewhere=bool(peers))
        common: dict[str, Any] = {"settings": settings, "store": self._store}
        self._moves = moves = Moves(
            **common, peers=peers, hub=hub, sessions=self.sessions, new_session=self._new_session, own=self.own
        )
        self._dispatch = dispatch = Dispatch(checks, rooms, hub, self._store, presence, moves, settings, self.end)
        elsewhere = Elsewhere(**common, sessions=self.sessions, moves=moves, peers=peers)
        self.verbs = ServerVerbs(
            sessions=self.sessions,
            hub=hub,
            rooms=rooms,
            dispatch=dispatch,
            presence=presence,
            elsewhere=elsewhere,
            end=self.end,
            max_asks=settings.max_asks,
        )
        self._endings = Endings(
            **common,
            hub=hub,
            checks=checks,
            presence=presence,
            sessions=self.sessions,
            moves=moves,
            elsewhere=elsewhere,
            timers=self._timers,
            clock=loop.time,
            gone=self.verbs.asks.gone,
            own=self.own,
        )
        moves.came_alone = self._endings.miss
        self._compare_presence(common)
        self._serve_visitors(Tokens(secret_keys), common)
        _warn_of_short_retentions(declarations, settings)

    def _compare_presence(self, common: dict[str, Any]) -> None:
        """Have presence compared with the sessions there are where what keeps both may have lost something."""
        self._reconciliation = Reconciliation(
            **common,
            hub=self.hub,
            rooms=self.rooms,
            presence=self.presence,
            sessions=self.sessions,
            moves=self._moves,
            peers=self._peers,
            timers=self._timers,
            clock=self._loop.time,
            missed=self._endings.miss,
            own=self.own,
        )
        self.hub.opened, self.hub.begun_anew = self._reconciliation.begin, self._begun_anew

    def _serve_visitors(self, tokens: Tokens, common: dict[str, Any]) -> None:
        """Put together what takes requests, on top of what serves sessions."""
        new_secret = partial(secrets.token_urlsafe, 16)
        visitors: dict[str, Any] = {"clock": self._loop.time, "new_secret": new_secret, "verbs": self.verbs}
        rooms: dict[str, Any] = {"checks": self.checks, "rooms": self.rooms, "hub": self.hub}
        serving: dict[str, Any] = {"dispatch": self._dispatch, "presence": self.presence, "own": self.own}
        moving: dict[str, Any] = {"sessions": self.sessions, "moves": self._moves}
        self._admission = Admission(**common, **visitors, **moving, tokens=tokens, checks=self.checks, hub=self.hub)
        self._visits = Visits(settings=self.settings, **visitors, **rooms)
        self._welcome = Welcome(**common, **rooms, **serving)
        self._moves.changed = self._welcome.tell_changes
        self.intake = Intake(
            **common,
            **serving,
            **moving,
            checks=self.checks,
            admission=self._admission,
            verbs=self.verbs,
            peers=self._peers,
        )

    def _new_session(self, record: SessionRecord, request: Request) -> Session:
        return Session(record, request, self.verbs)

    @property
    def fault(self) -> str | None:
        """Why this node cannot serve now; None where it can."""
        return self._broker.fault or self._store.fault

    async def start(self) -> None:
        """Begin to serve."""
        await self.hub.start()
        await self._peers.start(self._missed)
        await self._store.start(self._lost)
        self._looking = self.own(self._look_after())

    async def drain(self) -> None:
        """Take no more hellos and send every client to another node, or away with a time to come back where there is
        none; return when they are gone, or after the drain time.
        """
        if self._drained is None:
            self.draining = True
            self._drained = self._loop.create_task(self._drain.run())
        await asyncio.shield(self._drained)

    async def stop(self) -> None:
        """Drain, leave the sessions to other nodes, or announce their end where they go with this process, then end
        everything this node owns.
        """
        await self.drain()
        self._timers.stop()
        if self._peers:
            await self._moves.give_back_all(moved=True)
        else:
            for client in list(self.sessions.values()):
                self.end(client, "stopped")
        await self._finish_work()
        if self._peers:
            await self._moves.give_back_all(moved=False)
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._peers and (handlers := self._moves.forsake_all()):
            await asyncio.wait(handlers, timeout=self.settings.close_seconds)
        await self._store.stop()
        await self._peers.stop()
        await self.hub.stop()

    async def _finish_work(self) -> None:
        """Wait, up to the drain time, until nothing is under way, nor left behind by sessions that go meanwhile."""
        until = self._loop.time() + self.settings.drain_seconds
        while under_way := self._under_way():
            _, late = await asyncio.wait(under_way, timeout=max(0.0, until - self._loop.time()))
            if late:
                logger.warning("%d callbacks and handlers take longer than the drain time and are cut", len(late))
                return

    def _under_way(self) -> set[asyncio.Task[Any]]:
        handlers = {task for client in self.sessions.values() for task in client.under_way}
        return handlers | self._tasks - {self._looking}

    def _begun_anew(self, room: str) -> None:
        self.presence.begun_anew(room, self.sessions.values())
        self._reconciliation.begin(room)

    def _missed(self) -> None:
        self.own(self._moves.missed())

    def _lost(self) -> None:
        """Other nodes have taken this one for dead, and speak for its sessions."""
        logger.error("this node was away for longer than its lease: its sessions are other nodes' now")
        self._moves.forsake_all()

    async def admit(self, hello: HelloOptions, request: Request, transport: str) -> Attachment:
        """Take a hello. Whoever calls this must ``release`` what it returns. Raises Close."""
        if self.draining and not self._drain.takes(hello, transport):
            raise self._drain.going_away()
        attached = await self._admission.admit(hello, request, transport)
        self._carry(attached.client, attached.attachment)
        try:
            await self._welcome.tell(attached)
        except BaseException:
            self.release(attached.attachment)  # a session that is attached for good would never expire
            raise
        return self._watch(attached.attachment)

    async def visit(
        self, request: Request, transport: str, room: str, position: Position | None, history: int | None
    ) -> Visit:
        """Let a request read one room, as a stream (``sse``) or as one answer (``poll``).

        Whoever calls this must ``release`` the attachment. Raises Close.
        """
        if self.draining:
            raise self._drain.going_away()
        if len(self._attachments) >= self.settings.max_sessions:
            raise Close(
                CloseCode.TOO_MANY_SESSIONS, "this server is full", retry_after_seconds=self.settings.retry_seconds
            )
        visit = await self._visits.visit(request, transport, room, position, history)
        self._carry(visit.client, visit.attachment)
        self._watch(visit.attachment)
        return visit

    def _carry(self, client: Session, attachment: Attachment) -> None:
        """Keep a transport until it is released."""
        self._attachments[attachment] = client

    def _watch(self, attachment: Attachment) -> Attachment:
        """Look for signs of life from now on."""
        # Not at once: the first ping must not be in one write with the welcome.
        attachment.timer = self._timers.call_at(self._loop.time(), partial(self._tick, attachment))
        if self.draining:
            self._drain.send_off(attachment)
        return attachment

    def release(self, attachment: Attachment) -> None:
        """A transport has ended: its session is detached, unless another one carries it already."""
        attachment.ended()
        told_at = self.hub.leave_all(attachment.reader)
        client = self._attachments.pop(attachment)
        self._drain.released()
        if client.attachment is attachment:
            client.attachment = None
            client.told_at = told_at
            if client.state is not State.ENDED:
                client.state = next_state(client.state, Event.DETACH)
                now = self._loop.time()
                seconds = min(self.settings.resume_seconds, attachment.heartbeat.confirm_by - now)
                self.own(self._detach(client, attachment.attach, seconds))
                client.away_since = now
                if not client.missed:
                    self._endings.miss(client, client.away_since)

    async def _detach(self, client: Session, attach: int, seconds: float) -> None:
        await self._store.detach(client.session_id, attach, seconds)
        self._moves.is_mine(client)  # else the word of that has been lost, or is to come

    def receive(self, attachment: Attachment, frames: list[ClientFrame | Malformed], *, alive: bool) -> Awaitable[None]:
        """Take the frames of one message; ``alive``: the client had its welcome when it wrote them. Raises Close,
        having taken none.
        """
        return self.intake.receive(self._attachments[attachment], attachment.attach, frames, alive=alive)

    def end(self, client: Session, reason: str, close: Close | None = None) -> None:
        """End a session for good."""
        self._endings.end(client, reason, close)

    def own(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run something that ends with this node at the latest."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._over)
        return task

    async def _look_after(self) -> None:
        """Look after the ends of sessions, and sweep rooms now and then."""
        looks = 0
        while True:
            await asyncio.sleep(self._look_seconds)
            looks += 1
            await self._try(self._endings.look())
            await self._try(self.verbs.asks.look(self._store.owner))
            if looks % _SWEEP_EVERY == 0:
                await self._try(self.hub.sweep())

    async def _try(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except BrokerUnavailable as error:
            logger.warning("sessions and rooms cannot be looked after now: %s", error)
        except Exception:
            logger.exception("looking after sessions and rooms failed; trying again")

    def _over(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, Close | MultiTransportError):
            logger.error("what a node does by itself has failed", exc_info=error)

    def _tick(self, attachment: Attachment) -> None:
        if attachment.closing is not None:
            return  # it is over; its session may live on, carried by another
        action, again_at = attachment.heartbeat.tick(self._loop.time())
        match action:
            case Action.PING:
                attachment.put("@ping", encode(("ping", round(self._loop.time() * 1000))))
            case Action.DEAD:
                attachment.close(Close(CloseCode.PING_TIMEOUT, "no sign of life"))
            case Action.STALLED:
                attachment.close(Close(CloseCode.STALLED, "the client does not read"))
                attachment.abort()
            case Action.GHOST:
                self.end(
                    self._attachments[attachment], "never confirmed", Close(CloseCode.PING_TIMEOUT, "no sign of life")
                )
        if math.isfinite(again_at):
            attachment.timer = self._timers.call_at(again_at, partial(self._tick, attachment))


def _warn_of_short_retentions(declarations: Declarations, settings: Settings) -> None:
    for room in declarations.rooms:
        if room.retention.seconds < settings.resume_seconds:
            logger.warning(
                "room %r keeps publications for %g s, less than the %g s a session may be away",
                room.rule,
                room.retention.seconds,
                settings.resume_seconds,
            )
