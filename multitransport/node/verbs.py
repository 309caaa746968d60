"""What an application does with rooms and sessions from the server's side."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from multitransport.core.log import Log, Retention
from multitransport.core.members import Member
from multitransport.core.publication import Draft, Publication
from multitransport.core.state import StateLog
from multitransport.errors import BrokerUnavailable, Refuse
from multitransport.node.asks import Answers, Asks
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

__all__ = ["Published", "RoomPage", "ServerVerbs"]

_APPLICATION_CODES = range(4000, 5000)

MAX_REASON_BYTES = 123
"""What a WebSocket's close frame holds."""


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
        max_asks: int,
    ) -> None:
        self._sessions = sessions
        self._hub = hub
        self._rooms = rooms
        self._dispatch = dispatch
        self._presence = presence
        self._end = end
        self.asks = Asks(sessions, self._ask, max_asks)

    async def publish(self, room: str, draft: Draft, *, volatile: bool) -> Position | None:
        """Publish to one room, as ``publish_all`` does."""
        [position] = await self.publish_all([room], draft, volatile=volatile)
        return position

    async def publish_all(self, rooms: Sequence[str], draft: Draft, *, volatile: bool) -> list[Position | None]:
        """Publish to rooms, or to inboxes of sessions or users; a volatile publication has no position.

        Raises, having published nothing, Refuse where no such room is declared and ValueError where the key is missing
        or too much; RoomFull, BrokerUnavailable.
        """
        retentions = [self._retention(room, draft, volatile=volatile) for room in rooms]
        return [
            await self._publish(room, draft, retention, volatile=volatile)
            for room, retention in zip(rooms, retentions, strict=True)
        ]

    def _retention(self, room: str, draft: Draft, *, volatile: bool) -> Retention:
        inbox = room.startswith((SESSION_INBOX, USER_INBOX))
        retention = self._rooms.retention(room) if inbox else self._rooms.resolve(room).declaration.retention
        if (retention.keys > 0) != (draft.key is not None) and not volatile:
            raise ValueError(f"{room!r}: a publication has a key in a state room, and only there")
        return retention

    async def _publish(self, room: str, draft: Draft, retention: Retention, *, volatile: bool) -> Position | None:
        inbox = room.startswith((SESSION_INBOX, USER_INBOX))
        if inbox:
            await self._open_inbox(room)
        if volatile:
            await self._hub.flash(room, draft)
            return None
        position = await self._hub.publish(room, draft, retention)
        if inbox and not self._owners(room):
            await self._hub.forget(room)  # whoever comes later begins with what comes later
        return position

    async def _open_inbox(self, inbox: str) -> None:
        for client in self._owners(inbox):
            try:
                await self._dispatch.take_in(client, inbox)
            except Refuse as refuse:
                raise BrokerUnavailable(refuse.message) from None

    async def join(self, room: str, user: str | None, session: str | None) -> None:
        """Join sessions to a room without asking its check. Raises Refuse where no such room is declared, and after the
        others are joined, where one has no place for it.
        """
        self._rooms.resolve(room)
        refused: Refuse | None = None
        for client in self._named(user, session):
            try:
                await self._dispatch.take_in(client, room)
            except Refuse as refuse:
                refused = refuse
        if refused is not None:
            raise refused

    async def leave(self, room: str, user: str | None, session: str | None) -> None:
        """Take sessions out of a room. Raises Refuse where no such room is declared."""
        self._rooms.resolve(room)
        for client in self._named(user, session):
            await self._dispatch.take_out(client, room)

    async def disconnect(self, user: str | None, session: str | None, code: int, reason: str) -> None:
        """End sessions with an application's close code: 4000-4499 lets the client come back, 4500-4999 is final."""
        if code not in _APPLICATION_CODES and code != CloseCode.ENDED:
            raise ValueError(f"{code!r} is not a close code of an application: use 4000 to 4999")
        if len(reason.encode()) > MAX_REASON_BYTES:
            raise ValueError(f"a reason is at most {MAX_REASON_BYTES} bytes, not {reprlib.repr(reason)}")
        for client in self._named(user, session):
            self._end(client, reason or "disconnected", Close(code, reason))

    async def request(self, client: Session, event: str, data: Any, timeout: float) -> Any:
        """Ask one client; see Asks."""
        return await self.asks.request(client, draft_of(event, data), timeout)

    async def request_all(self, room: str, event: str, data: Any, timeout: float) -> Answers:
        """Ask everybody who is in a room now; see Asks. Raises Refuse where no such room is declared."""
        self._rooms.resolve(room)
        asked = [client for client in self._sessions.values() if room in client.record.rooms]
        return await self.asks.request_all(asked, draft_of(event, data), timeout)

    async def _ask(self, inbox: str, draft: Draft) -> None:
        await self.publish(inbox, draft, volatile=False)

    async def change_presence(self, client: Session, room: str, meta: Any) -> None:
        """Change what others see of a session."""
        await self._presence.change(client, room, meta)

    async def members(self, room: str) -> list[Member]:
        """Return who is in a room with presence; see Presence."""
        return await self._presence.members(room)

    async def read(self, room: str, history: int | None) -> RoomPage:
        """Return a room as it is now. Raises Refuse where no such room is declared, BrokerUnavailable."""
        declared = self._rooms.resolve(room).declaration
        count = declared.history if history is None else max(0, min(history, declared.retention.count))
        log, recovery = await self._hub.open(room, declared.retention, None, count)
        if isinstance(log, StateLog):
            return RoomPage(log.position, [], {str(each.draft.key): _data(each.draft) for each in log.values()})
        page = [Published(each.offset, each.draft.event, _data(each.draft)) for each in _after(log, recovery.offset)]
        return RoomPage(log.position, page, {})

    def _owners(self, inbox: str) -> list[Session]:
        if inbox.startswith(USER_INBOX):
            return self._named(inbox.removeprefix(USER_INBOX), None)
        return self._named(None, inbox.removeprefix(SESSION_INBOX))

    def _named(self, user: str | None, session: str | None) -> list[Session]:
        if (user is None) == (session is None):
            raise TypeError("say either user= or session=")
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
) -> Draft:
    """Return a publication of any data: bytes as they are, else what JSON can say.

    Raises TypeError for what it cannot; ValueError for an event, key or id that is no name, and for a deletion without
    a key.
    """
    for name, value in (("event", event), ("key", key), ("id", id)):
        given = value is not None or name == "event"
        if given and not (isinstance(value, str) and 0 < len(value) <= MAX_EVENT_CHARACTERS):
            raise ValueError(f"{name} is 1 to {MAX_EVENT_CHARACTERS} characters, not {reprlib.repr(value)}")
    if deleted and key is None:
        raise ValueError("what is deleted is a key: say key=")
    binary = isinstance(data, bytes | bytearray | memoryview) and not deleted
    encoded = bytes(data) if binary else encode(None if deleted else data)
    return Draft(event, encoded, binary, key=key, deleted=deleted, exclude=exclude, id=id)


def _after(log: Log, offset: int) -> list[Publication]:
    found: list[Publication] = []
    while offset < log.top:
        part = log.slice(offset, 1 << 20)
        found += part.publications
        offset = part.last
    return found


def _data(draft: Draft) -> Any:
    return draft.data if draft.binary else msgspec.json.decode(draft.data)
