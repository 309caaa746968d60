"""What an application does with rooms and sessions, from views, tasks and threads."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Literal, TypedDict, TypeVar, Unpack, overload

from multitransport.core.members import Member
from multitransport.errors import BrokerUnavailable, MultiTransportError
from multitransport.node.asks import Answers
from multitransport.node.declarations import Declarations
from multitransport.node.rooms import SESSION_INBOX, USER_INBOX
from multitransport.node.session import Session
from multitransport.node.verbs import RoomPage, draft_of
from multitransport.protocol.codes import CloseCode
from multitransport.protocol.position import Position
from multitransport.publisher.arguments import Several, rooms_of
from multitransport.quart.serving import Running

__all__ = ["Verbs"]

T = TypeVar("T")


class PublishOptions(TypedDict, total=False):
    """What a publication may be besides its room, event and data; ``publish`` says what each means."""

    key: str | None
    deleted: bool
    exclude: str | Session | None
    id: str | None


class Verbs(Declarations):
    """The verbs of MultiTransport. Each acts on the current application, else on the only one that runs, and raises
    MultiTransportError where none does.
    """

    def _running(self) -> Running:
        raise NotImplementedError

    def user(self, user_id: str) -> str:
        """Return the name of a user's inbox, to publish to: all the sessions that are the user's now.

        Raises TypeError for an id that is no string, ValueError for an empty one; so does all that takes a ``user``.
        """
        return f"{USER_INBOX}{_user_id(user_id)}"

    def session(self, session: str | Session) -> str:
        """Return the name of a session's inbox, to publish to; a session may be named by itself or by its id."""
        return f"{SESSION_INBOX}{_session_id(session)}"

    @overload
    async def publish(
        self,
        room: str,
        event: str,
        data: Any = None,
        *,
        volatile: Literal[False] = False,
        **options: Unpack[PublishOptions],
    ) -> Position: ...

    @overload
    async def publish(
        self, room: str, event: str, data: Any = None, *, volatile: bool, **options: Unpack[PublishOptions]
    ) -> Position | None: ...

    @overload
    async def publish(
        self,
        room: Several,
        event: str,
        data: Any = None,
        *,
        volatile: bool = False,
        **options: Unpack[PublishOptions],
    ) -> list[Position | None]: ...

    async def publish(
        self,
        room: str | Several,
        event: str,
        data: Any = None,
        *,
        volatile: bool = False,
        key: str | None = None,
        deleted: bool = False,
        exclude: str | Session | None = None,
        id: str | None = None,  # noqa: A002
    ) -> Position | list[Position | None] | None:
        """Publish to a room, or to each of several, and return the publication's position, or theirs.

        ``data`` is bytes, or anything JSON can say, which makes base64 of bytes inside and null of nan. In a state room
        ``key`` says which value this is, and ``deleted`` ends it. ``exclude`` is a session that is not sent it.
        ``volatile`` is kept by nobody: it has no position, so that None is returned, and who does not keep up misses
        it. A repeated ``id`` adds nothing and has the position of the first; a room remembers as many ids as
        publications, and as long.

        Raises, having published nothing, Refuse where no such room is declared, TypeError for data JSON cannot say and
        ValueError for a key that is missing or too much. Raises RoomFull or BrokerUnavailable where a room does not
        take it: of several, those before it have.
        """
        one = isinstance(room, str)
        excluded = None if exclude is None else _session_id(exclude)
        draft = draft_of(event, data, key=key, deleted=deleted, exclude=excluded, id=id)
        work = self._running().node.verbs.publish_all(rooms_of(room), draft, volatile=volatile)
        positions = await self._here(work)
        return positions[0] if one else positions

    def publish_from_thread(
        self,
        room: str,
        event: str,
        data: Any = None,
        *,
        timeout_seconds: float = 10.0,
        key: str | None = None,
        deleted: bool = False,
        exclude: str | Session | None = None,
        id: str | None = None,  # noqa: A002
    ) -> Position:
        """Publish from plain code in a thread, and wait for it; the options are those of ``publish``.

        Raises as ``publish`` does; BrokerUnavailable also where it takes too long.
        """
        loop = self._running().loop
        if _current_loop() is loop:
            raise MultiTransportError(
                "publish_from_thread would wait for the very loop it blocks; here it is `await rt.publish(…)`"
            )
        publishing = self.publish(room, event, data, key=key, deleted=deleted, exclude=exclude, id=id)
        publication = asyncio.run_coroutine_threadsafe(publishing, loop)
        try:
            return publication.result(timeout_seconds)
        except TimeoutError:
            publication.cancel()
            raise BrokerUnavailable(f"publishing to {room!r} took longer than {timeout_seconds} seconds") from None

    async def join(self, room: str, *, user: str | None = None, session: str | Session | None = None) -> None:
        """Join a user's sessions, or one session, to a room, without asking its check. Raises Refuse."""
        await self._here(self._running().node.verbs.join(room, *_named(user, session)))

    async def leave(self, room: str, *, user: str | None = None, session: str | Session | None = None) -> None:
        """Take a user's sessions, or one session, out of a room; their clients do not join it again by themselves.

        Raises Refuse where no such room is declared.
        """
        await self._here(self._running().node.verbs.leave(room, *_named(user, session)))

    async def disconnect(
        self,
        *,
        user: str | None = None,
        session: str | Session | None = None,
        code: int = CloseCode.ENDED,
        reason: str = "",
    ) -> None:
        """End a user's sessions, or one session. ``code`` may be an application's: 4000-4499 lets the client come back
        with a new session, 4500-4999 is final, and so is the default. Raises ValueError for another, and for a
        ``reason`` of more than 123 bytes, which is as much as a WebSocket can say.
        """
        await self._here(self._running().node.verbs.disconnect(*_named(user, session), code, reason))

    async def request_all(self, room: str, event: str, data: Any = None, *, timeout: float = 10.0) -> Answers:
        """Ask every session that is in the room now; return the answers that came in time, and who gave none.

        Raises Refuse where no such room is declared, BrokerUnavailable.
        """
        return await self._here(self._running().node.verbs.request_all(room, event, data, timeout))

    async def members(self, room: str) -> list[Member]:
        """Return who is in a room with presence: a user with a meta for each session, or an anonymous session.

        Raises Refuse where no such room is declared, ValueError where it has no presence.
        """
        return await self._here(self._running().node.verbs.members(room))

    async def read(self, room: str, history: int | None = None) -> RoomPage:
        """Return a room as it is now, with its position: a page that shows this and joins from there misses nothing.

        Raises Refuse where no such room is declared.
        """
        return await self._here(self._running().node.verbs.read(room, history))

    async def _here(self, work: Coroutine[Any, Any, T]) -> T:
        """Await it in the loop of the application that runs, whichever loop this is."""
        loop = self._running().loop
        if loop is asyncio.get_running_loop():
            return await work
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))


def _named(user: str | None, session: str | Session | None) -> tuple[str | None, str | None]:
    """Return the ids of those meant, either a user's or a session's. Raises TypeError, ValueError."""
    if (user is None) == (session is None):
        raise TypeError("say either user= or session=")
    return (None, _session_id(session)) if user is None else (_user_id(user), None)


def _user_id(user_id: object) -> str:
    if not isinstance(user_id, str):
        raise TypeError(f"a user id is a string, not {user_id!r}; say str(…)")
    if not user_id:
        raise ValueError("a user id is not empty")
    return user_id


def _session_id(session: object) -> str:
    session_id = session.session_id if isinstance(session, Session) else session
    if not isinstance(session_id, str):
        raise TypeError(f"a session is a Session or its id, a string, not {session_id!r}")
    if not session_id:
        raise ValueError("a session id is not empty")
    return session_id


def _current_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
