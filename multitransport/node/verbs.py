"""What an application does with rooms and sessions from the server's side."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from multitransport.brokers.base import Member
from multitransport.core.log import Log
from multitransport.core.publication import Draft, Publication
from multitransport.core.state import StateLog
from multitransport.errors import OutcomeUnknown, RequestError, TimedOut
from multitransport.node.attachment import Close
from multitransport.node.dispatch import Dispatch
from multitransport.node.hub import Hub
from multitransport.node.presence import Presence
from multitransport.node.rooms import SESSION_INBOX, USER_INBOX, RoomTable
from multitransport.node.session import Session
from multitransport.node.sessions import Sessions
from multitransport.protocol.codes import CloseCode
from multitransport.protocol.frames import MAX_EVENT_CHARACTERS, encode
from multitransport.protocol.position import Position

__all__ = ["Answers", "RoomPage", "ServerVerbs"]

_APPLICATION_CODES = range(4000, 5000)


class Answers(msgspec.Struct, frozen=True):
    """What came of asking a room, by session id: answers, errors, and who did not answer in time."""

    answers: dict[str, Any]
    errors: dict[str, RequestError]
    missing: list[str]


class Published(msgspec.Struct, frozen=True):
    """One publication of a room, as it was published."""

    offset: int
    event: str
    data: Any


class RoomPage(msgspec.Struct, frozen=True):
    """A room at one moment: for a page that shows it and then joins from this position, so that nothing falls between.

    A state room has its current values by key, and no publications.
    """

    position: Position
    publications: list[Published]
    state: dict[str, Any]


class ServerVerbs:
    """Publishing, asking, moving and reading. Sessions are named by user or by session id."""

    def __init__(
        self,
        *,
        sessions: Sessions,
        hub: Hub,
        rooms: RoomTable,
        dispatch: Dispatch,
        presence: Presence,
        end: Callable[[Session, str, Close], None],
        new_id: Callable[[], str],
    ) -> None:
        self._sessions = sessions
        self._hub = hub
        self._rooms = rooms
        self._dispatch = dispatch
        self._presence = presence
        self._end = end
        self._new_id = new_id
        self._asked: dict[str, tuple[Session, asyncio.Future[Any]]] = {}

    async def publish(self, room: str, draft: Draft, *, volatile: bool) -> Position | None:
        """Publish to a room, or to an inbox of a session or user; a volatile publication has no position.

        Raises Refuse where no such room is declared, RoomFull, BrokerUnavailable; ValueError where the key is missing
        or too much.
        """
        retention = self._rooms.retention(room)
        if (retention.keys > 0) != (draft.key is not None) and not volatile:
            raise ValueError(f"{room!r}: a publication has a key in a state room, and only there")
        if room.startswith((SESSION_INBOX, USER_INBOX)):
            for client in list(self._owners(room)):
                await self._dispatch.take_in(client, room)
        if volatile:
            await self._hub.flash(room, draft)
            return None
        return await self._hub.publish(room, draft, retention)

    async def join(self, room: str, user: str | None, session: str | None) -> None:
        """Join sessions to a room without asking its check. Raises Refuse where no such room is declared."""
        self._rooms.resolve(room)
        for client in self._named(user, session):
            await self._dispatch.take_in(client, room)

    async def leave(self, room: str, user: str | None, session: str | None) -> None:
        """Take sessions out of a room."""
        for client in self._named(user, session):
            await self._dispatch.take_out(client, room)

    async def disconnect(self, user: str | None, session: str | None, code: int, reason: str) -> None:
        """End sessions with an application's close code: 4000-4499 lets the client come back, 4500-4999 is final."""
        if code not in _APPLICATION_CODES and code != CloseCode.ENDED:
            raise ValueError(f"{code} is not a close code of an application: use 4000 to 4999")
        for client in self._named(user, session):
            self._end(client, reason or "disconnected", Close(code, reason))

    async def request(self, client: Session, event: str, data: Any, timeout: float) -> Any:
        """Ask one client. Raises TimedOut, OutcomeUnknown where its session ended, else what the client says."""
        ask = self._new_id()
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._asked[ask] = client, answer
        try:
            async with asyncio.timeout(timeout):
                await self.publish(
                    f"{SESSION_INBOX}{client.session_id}", draft_of(event, data, ask=ask), volatile=False
                )
                return await answer
        except TimeoutError:
            raise TimedOut("timed_out", f"{client.session_id} did not answer within {timeout:g} s") from None
        finally:
            del self._asked[ask]

    async def request_all(self, room: str, event: str, data: Any, timeout: float) -> Answers:
        """Ask everybody who is in a room now, and return what came in time."""
        asked = [client for client in self._sessions.values() if room in client.record.rooms]
        results = await asyncio.gather(
            *(self.request(client, event, data, timeout) for client in asked), return_exceptions=True
        )
        told = Answers({}, {}, [])
        for client, result in zip(asked, results, strict=True):
            if isinstance(result, TimedOut | OutcomeUnknown):
                told.missing.append(client.session_id)
            elif isinstance(result, RequestError):
                told.errors[client.session_id] = result
            elif isinstance(result, BaseException):
                raise result
            else:
                told.answers[client.session_id] = result
        return told

    def answered(self, client: Session, ask: str, answer: Any) -> bool:
        """Take an answer, or a RequestError in place of one; False where nobody asked this client."""
        asked, future = self._asked.get(ask, (None, None))
        if asked is not client or future is None or future.done():
            return False
        if isinstance(answer, RequestError):
            future.set_exception(answer)
        else:
            future.set_result(answer)
        return True

    def gone(self, client: Session) -> None:
        """A session has ended: nobody will answer for it."""
        for asked, answer in self._asked.values():
            if asked is client and not answer.done():
                answer.set_exception(OutcomeUnknown("outcome_unknown", "the session ended"))

    async def change_presence(self, client: Session, room: str, meta: Any) -> None:
        """Change what others see of a session."""
        await self._presence.change(client, room, meta)

    async def members(self, room: str) -> list[Member]:
        """Return who is in a room with presence."""
        return await self._presence.members(room)

    async def read(self, room: str, history: int | None) -> RoomPage:
        """Return a room as it is now. Raises Refuse where no such room is declared, BrokerUnavailable."""
        declared = self._rooms.resolve(room).declaration
        count = declared.history if history is None else min(history, declared.retention.count)
        log, recovery = await self._hub.open(room, declared.retention, None, count)
        if isinstance(log, StateLog):
            return RoomPage(log.position, [], {str(each.draft.key): _data(each.draft) for each in log.values()})
        page = [Published(each.offset, each.draft.event, _data(each.draft)) for each in _after(log, recovery.offset)]
        return RoomPage(log.position, page, {})

    def _owners(self, inbox: str) -> Iterable[Session]:
        if inbox.startswith(USER_INBOX):
            return self._named(inbox.removeprefix(USER_INBOX), None)
        return self._named(None, inbox.removeprefix(SESSION_INBOX))

    def _named(self, user: str | None, session: str | None) -> list[Session]:
        if (user is None) == (session is None):
            raise TypeError("say user= or session=")
        if session is not None:
            client = self._sessions.get(session)
            return [] if client is None else [client]
        assert user is not None
        return self._sessions.of_user(user)


def draft_of(
    event: str,
    data: Any,
    *,
    key: str | None = None,
    deleted: bool = False,
    exclude: str | None = None,
    id: str | None = None,  # noqa: A002
    ask: str | None = None,
) -> Draft:
    """Return a publication of any data: bytes as they are, else what JSON can say.

    Raises TypeError for what it cannot, ValueError for an event that is no name.
    """
    if type(event) is not str or not 0 < len(event) <= MAX_EVENT_CHARACTERS:
        raise ValueError(f"an event is named by 1 to {MAX_EVENT_CHARACTERS} characters, not {event!r}")
    binary = isinstance(data, bytes | bytearray | memoryview)
    encoded = bytes(data) if binary else encode(None if deleted else data)
    return Draft(event, encoded, binary, key=key, deleted=deleted, exclude=exclude, id=id, ask=ask)


def _after(log: Log, offset: int) -> list[Publication]:
    found: list[Publication] = []
    while offset < log.top:
        part = log.slice(offset, 1 << 20)
        found += part.publications
        offset = part.last
    return found


def _data(draft: Draft) -> Any:
    return draft.data if draft.binary else msgspec.json.decode(draft.data)
