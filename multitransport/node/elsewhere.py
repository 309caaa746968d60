"""What is done for sessions, whichever node speaks for them."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from multitransport.brokers.base import NodeUnreachable, SessionStore
from multitransport.core.publication import Draft
from multitransport.errors import BrokerUnavailable, Refuse, RequestError, request_error
from multitransport.node.asks import Answers
from multitransport.node.moves import Moves
from multitransport.node.peers import Peers
from multitransport.node.sessions import Sessions
from multitransport.node.settings import Settings
from multitransport.protocol.codes import ErrorCode

__all__ = ["Elsewhere", "packed_answers", "unpacked_outcome"]

logger = logging.getLogger("multitransport")

_ASK_SECONDS = 3.0
"""How long another node may take to do something for a session before this one takes the session from it."""

_ATTEMPTS = 5
"""A session that moves while it is looked for is looked for again so often."""

_OPENED = 10_000
"""Sessions elsewhere of which is remembered that they read their inbox."""

_MOVED = "moved"


class Elsewhere:
    """Does things for sessions here, on the node that speaks for them, or, where that is gone, in its place."""

    def __init__(
        self, *, settings: Settings, store: SessionStore, sessions: Sessions, moves: Moves, peers: Peers
    ) -> None:
        self.peers = peers
        self._settings = settings
        self._store = store
        self._sessions = sessions
        self._moves = moves
        self._verbs: dict[str, Callable[..., Awaitable[None]]] = {}
        self._opened: dict[tuple[str, str], str] = {}
        peers.serve(verb=self._do_here)

    def serve(self, **verbs: Callable[..., Awaitable[None]]) -> None:
        """Name what can be done for a session of this node, which is the first argument."""
        self._verbs.update(verbs)

    async def named(self, user: str | None, session: str | None) -> list[str]:
        """Return the ids of the sessions meant. Raises TypeError, BrokerUnavailable."""
        if (user is None) == (session is None):
            raise TypeError("say either user= or session=")
        if session is not None:
            return [session]
        assert user is not None
        if self.peers:
            return await self._store.of_user(user)
        return [client.session_id for client in self._sessions.of_user(user)]

    async def do(self, verb: str, session_id: str, *arguments: Any) -> str | None:
        """Do something for a session, and return which node has; None where it is gone. Raises Refuse,
        BrokerUnavailable.
        """
        unreachable: set[str] = set()
        for _ in range(_ATTEMPTS):
            if (client := self._sessions.get(session_id)) is not None:
                await self._verbs[verb](client, *arguments)
                if self._moves.is_mine(client):
                    return self._store.node
                continue
            node = await self._store.owner(session_id) if self.peers else None
            if node is None or self._sessions.is_ending(session_id):
                return None
            if node == self._store.node:
                if await self._moves.found(session_id) is None:
                    return None
                continue
            try:
                told = await self.peers.ask(node, "verb", verb, session_id, *arguments, seconds=_ASK_SECONDS)
            except NodeUnreachable:
                if node not in unreachable and node in await self._store.nodes():
                    unreachable.add(node)  # it may have missed one message
                    continue
                record = await self._store.take(session_id, node, self._settings.resume_seconds)
                if record is not None:
                    await self._moves.taken(record, node)
                continue
            if told is None:
                return node
            if told != _MOVED:
                raise Refuse(*told)
        raise BrokerUnavailable(f"the session {session_id} moves from node to node")

    async def open_inbox(self, session_id: str, inbox: str) -> str | None:
        """Have a session read an inbox that is to be published to; return the node that spoke for it lately, None where
        the session is gone. Raises BrokerUnavailable.
        """
        if session_id not in self._sessions and (node := self._opened.get((session_id, inbox))) is not None:
            return node
        try:
            node = await self.do("take_in", session_id, inbox)
        except Refuse as refuse:
            raise BrokerUnavailable(refuse.message) from None
        if node is not None and node != self._store.node:
            self._opened[session_id, inbox] = node
            while len(self._opened) > _OPENED:
                del self._opened[next(iter(self._opened))]
        return node

    async def follow(self, session_id: str, told: str, inbox: str) -> bool:
        """See that the node which speaks for a session hears of what was published to another that did; False where the
        session is gone.
        """
        if not self.peers or (told == self._store.node and session_id in self._sessions):
            return True
        node = await self._store.owner(session_id)
        if node != told:
            self._opened.pop((session_id, inbox), None)
            if node is not None:
                await self.peers.tell(node, "look", inbox)
        return node is not None

    async def other_nodes(self) -> list[str]:
        """Return the nodes that live, but for this one. Raises BrokerUnavailable."""
        return [node for node in await self._store.nodes() if node != self._store.node] if self.peers else []

    async def request_all(self, node: str, room: str, draft: Draft, timeout: float) -> Answers:
        """Have another node ask its sessions in a room; where it is gone there is nobody to answer."""
        question = (room, draft.event, draft.data, draft.binary, timeout)
        try:
            answers, errors, missing = await self.peers.ask(
                node, "request_all", *question, seconds=timeout + _ASK_SECONDS
            )
        except NodeUnreachable:
            return Answers({}, {}, [])
        return Answers(answers, {each: request_error(*error) for each, error in errors.items()}, missing)

    def new_ask_id(self) -> str:
        """Return the id of a question, by which any node knows which one asks."""
        return f"{secrets.token_urlsafe(12)}@{self._store.node}"

    def node_of_ask(self, ask: str) -> str | None:
        """Return the other node that asks this; None where it is this one."""
        node = ask.partition("@")[2]
        return None if node in ("", self._store.node) else node

    async def answered(self, node: str, session_id: str, ask: str, outcome: Any) -> bool:
        """Give an answer to the node that asks; False where nobody does."""
        packed = ["error", outcome.code, outcome.message] if isinstance(outcome, RequestError) else ["ok", outcome]
        try:
            return bool(await self.peers.ask(node, "answer", session_id, ask, packed, seconds=_ASK_SECONDS))
        except NodeUnreachable:
            return False

    async def _do_here(self, verb: str, session_id: str, *arguments: Any) -> Any:
        client = self._sessions.get(session_id) or await self._moves.found(session_id)
        if client is None:
            return _MOVED
        try:
            await self._verbs[verb](client, *arguments)
        except Refuse as refuse:
            return [refuse.code, refuse.message]
        except Exception:
            logger.exception("%r failed for %s", verb, session_id)
            return [ErrorCode.FAILED, f"{verb!r} failed on the node of the session"]
        return None if self._moves.is_mine(client) else _MOVED


def packed_answers(told: Answers) -> list[Any]:
    """Return answers as a message carries them."""
    return [told.answers, {each: [error.code, error.message] for each, error in told.errors.items()}, told.missing]


def unpacked_outcome(outcome: list[Any]) -> Any:
    """Return an answer, or the RequestError in place of one."""
    kind, *rest = outcome
    return request_error(*rest) if kind == "error" else rest[0]
