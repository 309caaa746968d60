"""A hello, taken or refused: who it is, which session it means, and the transport that carries it from now on."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from msgspec import structs

from multitransport.brokers.base import SessionStore, StaleAttach
from multitransport.core.heartbeat import Heartbeat
from multitransport.core.session import Event, SessionRecord, State, next_state
from multitransport.errors import BrokerUnavailable, Refuse
from multitransport.node.attachment import Attachment, Close
from multitransport.node.checks import Checks
from multitransport.node.hub import Hub
from multitransport.node.moves import Moves
from multitransport.node.pulse import pulse
from multitransport.node.request import Request
from multitransport.node.rooms import OWN_INBOXES, rooms_of_application
from multitransport.node.session import Session, Verbs
from multitransport.node.sessions import Sessions
from multitransport.node.settings import TRANSPORTS, Settings
from multitransport.node.tokens import Tokens, hash_secret
from multitransport.node.welcome import VERSION, Attached
from multitransport.protocol.codes import CloseCode, ErrorCode
from multitransport.protocol.frames import HelloOptions

__all__ = ["Admission"]


class Admitted(NamedTuple):
    """A session and the token its client holds from now on."""

    client: Session
    token: str
    resumed: bool


class Admission:
    """Decides about hellos. What it refuses, by raising Close, it has made nothing for."""

    def __init__(
        self,
        *,
        settings: Settings,
        store: SessionStore,
        tokens: Tokens,
        checks: Checks,
        hub: Hub,
        sessions: Sessions,
        moves: Moves,
        clock: Callable[[], float],
        new_secret: Callable[[], str],
        verbs: Verbs,
    ) -> None:
        self._settings = settings
        self._store = store
        self._tokens = tokens
        self._checks = checks
        self._hub = hub
        self._sessions = sessions
        self._moves = moves
        self._clock = clock
        self._new_secret = new_secret
        self._verbs = verbs
        self._pulses = {transport: pulse(settings, transport) for transport in TRANSPORTS}

    async def find(self, hello: HelloOptions, request: Request) -> Session | None:
        """Return the session whose token the hello brings, or what stands in for it where another node speaks for it;
        None where there is none. Raises Close where the hello is of another version, with what the application ended
        the session, and where the store does not answer.
        """
        if hello.v != VERSION:
            raise Close(CloseCode.UNSUPPORTED_VERSION, f"this server speaks version {VERSION}, not {hello.v}")
        parsed = None if hello.token is None else self._tokens.read(hello.token)
        if parsed is None:
            return None
        session_id, secret_hash = parsed
        try:
            record = None if self._sessions.is_ending(session_id) else await self._store.find(session_id)
            if record is None:
                word = self._sessions.word_of(session_id) or await self._store.last_word(session_id)
                if word is not None:
                    raise Close(*word)
        except BrokerUnavailable:
            raise self._unavailable() from None
        if record is None or not self._tokens.same(record.secret_hash, secret_hash):
            return None
        return self._sessions.get(session_id) or Session(record, request, self._verbs)

    async def check(self, client: Session, request: Request, hello: HelloOptions, transport: str | None) -> Session:
        """Look at the credentials of a request that speaks for a session; return what the check made of it.

        Raises Close.
        """
        candidate = await self._candidate(request, hello, transport, client)
        if candidate.user_id != client.user_id:
            raise Close(CloseCode.OTHER_USER, "these credentials belong to another user than the session")
        return candidate

    async def admit(self, hello: HelloOptions, request: Request, transport: str) -> Attached:
        """Take a hello: make or resume its session, and attach it; the welcome is to follow. Raises Close."""
        most = self._settings.max_session_rooms
        if len(hello.rooms) > 2 * most + OWN_INBOXES or rooms_of_application(hello.rooms) > most:
            raise Close(CloseCode.BAD_PROTOCOL, f"a session may be in {most} rooms")
        known = await self.find(hello, request)
        if transport not in self._settings.transports:
            raise Close(CloseCode.TRANSPORT_NOT_ALLOWED, f"this server does not serve {transport}")
        polling = known is not None and known.polling
        try:
            admitted = await (
                self._new(hello, request, transport)
                if known is None
                else self._resume(known, hello, request, transport)
            )
        except BrokerUnavailable:
            raise self._unavailable() from None
        attachment = self._attach(admitted.client, hello, transport)
        quiet = transport == "poll" and admitted.resumed and polling
        return Attached(admitted.client, attachment, hello, admitted.token, admitted.resumed, quiet)

    async def _candidate(
        self, request: Request, hello: HelloOptions, transport: str | None, known: Session | None
    ) -> Session:
        """Run the connect check on a session that is not one yet, so that a refusal leaves nothing behind. Raises
        Close.
        """
        session_id = self._new_secret() if known is None else known.session_id
        candidate = Session(SessionRecord(session_id, hello.new, b"", None, 0), request, self._verbs)
        credential = request.credential()
        polls = transport == "poll" if transport is not None else known is not None and known.polling
        candidate.note_credential(credential, polling=polls)
        if known is not None:
            if transport == "poll" and known.polling and known.has_shown(credential):
                candidate.user_id = known.user_id
                candidate.admissions, candidate.gates = 0, known.gates
                candidate.resumed = True
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

    async def _resume(self, known: Session, hello: HelloOptions, request: Request, transport: str) -> Admitted:
        candidate = await self.check(known, request, hello, transport)
        assert hello.token is not None
        client = await self._speak_for(candidate, hello.attach)
        client.state = next_state(client.state, Event.ATTACH)
        return Admitted(client, hello.token, True)

    async def _new(self, hello: HelloOptions, request: Request, transport: str) -> Admitted:
        """Make a session, or find the one an earlier hello with the same ``new`` has made whose welcome was lost."""
        candidate = await self._candidate(request, hello, transport, None)
        if len(self._sessions) >= self._settings.max_sessions:
            retry = self._settings.retry_seconds
            raise Close(CloseCode.TOO_MANY_SESSIONS, "this server is full", retry_after_seconds=retry)
        secret = self._new_secret()
        candidate.record.secret_hash = secret_hash = hash_secret(secret)
        kept = await self._store.create(candidate.record, self._settings.hello_seconds)
        if kept.user_id != candidate.user_id:
            raise Close(CloseCode.OTHER_USER, "an earlier hello began this session for another user")
        if kept.session_id != candidate.session_id:
            # The token that was lost on the way ends here.
            candidate.record = structs.replace(candidate.record, session_id=kept.session_id)
            candidate.resumed = True
        client = await self._speak_for(candidate, hello.attach, secret_hash)
        if client.state is State.DETACHED:
            client.state = next_state(client.state, Event.ATTACH)
        return Admitted(client, self._tokens.sign(client.session_id, secret), client.resumed)

    async def _speak_for(self, candidate: Session, attach: int, secret_hash: bytes | None = None) -> Session:
        """Have this node speak for a session, as the connect check made it, from now on. Raises Close,
        BrokerUnavailable.
        """
        session_id = candidate.session_id
        try:
            attached = await self._store.attach(session_id, attach, secret_hash, candidate.record.credential)
        except StaleAttach:
            if (word := await self._store.last_word(session_id)) is not None:
                raise Close(*word) from None
            raise Close(CloseCode.STALE_ATTACH, f"attach {attach} is not above the highest known") from None
        # From here on nothing waits until it is attached: hellos must not overtake one another.
        if self._sessions.is_ending(session_id):
            raise Close(CloseCode.SESSION_LOST, "the session has just ended")
        return self._moves.arrived(attached, candidate, attach)

    def _attach(self, client: Session, hello: HelloOptions, transport: str) -> Attachment:
        """Put a new transport in the place of the one there may be."""
        client.settled = True
        confirmed = client.state is not State.UNCONFIRMED
        heartbeat = Heartbeat(self._pulses[transport], self._clock(), confirmed=confirmed)
        client.away_since = None
        attachment = Attachment(
            client.record, transport, hello.attach, heartbeat, self._hub.turn, self._settings.close_seconds
        )
        former, client.attachment = client.attachment, attachment
        if former is not None:
            client.told_at = self._hub.leave_all(former.reader)
            former.close(Close(CloseCode.SUPERSEDED, "a newer transport carries this session"))
        return attachment

    def _unavailable(self) -> Close:
        # The error says more, and names hosts, which are nobody's business; the log has that.
        return Close(
            CloseCode.UNAVAILABLE, "sessions cannot be reached now", retry_after_seconds=self._settings.retry_seconds
        )
