"""Requests by the server: questions in sessions' inboxes, and who waits for the answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, NamedTuple

import msgspec
from msgspec import structs

from multitransport.core.publication import Draft
from multitransport.errors import BrokerUnavailable, Failed, OutcomeUnknown, Refused, RequestError, TimedOut
from multitransport.node.rooms import SESSION_INBOX
from multitransport.node.session import Session
from multitransport.node.sessions import Sessions
from multitransport.protocol.codes import ErrorCode

__all__ = ["Answers", "Asks"]

_ASKED_AT_ONCE = 100
"""So many sessions of a room are asked before others have their turn."""


class Answers(msgspec.Struct, frozen=True):
    """What came of asking a room, by session id: answers, errors, and who did not answer in time."""

    answers: dict[str, Any]
    errors: dict[str, RequestError]
    missing: list[str]


class Ask(NamedTuple):
    """One question to one session; ``outcome`` will be the answer, or the RequestError in place of one."""

    id: str
    outcome: asyncio.Future[Any]


class Asks:
    """Asks sessions, and keeps what is asked until the answer, the end of the time or of the session.

    ``publish(room, draft)`` puts a question into an inbox, ``new_id`` makes its id.
    """

    def __init__(
        self,
        sessions: Sessions,
        publish: Callable[[str, Draft], Coroutine[Any, Any, object]],
        new_id: Callable[[], str],
        most: int,
    ) -> None:
        self._sessions = sessions
        self._publish = publish
        self._new_id = new_id
        self._most = most
        self._pending: dict[str, dict[str, asyncio.Future[Any]]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._pending.values()))

    async def request(self, client: Session, draft: Draft, timeout: float) -> Any:
        """Ask one client. Raises TimedOut, OutcomeUnknown where its session has ended, Refused ``too_many_asks``, else
        what the client says; BrokerUnavailable.
        """
        with self._asked(client) as ask:
            try:
                async with asyncio.timeout(timeout):
                    await self._put(client, draft, ask)
                    outcome = await ask.outcome
            except TimeoutError:
                raise TimedOut("timed_out", f"{client.session_id} did not answer within {timeout:g} s") from None
        if isinstance(outcome, RequestError):
            raise outcome
        return outcome

    async def request_all(self, clients: Sequence[Session], draft: Draft, timeout: float) -> Answers:
        """Ask several clients, and return what came in time; a question that could not be put is Failed."""
        told = Answers({}, {}, [])
        waiting: dict[str, asyncio.Future[Any]] = {}
        with ExitStack() as stack:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    for count, client in enumerate(clients, 1):
                        try:
                            ask = stack.enter_context(self._asked(client))
                            await self._put(client, draft, ask)
                        except Refused as error:
                            told.errors[client.session_id] = error
                        except BrokerUnavailable as error:
                            told.errors[client.session_id] = Failed(ErrorCode.FAILED, str(error))
                        except OutcomeUnknown:
                            pass
                        else:
                            waiting[client.session_id] = ask.outcome
                        if count % _ASKED_AT_ONCE == 0:
                            await asyncio.sleep(0)
                    if waiting:
                        await asyncio.wait(waiting.values())
            for session_id, future in waiting.items():
                _tell(told, session_id, future)
        told.missing.extend(
            each.session_id for each in clients if each.session_id not in {**told.answers, **told.errors}
        )
        return told

    def answered(self, session_id: str, ask: str, outcome: Any) -> bool:
        """Take an answer, or a RequestError in place of one; False where nobody asks this session."""
        future = self._pending.get(session_id, {}).get(ask)
        if future is None or future.done():
            return False
        future.set_result(outcome)
        return True

    def gone(self, client: Session) -> None:
        """A session has ended: nobody will answer for it."""
        self._give_up(client.session_id)

    async def look(self, owner: Callable[[str], Awaitable[str | None]]) -> None:
        """Give up what was asked of sessions that went to other nodes and ended there, ``owner`` says of which."""
        for session_id in [each for each in self._pending if each not in self._sessions]:
            if await owner(session_id) is None:
                self._give_up(session_id)

    def _give_up(self, session_id: str) -> None:
        for future in self._pending.get(session_id, {}).values():
            if not future.done():
                future.set_result(OutcomeUnknown("outcome_unknown", "the session has ended"))

    @contextmanager
    def _asked(self, client: Session) -> Iterator[Ask]:
        session_id = client.session_id
        if self._sessions.get(session_id) is not client and not client.moved:
            raise OutcomeUnknown("outcome_unknown", f"there is no session {session_id} (any more)")
        pending = self._pending.setdefault(session_id, {})
        if len(pending) >= self._most:
            raise Refused("too_many_asks", f"{session_id} has {self._most} questions to answer already")
        ask = Ask(self._new_id(), asyncio.get_running_loop().create_future())
        pending[ask.id] = ask.outcome
        try:
            yield ask
        finally:
            del pending[ask.id]
            if not pending:
                del self._pending[session_id]

    async def _put(self, client: Session, draft: Draft, ask: Ask) -> None:
        await self._publish(f"{SESSION_INBOX}{client.session_id}", structs.replace(draft, ask=ask.id))


def _tell(told: Answers, session_id: str, future: asyncio.Future[Any]) -> None:
    if future.done():
        outcome = future.result()
        if not isinstance(outcome, RequestError):
            told.answers[session_id] = outcome
        elif not isinstance(outcome, OutcomeUnknown):
            told.errors[session_id] = outcome
