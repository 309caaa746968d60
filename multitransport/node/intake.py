"""What clients send: messages taken, each frame claimed once and given to what carries it out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from multitransport.brokers.base import NodeUnreachable, SessionStore, StaleAttach
from multitransport.core.inbox import BrokenSequence
from multitransport.core.session import Event, State, next_state
from multitransport.errors import Refuse, request_error
from multitransport.node.admission import Admission
from multitransport.node.attachment import Close
from multitransport.node.checks import Checks
from multitransport.node.dispatch import Dispatch
from multitransport.node.moves import Moves
from multitransport.node.payload import read_data
from multitransport.node.peers import Peers
from multitransport.node.presence import Presence
from multitransport.node.request import Request
from multitransport.node.session import Session
from multitransport.node.sessions import Sessions
from multitransport.node.settings import Settings
from multitransport.node.verbs import ServerVerbs
from multitransport.protocol.binary import text
from multitransport.protocol.codec import Malformed, decode_message
from multitransport.protocol.codes import CloseCode, ErrorCode
from multitransport.protocol.frames import (
    Ack,
    Answer,
    AnswerError,
    Bye,
    ClientFrame,
    Hello,
    HelloOptions,
    Ping,
    encode,
)

__all__ = ["Intake"]

_ANSWERS = (Answer, AnswerError)

_FORWARD_SECONDS = 5.0
"""How long another node may take to claim what was sent; its handlers may take longer."""


class Intake:
    """Takes the messages of all sessions. ``own`` runs what ends with the node."""

    def __init__(
        self,
        *,
        settings: Settings,
        store: SessionStore,
        admission: Admission,
        checks: Checks,
        dispatch: Dispatch,
        presence: Presence,
        verbs: ServerVerbs,
        sessions: Sessions,
        moves: Moves,
        peers: Peers,
        own: Callable[[Coroutine[Any, Any, None]], asyncio.Future[None]],
    ) -> None:
        self._settings = settings
        self._store = store
        self._admission = admission
        self._checks = checks
        self._dispatch = dispatch
        self._presence = presence
        self._verbs = verbs
        self._sessions = sessions
        self._moves = moves
        self._peers = peers
        self._own = own
        dispatch.take_answer = self._take_answer
        peers.serve(send=self._take_forwarded)

    def receive(
        self, client: Session, attach: int, frames: list[ClientFrame | Malformed], *, alive: bool
    ) -> Awaitable[None]:
        """Take the frames of one message; ``alive``: the client had its welcome when it wrote them. Raises Close,
        having taken none.
        """
        taking = self._receive(client, attach, frames, alive=alive)
        if not self._peers:
            return taking
        # Where the store is elsewhere, what was claimed is carried out also if the transport ends meanwhile.
        return asyncio.shield(client.note_taking(self._own(taking)))

    async def _receive(
        self, client: Session, attach: int, frames: list[ClientFrame | Malformed], *, alive: bool
    ) -> None:
        repeats = self._dispatch.repeats
        reclaimed = await repeats.reclaim(client, frames)
        try:
            before = await self._claim(client, attach, frames)
        except Close:
            await repeats.give_back(client, reclaimed)
            raise
        # From the claim on nothing here waits until all are submitted, so that messages cannot overtake one another.
        if alive:
            self._heard(client)
        answers: list[Answer | AnswerError] = []
        for frame in frames:
            seq: int | None = getattr(frame, "seq", None)
            if seq is None:
                self._take(client, frame)
            elif seq <= before:
                if not repeats.take(client, frame, seq, reclaimed.pop(seq, None)) and client.attachment is not None:
                    client.attachment.repeat(seq)
            else:
                before = seq  # one message may hold its own repeats
                if self._peers:
                    client.in_hand |= {seq}
                if isinstance(frame, _ANSWERS):
                    answers.append(frame)
                else:
                    self._dispatch.submit(client, frame)
        for answer in answers:
            if self._verbs.is_asked_here(answer.id):
                await self._take_answer(client, answer)
            else:
                client.run_beside(self._take_answer(client, answer))

    async def _take_answer(self, client: Session, answer: Answer | AnswerError) -> None:
        outcome = await self._answer(client, answer)
        if not await self._dispatch.conclude(client, answer.seq, outcome):
            return
        if client.attachment is not None:
            if outcome is not None:
                client.attachment.put(answer.seq, outcome)
            client.attachment.acknowledge()

    async def _claim(self, client: Session, attach: int, frames: list[ClientFrame | Malformed]) -> int:
        """Take the acks and claim the seqs of a message, and return up to where they are repeats. Raises Close."""
        acks: list[Ack] = []
        seqs: list[int] = []
        beside: list[int] = []
        for frame in frames:
            if (numbered := getattr(frame, "seq", None)) is not None:
                seqs.append(numbered)
                if self._checks.runs_beside(frame):
                    beside.append(numbered)
            elif isinstance(frame, Ack):
                acks.append(frame)
            elif _is_hello(frame):
                raise Close(CloseCode.BAD_PROTOCOL, "hello a second time")
        for ack in acks:
            await self._store.acknowledge(client.session_id, ack.through)
        if not seqs:
            return 0
        try:
            return await self._store.claim(client.session_id, attach, seqs, self._settings.window, beside)
        except StaleAttach:
            self._moves.is_mine(client)  # else the word of that has been lost, or is to come
            raise Close(CloseCode.STALE_ATTACH, "a newer transport carries this session") from None
        except BrokenSequence as error:
            raise Close(CloseCode.BAD_PROTOCOL, str(error)) from None

    def _take(self, client: Session, frame: ClientFrame | Malformed) -> None:
        """Take a frame without a seq, which waits for nothing; ``bye`` waits for the frames before it."""
        match frame:
            case Ping():
                if client.attachment is not None:
                    client.attachment.put("@pong", encode(("pong", frame.t)))
            case Malformed():
                if client.attachment is not None:
                    client.attachment.put(f"@{frame.code}", encode(("error", None, frame.code, frame.message)))
            case Bye():
                self._dispatch.submit(client, frame)

    async def send(
        self, hello: HelloOptions, frames: list[ClientFrame | Malformed], request: Request, body: bytes
    ) -> bytes:
        """Take what a client sends beside its stream or polls, and return the answer: ``body`` is hello and frames as
        they came, for the node that speaks for the session. Raises Close.
        """
        client = await self._admission.find(hello, request)
        if (
            client is not None
            and hello.attach > client.record.attach
            and client.session_id in self._sessions
            and not await self._moves.is_still_mine(client)
        ):  # it has just gone to another node, of which this one was to hear yet
            client = await self._admission.find(hello, request)
        if client is None:
            raise Close(CloseCode.SESSION_LOST, "there is no such session here")
        if hello.attach != client.record.attach:
            raise Close(CloseCode.STALE_ATTACH, "this is not the newest transport of the session")
        seen = client.record.credential
        if not client.has_shown(request.credential()):
            seen = (await self._admission.check(client, request, hello, None)).record.credential
        if self._sessions.get(client.session_id) is client:
            return await self._take_sent(client, hello, frames, seen)
        return await self._forward(client.record.node, client.session_id, body, seen)

    async def _take_sent(
        self, client: Session, hello: HelloOptions, frames: list[ClientFrame | Malformed], credential: bytes
    ) -> bytes:
        client.record.credential = credential
        await self._store.acknowledge(client.session_id, hello.acked)
        await self.receive(client, hello.attach, frames, alive=True)
        # Let handlers that wait for nothing finish, so that this answer brings their outcome.
        await asyncio.sleep(0)
        inbox = client.record.inbox
        outcomes, through = inbox.kept(hello.had)
        return b"\n".join([*map(text, outcomes.values()), encode(("ack", through))])

    async def _forward(self, node: str, session_id: str, body: bytes, credential: bytes) -> bytes:
        """Have the node that speaks for a session take what was sent. Raises Close."""
        try:
            told = await self._peers.ask(node, "send", session_id, body, credential, seconds=_FORWARD_SECONDS)
        except NodeUnreachable:  # what it says names hosts, which are nobody's business
            retry = self._settings.retry_seconds
            raise Close(CloseCode.UNAVAILABLE, "this session is moving", retry_after_seconds=retry) from None
        if isinstance(told, bytes):
            return told
        code, reason, retry_after_seconds = told
        raise Close(CloseCode(code), reason, retry_after_seconds=retry_after_seconds)  # type: ignore[call-arg]

    async def _take_forwarded(self, session_id: str, body: bytes, credential: bytes) -> bytes | list[Any]:
        try:
            client = self._sessions.get(session_id)
            if client is None:
                raise Close(CloseCode.UNAVAILABLE, "this session is moving", retry_after_seconds=0.1)
            hello, *frames = decode_message(body)
            assert isinstance(hello, Hello)
            return await self._take_sent(client, hello.options, frames, credential)
        except Close as close:
            return [int(close.code), close.reason, close.retry_after_seconds]

    def _heard(self, client: Session) -> None:
        if client.attachment is not None:
            client.attachment.heartbeat.heard()
        if client.state is State.UNCONFIRMED:
            client.state = next_state(client.state, Event.SIGN_OF_LIFE)
            self._own(self._presence.refresh(client))

    async def _answer(self, client: Session, frame: Answer | AnswerError) -> bytes | None:
        """Take an answer at once, whose outcome this is: a handler that waits for it may be what keeps the frames
        before it waiting.
        """
        try:
            answer: Any
            if isinstance(frame, AnswerError):
                answer = request_error(frame.code, frame.message)
            else:
                answer = read_data(frame.data)
            if not await self._verbs.answered(client, frame.id, answer):
                raise Refuse(ErrorCode.UNKNOWN_ASK, "nothing with this id is asked of this session")
        except Refuse as refuse:
            return encode(("error", frame.seq, refuse.code, refuse.message))
        return None


def _is_hello(frame: ClientFrame | Malformed) -> bool:
    return isinstance(frame, Hello) or (isinstance(frame, Malformed) and frame.kind == "hello")
