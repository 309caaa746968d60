"""Publisher: for programs with an event loop of their own."""

from __future__ import annotations

import asyncio
from importlib.util import find_spec
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypedDict, Unpack, overload

from multitransport.brokers.url import MEMORY, check_broker, named
from multitransport.core.log import Retention
from multitransport.core.publication import Draft
from multitransport.errors import BrokerUnavailable, ConfigurationError, MultiTransportError
from multitransport.node.verbs import draft_of
from multitransport.protocol.position import Position
from multitransport.publisher.arguments import Several, rooms_of

if TYPE_CHECKING:
    from multitransport.brokers.redis.rooms.sender import Sender
    from multitransport.publisher.rooms import DeclaredRooms

__all__ = ["PublishOptions", "Publisher", "need_redis"]


class PublishOptions(TypedDict, total=False):
    """What a publication may be besides its room, event and data; ``Publisher.publish`` says what each means."""

    key: str | None
    deleted: bool
    exclude: str | None
    id: str | None


class Publisher:
    """Publishes over Redis to the rooms of an application, from a process that is not the application.

    Use it with ``async with``, once for many publications; it belongs to the event loop that entered it. Programs
    without one use ``SyncPublisher``. It needs ``multitransport[redis]``.
    """

    def __init__(self, url: str, *, prefix: str = "multitransport", timeout_seconds: float = 5.0) -> None:
        """``url`` and ``prefix`` are those of the application's broker; ``timeout_seconds`` is how long a publication
        is tried. Raises ConfigurationError for what cannot be meant.
        """
        if not timeout_seconds > 0:
            raise ConfigurationError(f"timeout_seconds must be above 0, not {timeout_seconds!r}")
        self._timeout_seconds = timeout_seconds
        self._sender = _sender(url, prefix, timeout_seconds)
        self._rooms: DeclaredRooms | None = None

    async def __aenter__(self) -> Self:
        """Begin to connect. Redis need not be there yet."""
        from multitransport.publisher.rooms import DeclaredRooms  # noqa: PLC0415 - what it needs is optional

        if self._rooms is not None:
            raise MultiTransportError("this Publisher is in use already: enter it once, and share it")
        self._loop = asyncio.get_running_loop()
        await self._sender.start()
        self._rooms = DeclaredRooms(self._sender.declared)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the connection."""
        self._rooms = None
        await self._sender.stop()

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
        exclude: str | None = None,
        id: str | None = None,  # noqa: A002
    ) -> Position | list[Position | None] | None:
        """Publish to a room, or to each of several, and return the publication's position, or theirs.

        All is as with ``MultiTransport.publish``, but ``exclude`` is the id of a session. A publication that Redis does
        not answer is repeated until the time is over, and is in the room once. So it is where the caller repeats it
        with the same ``id``.

        Raises, having published nothing, Refuse where no application has declared such a room, TypeError for data JSON
        cannot say and ValueError for a key that is missing or too much. Raises RoomFull or BrokerUnavailable where a
        room does not take it: of several, those before it have.
        """
        if self._rooms is None:
            raise MultiTransportError("enter the Publisher first: `async with Publisher(url) as publisher`")
        if asyncio.get_running_loop() is not self._loop:
            raise MultiTransportError("this Publisher was entered in another event loop: each loop has its own")
        _must_be_a_session(exclude)
        draft = draft_of(event, data, key=key, deleted=deleted, exclude=exclude, id=id)
        names = rooms_of(room)
        try:
            async with asyncio.timeout(self._timeout_seconds):
                retentions = [_fitting(name, await self._rooms.retention(name), draft, volatile) for name in names]
                positions = [
                    await self._publish(name, draft, retention, volatile)
                    for name, retention in zip(names, retentions, strict=True)
                ]
        except TimeoutError:
            raise BrokerUnavailable(
                f"Redis did not take a publication to {room!r} within {self._timeout_seconds:g} s: "
                f"{self._sender.fault or 'no answer'}"
            ) from None
        return positions[0] if isinstance(room, str) else positions

    async def _publish(self, room: str, draft: Draft, retention: Retention, volatile: bool) -> Position | None:
        if volatile:
            await self._sender.flash(room, draft)
            return None
        return await self._sender.publish(room, draft, retention)


def _fitting(room: str, retention: Retention, draft: Draft, volatile: bool) -> Retention:
    """Return what the room keeps. Raises ValueError where it does not take such a publication."""
    if (retention.keys > 0) != (draft.key is not None) and not volatile:
        raise ValueError(f"{room!r}: a publication has a key in a state room, and only there")
    return retention


def _must_be_a_session(exclude: object) -> None:
    if exclude is not None and not (isinstance(exclude, str) and exclude):
        raise TypeError(f"exclude is the id of a session, not {exclude!r}")


def need_redis(url: str) -> None:
    """Raise ConfigurationError where this names no Redis, or the extra is not installed that talks to one."""
    check_broker(url)
    if url == MEMORY:
        raise ConfigurationError("rooms in the memory of another process cannot be reached: give both a Redis")
    if find_spec("hiredis") is None:
        raise ConfigurationError(f"{named(url)} needs an extra: pip install 'multitransport[redis]'")


def _sender(url: str, prefix: str, timeout_seconds: float) -> Sender:
    need_redis(url)
    from multitransport.brokers.redis.rooms.sender import Sender  # noqa: PLC0415 - what it needs is optional
    from multitransport.brokers.redis.timing import Timing  # noqa: PLC0415 - likewise

    timing = Timing(publish_seconds=timeout_seconds, connect_seconds=min(Timing().connect_seconds, timeout_seconds))
    return Sender(url, prefix=prefix, timing=timing)
