"""A hello, taken or refused: who it is, which session it means, and the transport that carries it from now on."""

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

from msgspec import structs

from multitransport.brokers.base import SessionStore, StaleAttach
from multitransport.core.heartbeat import Heartbeat, Pulse
from multitransport.core.log import Log, Recovery
from multitransport.core.session import Event, SessionRecord, State, next_state
from multitransport.errors import BrokerUnavailable, Refuse
from multitransport.node.attachment import Attachment, Close
from multitransport.node.checks import Checks
from multitransport.node.dispatch import Dispatch, joined_frame
from multitransport.node.hub import Hub
from multitransport.node.presence import Presence
from multitransport.node.request import Request
from multitransport.node.rooms import OWN_INBOXES, PRESENCE, USER_INBOX, RoomTable, rooms_of_application
from multitransport.node.session import JoinRequest, Session, Verbs
from multitransport.node.sessions import Sessions
from multitransport.node.settings import TRANSPORTS, Settings
from multitransport.node.tokens import Tokens, hash_secret
from multitransport.protocol.codes import CloseCode, ErrorCode
from multitransport.protocol.frames import HelloOptions, JoinOptions, encode
from multitransport.protocol.position import Position

__all__ = ["Admission", "Visit"]

VERSION = 1


_VISIT_CODES: dict[str, CloseCode] = {
    ErrorCode.UNKNOWN_ROOM: CloseCode.NOT_FOUND,
    ErrorCode.BAD_ROOM: CloseCode.NOT_FOUND,
    ErrorCode.FAILED: CloseCode.INTERNAL,
}


class Visit(NamedTuple):
    """Somebody reads one room without a session: from where, and what is missing before it."""

    client: Session
    attachment: Attachment
    start: Position
    recovery: Recovery


class Admitted(NamedTuple):
    """A session and the token its client holds from now on."""

    client: Session
    token: str
    resumed: bool


class Attached(NamedTuple):
    """A session whose hello was taken, on the transport that carries it from now on, which has its welcome to come."""

    client: Session
    attachment: Attachment
    hello: HelloOptions
    token: str
    resumed: bool
    quiet: bool
    """It polls on, and is not told what it knows already."""


class Admission:
    """Decides about hellos. What it refuses, by raising Close, it has made nothing for. ``own`` runs what ends with the
    node.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        store: SessionStore,
        tokens: Tokens,
        checks: Checks,
        rooms: RoomTable,
        hub: Hub,
        dispatch: Dispatch,
        presence: Presence,
        sessions: Sessions,
        clock: Callable[[], float],
        new_secret: Callable[[], str],
        verbs: Verbs,
        own: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self._settings = settings
        self._store = store
        self._tokens = tokens
        self._checks = checks
        self._rooms = rooms
        self._hub = hub
        self._dispatch = dispatch
        self._presence = presence
        self._sessions = sessions
        self._clock = clock
        self._new_secret = new_secret
        self._verbs = verbs
        self._own = own
        self._pulses = {transport: _pulse(settings, transport) for transport in TRANSPORTS}

    async def find(self, hello: HelloOptions) -> Session | None:
        """Return the session whose token the hello brings; None where there is none. Raises Close where the hello is
        of another version, and with what the application ended the session.
        """
        if hello.v != VERSION:
            raise Close(CloseCode.UNSUPPORTED_VERSION, f"this server speaks version {VERSION}, not {hello.v}")
        parsed = None if hello.token is None else self._tokens.read(hello.token)
        if parsed is None:
            return None
        session_id, secret_hash = parsed
        if (close := self._sessions.untold(session_id)) is not None:
            raise close.with_traceback(None)
        record = await self._store.find(session_id)
        if record is None or not self._tokens.same(record.secret_hash, secret_hash):
            return None
        return self._sessions.get(session_id)

    async def check(self, client: Session, request: Request, hello: HelloOptions, transport: str | None) -> Session:
        """Look at the credentials of a request that speaks for a session; return what the check made of it.

        Raises Close.
        """
        candidate = await self._candidate(request, hello, transport, client)
        if candidate.user_id != client.user_id:
            raise Close(CloseCode.OTHER_USER, "these credentials belong to another user than the session")
        return candidate

    async def admit(self, hello: HelloOptions, request: Request, transport: str) -> Attached:
        """Take a hello: make or resume its session, and attach it; ``welcome`` is to follow. Raises Close."""
        most = self._settings.max_session_rooms
        if len(hello.rooms) > 2 * most + OWN_INBOXES or rooms_of_application(hello.rooms) > most:
            raise Close(CloseCode.BAD_PROTOCOL, f"a session may be in {most} rooms")
        known = await self.find(hello)
        if transport not in self._settings.transports:
            raise Close(CloseCode.TRANSPORT_NOT_ALLOWED, f"this server does not serve {transport}")
        admitted = await (
            self._new(hello, request, transport) if known is None else self._resume(known, hello, request, transport)
        )
        attachment = self._attach(admitted.client, hello, transport)
        quiet = transport == "poll" and admitted.resumed and known is not None and known.polling
        admitted.client.polling = transport == "poll"
        return Attached(admitted.client, attachment, hello, admitted.token, admitted.resumed, quiet)

    async def visit(
        self, request: Request, transport: str, name: str, position: Position | None, history: int | None
    ) -> Visit:
        """Let a request read one room without a session. Raises Close ``refused`` or ``not_found``."""
        if transport not in self._settings.transports:
            raise Close(CloseCode.TRANSPORT_NOT_ALLOWED, f"this server does not serve {transport}")
        visitor = Session(SessionRecord(self._new_secret(), "", b"", None, 0), request, self._verbs)
        try:
            room = self._rooms.resolve(name)
            await self._checks.connect(visitor, request, b"null")
            await self._checks.join(visitor, room)
            declared = room.declaration
            wanted = declared.history if history is None else min(history, declared.history)
            log, recovery = await self._hub.open(name, declared.retention, position, wanted)
        except Refuse as refuse:
            raise Close(
                _VISIT_CODES.get(refuse.code, CloseCode.REFUSED), refuse.message, app_code=refuse.code
            ) from None
        except BrokerUnavailable as error:
            raise Close(
                CloseCode.TOO_MANY_SESSIONS, str(error), retry_after_seconds=self._settings.retry_seconds
            ) from None
        # Nobody answers pings here: on a stream they only keep the connection warm.
        visit = structs.replace(self._pulses[transport], grace_seconds=math.inf)
        heartbeat = Heartbeat(visit, self._clock(), confirmed=True)
        attachment = Attachment(visitor.record, transport, 0, heartbeat, self._settings.close_seconds)
        self._hub.join(attachment.reader, log, recovery.offset)
        return Visit(visitor, attachment, Position(log.epoch, recovery.offset), recovery)

    async def _candidate(
        self, request: Request, hello: HelloOptions, transport: str | None, known: Session | None
    ) -> Session:
        """Run the connect check on a session that is not one yet, so that a refusal leaves nothing behind. Raises
        Close.
        """
        session_id = self._new_secret() if known is None else known.session_id
        candidate = Session(SessionRecord(session_id, hello.new, b"", None, 0), request, self._verbs)
        candidate.credential = request.credential()
        if known is not None:
            if known.credential == candidate.credential and transport == "poll" and known.polling:
                candidate.user_id = known.user_id
                candidate.admissions, candidate.gates = 0, known.gates
                return candidate
            candidate.stand_in_for(known)
        try:
            await self._checks.connect(candidate, request, bytes(hello.auth))
            allowed = transport is None or await self._checks.transport(candidate, transport)
        except Refuse as refuse:
            code = CloseCode.INTERNAL if refuse.code == ErrorCode.FAILED else CloseCode.REFUSED
            raise Close(code, refuse.message, app_code=refuse.code) from None
        if not allowed:
            raise Close(CloseCode.TRANSPORT_NOT_ALLOWED, f"this client may not use {transport}")
        return candidate

    async def _resume(self, client: Session, hello: HelloOptions, request: Request, transport: str) -> Admitted:
        candidate = await self.check(client, request, hello, transport)
        if client.state is State.ENDED:
            raise Close(CloseCode.SESSION_LOST, "the session has ended meanwhile")
        assert hello.token is not None
        await self._raise_attach(client.session_id, hello.attach)
        client.resume_as(candidate)
        client.state = next_state(client.state, Event.ATTACH)
        return Admitted(client, hello.token, True)

    async def _new(self, hello: HelloOptions, request: Request, transport: str) -> Admitted:
        """Make a session, or find the one an earlier hello with the same ``new`` has made whose welcome was lost."""
        candidate = await self._candidate(request, hello, transport, None)
        if await self._store.count() >= self._settings.max_sessions:
            retry = self._settings.retry_seconds
            raise Close(CloseCode.TOO_MANY_SESSIONS, "this server is full", retry_after_seconds=retry)
        secret = self._new_secret()
        candidate.record.secret_hash = hash_secret(secret)
        record = await self._store.create(candidate.record, self._clock() + self._settings.hello_seconds)
        if record.user_id != candidate.user_id:
            raise Close(CloseCode.OTHER_USER, "an earlier hello began this session for another user")
        # Where an earlier hello made the session, the token that was lost on the way ends here.
        await self._raise_attach(record.session_id, hello.attach, candidate.record.secret_hash)
        if record.session_id == candidate.session_id:
            candidate.record = record
            self._sessions.add(candidate)
        client = self._sessions.get(record.session_id)
        if client is None:
            raise Close(CloseCode.SESSION_LOST, "the session that this hello began has just ended")
        if client is not candidate:
            client.resume_as(candidate)
        if client.state is State.DETACHED:
            client.state = next_state(client.state, Event.ATTACH)
        return Admitted(client, self._tokens.sign(record.session_id, secret), client.resumed)

    async def _raise_attach(self, session_id: str, attach: int, secret_hash: bytes | None = None) -> None:
        try:
            await self._store.attach(session_id, attach, secret_hash)
        except StaleAttach:
            raise Close(CloseCode.STALE_ATTACH, f"attach {attach} is not above the highest known") from None

    def _attach(self, client: Session, hello: HelloOptions, transport: str) -> Attachment:
        """Put a new transport in the place of the one there may be."""
        client.settled = True
        confirmed = client.state is not State.UNCONFIRMED
        heartbeat = Heartbeat(self._pulses[transport], self._clock(), confirmed=confirmed)
        client.away_since = None
        attachment = Attachment(client.record, transport, hello.attach, heartbeat, self._settings.close_seconds)
        former, client.attachment = client.attachment, attachment
        if former is not None:
            client.told_at = self._hub.leave_all(former.reader)
            former.close(Close(CloseCode.SUPERSEDED, "a newer transport carries this session"))
        return attachment

    async def welcome(self, attached: Attached) -> None:
        """Lay out what the client is told first."""
        client, attachment, hello, token, resumed, quiet = attached
        settings = self._settings
        inbox = client.record.inbox
        await self._store.acknowledge(client.session_id, hello.acked)
        options = {
            "v": VERSION,
            "session": client.session_id,
            "token": token,
            "resumed": resumed,
            "seq": inbox.claimed,
            "window": settings.window,
            "ping": settings.ping_seconds,
            "grace": settings.grace_seconds,
            "resume": settings.resume_seconds,
            "max_message": settings.max_message_bytes,
            "transport": attachment.transport,
        }
        # Without its token a client that polls could neither send nor wait for the answer of the next one.
        attachment.put("@welcome", encode(("welcome", options)), news=token != hello.token)
        for seq, outcome in inbox.to_repeat().items():
            attachment.put(seq, outcome)
        for room in inbox.joined() - client.record.rooms.keys() - hello.rooms.keys():
            # It hears only now that it has joined, and must hear that it is out again.
            attachment.put(room, _removed_frame(room))
        if (ack := attachment.acked()) is not None:
            attachment.put("@ack", ack, news=False)
        had = await self._rejoin_all(client, attachment, hello, quiet=quiet)
        # What an earlier hello asked for and still waits keeps its place before the frames that rely on it, or is no
        # longer wanted.
        client.jobs[:] = [job for job in client.jobs if not isinstance(job, JoinRequest) or job.room in hello.rooms]
        waiting = {job.room: job for job in client.jobs if isinstance(job, JoinRequest)}
        for room, wanted in hello.rooms.items():
            if room in had or room in client.record.rooms:
                continue
            if room in waiting:
                waiting[room].options = wanted
            elif token == hello.token and wanted.position is not None and not room.startswith(USER_INBOX):
                # Its client knows this session and had joined, so the server has taken the session out since.
                attachment.put(room, _removed_frame(room))
            else:
                self._dispatch.submit(client, JoinRequest(room, wanted))
        # Not awaited: where many come and go at once the others are told with a delay, and the welcome is not.
        if any(room.startswith(PRESENCE) for room in client.record.rooms):
            self._own(self._presence.refresh(client))

    async def _rejoin_all(
        self, client: Session, attachment: Attachment, hello: HelloOptions, *, quiet: bool
    ) -> frozenset[str]:
        """Go on reading the rooms of the record, and return which they were."""
        rooms = client.record.rooms.copy()
        told_at, client.told_at = client.told_at, {}
        for room, joined_at in rooms.items():
            if room not in client.record.rooms:
                continue  # its check has refused the room whose presence this is, or it was left meanwhile
            asked = hello.rooms.get(room)
            if asked is None:
                asked = JoinOptions(max_rate=client.rates.get(room))
            known = asked.position is not None
            given = JoinOptions(asked.position or joined_at, max_rate=asked.max_rate)
            client.set_rate(room, asked.max_rate)
            last = told_at.get(room, -math.inf)
            await self._rejoin(client, attachment, room, given, told_at=last, known=known, quiet=quiet and known)
        return frozenset(rooms)

    async def _rejoin(
        self,
        client: Session,
        attachment: Attachment,
        name: str,
        options: JoinOptions,
        *,
        told_at: float,
        known: bool,
        quiet: bool,
    ) -> None:
        """Go on reading a room of the record; ``known``: the client has heard that it is joined."""
        found = await self._reopen(client, name, options.position)
        overtaken = client.attachment is not attachment or name in attachment.reader.cursors
        if overtaken or name not in client.record.rooms:
            return  # by another hello, or a job that has joined or left it; the client has been told
        if isinstance(found, Refuse):
            attachment.put(name, encode(("left", None, name, found.code, found.message)))
            if not name.startswith("@"):  # the server's own stay in the record: the next hello may find them readable
                await self._dispatch.forget(client, name)
            return
        log, recovery = found
        if not (quiet and recovery.recovered):
            unasked = name in (client.record.unasked or ())
            frame = joined_frame(None, name, log, recovery, unasked=unasked)
            attachment.put(name, frame, news=not (known and recovery.recovered))
        self._hub.join(attachment.reader, log, recovery.offset, options.max_rate, told_at)

    async def _reopen(self, client: Session, name: str, position: Position | None) -> tuple[Log, Recovery] | Refuse:
        """Return a room of the record, or why the session may not stay in it."""
        try:
            if not name.startswith("@"):
                await self._checks.stay(client, self._rooms.resolve(name))
            return await self._hub.open(name, self._rooms.retention(name), position, 0)
        except Refuse as refuse:
            return refuse
        except BrokerUnavailable:
            return Refuse(ErrorCode.FAILED, "the room is gone")


def _removed_frame(room: str) -> bytes:
    return encode(("left", None, room, ErrorCode.REMOVED, "no longer in the room"))


def _pulse(settings: Settings, transport: str) -> Pulse:
    """Return the intervals of a transport. The next poll is a poll's pong, so nothing is pinged there."""
    return Pulse(
        ping_seconds=math.inf if transport == "poll" else settings.ping_seconds,
        grace_seconds=settings.grace_seconds,
        stalled_seconds=settings.stalled_seconds,
        confirm_seconds=settings.hello_seconds,
    )
