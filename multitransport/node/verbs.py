"""What an application does with rooms and sessions from the server's side."""

from __future__ import annotations

import asyncio
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
from multitransport.node.elsewhere import Elsewhere, packed_answers, unpacked_outcome
from multitransport.node.hub import Hub
from multitransport.node.presence import Presence
from multitransport.node.rooms import SESSION_INBOX, USER_INBOX, RoomTable
from multitransport.node.session import Session
from multitransport.node.sessions import Sessions
from multitransport.protocol.codes import CloseCode
from multitransport.protocol.frames import MAX_EVENT_CHARACTERS, encode
from multitransport.protocol.position import Position

__all__ = ["APPLICATION_CODES", "Published", "RoomPage", "ServerVerbs"]

APPLICATION_CODES = (*range(4000, 5000), CloseCode.ENDED)

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
        elsewhere: Elsewhere,
        end: Callable[[Session, str, Close], None],
        max_asks: int,
    ) -> None:
        self._sessions = sessions
        self._hub = hub
        self._rooms = rooms
        self._dispatch = dispatch
        self._presence = presence
        self._elsewhere = elsewhere
        self._end = end
        self.asks = Asks(sessions, self._ask, elsewhere.new_ask_id, max_asks)
        elsewhere.serve(
            take_in=dispatch.take_in,
            take_out=dispatch.take_out,
            end=self._end_here,
            show=presence.change,
        )
        elsewhere.peers.serve(answer=self._answer_here, request_all=self._request_all_here, look=hub.look)

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
        if room.startswith(SESSION_INBOX):
            return await self._publish_to_session(room, draft, retention, volatile=volatile)
        owned = not room.startswith(USER_INBOX) or await self._open_inbox_of_user(room)
        if volatile:
            await self._hub.flash(room, draft)
            return None
        position = await self._hub.publish(room, draft, retention)
        if not owned:
            await self._hub.forget(room)  # whoever comes later begins with what comes later
        return position

    async def _publish_to_session(
        self, inbox: str, draft: Draft, retention: Retention, *, volatile: bool
    ) -> Position | None:
        session_id = inbox.removeprefix(SESSION_INBOX)
        node = await self._elsewhere.open_inbox(session_id, inbox)
        if volatile:
            await self._hub.flash(inbox, draft, node)
            return None
        position = await self._hub.publish(inbox, draft, retention, node)
        if node is None or not await self._elsewhere.follow(session_id, node, inbox):
            await self._hub.forget(inbox)
        return position

    async def _open_inbox_of_user(self, inbox: str) -> bool:
        """Have a user's sessions read their inbox; False where there are none."""
        owners = await self._elsewhere.named(inbox.removeprefix(USER_INBOX), None)
        return any([await self._elsewhere.open_inbox(each, inbox) is not None for each in owners])

    async def join(self, room: str, user: str | None, session: str | None) -> None:
        """Join sessions to a room without asking its check. Raises Refuse where no such room is declared, and after the
        others are joined, where one has no place for it; BrokerUnavailable.
        """
        self._rooms.resolve(room)
        await self._do("take_in", user, session, room)

    async def leave(self, room: str, user: str | None, session: str | None) -> None:
        """Take sessions out of a room. Raises Refuse where no such room is declared; BrokerUnavailable."""
        self._rooms.resolve(room)
        await self._do("take_out", user, session, room)

    async def disconnect(self, user: str | None, session: str | None, code: int, reason: str) -> None:
        """End sessions with an application's close code: 4000-4499 lets the client come back, 4500-4999 is final.

        Raises BrokerUnavailable.
        """
        if code not in APPLICATION_CODES:
            raise ValueError(f"{code!r} is not a close code of an application: use 4000 to 4999")
        if len(reason.encode()) > MAX_REASON_BYTES:
            raise ValueError(f"a reason is at most {MAX_REASON_BYTES} bytes, not {reprlib.repr(reason)}")
        await self._do("end", user, session, int(code), reason)

    async def _do(self, verb: str, user: str | None, session: str | None, *arguments: Any) -> None:
        """Do something for each of the sessions meant, then raise what one of them raised."""
        failure: Refuse | BrokerUnavailable | None = None
        for session_id in await self._elsewhere.named(user, session):
            try:
                await self._elsewhere.do(verb, session_id, *arguments)
            except (Refuse, BrokerUnavailable) as error:
                failure = error
        if failure is not None:
            raise failure

    async def _end_here(self, client: Session, code: int, reason: str) -> None:
        self._end(client, reason or "disconnected", Close(code, reason))

    async def request(self, client: Session, event: str, data: Any, timeout: float) -> Any:
        """Ask one client; see Asks."""
        return await self.asks.request(client, draft_of(event, data), timeout)

    async def request_all(self, room: str, event: str, data: Any, timeout: float) -> Answers:
        """Ask everybody who is in a room now; see Asks. Raises Refuse where no such room is declared;
        BrokerUnavailable.
        """
        self._rooms.resolve(room)
        draft = draft_of(event, data)
        here = self._request_all(room, draft, timeout)
        others = [
            self._elsewhere.request_all(node, room, draft, timeout) for node in await self._elsewhere.other_nodes()
        ]
        if not others:
            return await here
        told = Answers({}, {}, [])
        for part in await asyncio.gather(here, *others):
            told.answers.update(part.answers)
            told.errors.update(part.errors)
            told.missing.extend(part.missing)
        return told

    async def _request_all(self, room: str, draft: Draft, timeout: float) -> Answers:
        asked = [client for client in self._sessions.values() if room in client.record.rooms]
        return await self.asks.request_all(asked, draft, timeout)

    async def _request_all_here(self, room: str, event: str, data: bytes, binary: bool, timeout: float) -> list[Any]:
        return packed_answers(await self._request_all(room, Draft(event, data, binary), timeout))

    def is_asked_here(self, ask: str) -> bool:
        """Tell whether it is this node that asks."""
        return self._elsewhere.node_of_ask(ask) is None

    async def answered(self, client: Session, ask: str, outcome: Any) -> bool:
        """Take an answer of a session, or a RequestError in place of one; False where nobody asks it."""
        node = self._elsewhere.node_of_ask(ask)
        if node is not None:
            return await self._elsewhere.answered(node, client.session_id, ask, outcome)
        return self.asks.answered(client.session_id, ask, outcome)

    async def _answer_here(self, session_id: str, ask: str, outcome: list[Any]) -> bool:
        return self.asks.answered(session_id, ask, unpacked_outcome(outcome))

    async def _ask(self, inbox: str, draft: Draft) -> None:
        await self.publish(inbox, draft, volatile=False)

    async def change_presence(self, client: Session, room: str, meta: Any) -> None:
        """Change what others see of a session."""
        if client.moved:
            await self._elsewhere.do("show", client.session_id, room, meta)
        else:
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
