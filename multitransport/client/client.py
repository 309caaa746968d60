"""The client as the program sees it: calls become frames, and frames become answers."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType, TracebackType
from typing import Any, Literal, Self, TypeVar

from multitransport.client.asks import Asks
from multitransport.client.carrier import Connector
from multitransport.client.connection import Connection, new_nonce
from multitransport.client.events import Asked, CaughtUp, Closed, Effect, Gap, Joined, Left, Outcome, Publication
from multitransport.client.feed import Feed
from multitransport.client.limits import BYE_SECONDS
from multitransport.client.room import Room
from multitransport.client.rooms import Rooms
from multitransport.client.session import Session
from multitransport.errors import ConnectionClosed, MultiTransportError, OutcomeUnknown, Refused, TimedOut
from multitransport.protocol.codes import CloseCode
from multitransport.protocol.position import Position

__all__ = ["Client", "Status"]

_logger = logging.getLogger("multitransport.client")

Status = Literal["connecting", "connected", "reconnecting", "closed"]

Handler = TypeVar("Handler", bound=Callable[[Any], Any])
RoomCallback = TypeVar("RoomCallback", bound=Callable[[Room], Any])


class Client:
    """A session with a server, kept over cuts, switches of transport and restarts. ``connect`` makes it; use it with
    ``async with``.

    Entering waits for the first welcome. It raises Refused where the application refuses the client,
    ConnectionClosed where the server wants nothing of it for another reason, and TimedOut where no transport came
    about within ``connect_seconds``; where it is not ``patient``, ConnectionClosed at once if the connect check fails.
    """

    def __init__(
        self,
        connectors: Mapping[str, Connector],
        *,
        auth: Any = None,
        connect_seconds: float = 20.0,
        release: Callable[[], Awaitable[None]] | None = None,
        patient: bool = True,
    ) -> None:
        self._session = Session(new_nonce(), auth)
        self._connection = Connection(self._session, connectors, self._take, patient=patient)
        self._names = tuple(connectors)
        self._rooms = Rooms(self)
        self._asks = Asks(self._session, self._connection.wake)
        self._connect_seconds = connect_seconds
        self._release = release
        self._tickets = itertools.count(1)
        self._waiters: dict[int, asyncio.Future[Any]] = {}
        self._running: asyncio.Task[None] | None = None
        self._end: MultiTransportError | None = None

    async def __aenter__(self) -> Self:
        self._running = asyncio.create_task(self._run())
        try:
            async with asyncio.timeout(self._connect_seconds):
                await self._attached(self._running)
        except BaseException as error:
            await self.close()
            if isinstance(error, TimeoutError):
                raise TimedOut("timed_out", self._never_attached()) from None
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def _never_attached(self) -> str:
        why = f": {self._connection.last_end}" if self._connection.last_end else ""
        if why.endswith(" 404"):
            why += "; the URL ends in the prefix of the server, as in http://host:8000/realtime"
        return f"no transport came about within {self._connect_seconds:g} s{why}"

    # What there is to see

    @property
    def status(self) -> Status:
        """``connecting`` before the first welcome, then ``connected`` or ``reconnecting``, and ``closed`` for good."""
        if self._end is not None:
            return "closed"
        if self._connection.attached.is_set():
            return "connected"
        return "reconnecting" if self._connection.attachments else "connecting"

    @property
    def session_id(self) -> str | None:
        """The public id of the session; None before the first welcome."""
        return self._session.session_id

    @property
    def transport(self) -> str | None:
        """The name of the transport that carries the session; None while none does."""
        attachment = self._connection.attachment
        return attachment.name if attachment is not None and self._connection.attached.is_set() else None

    @property
    def round_trip_seconds(self) -> float | None:
        """The last round trip measured on this transport; None before the first."""
        attachment = self._connection.attachment
        return None if attachment is None else attachment.round_trip_seconds

    @property
    def reconnects(self) -> int:
        """How many transports carried the session after the first, be it after a cut or by a switch."""
        return max(0, self._connection.attachments - 1)

    @property
    def rooms(self) -> Mapping[str, Room]:
        """The rooms the session is in or is joining, by name; also those the server has put it in."""
        return MappingProxyType(self._rooms.by_name)

    @property
    def inbox(self) -> Feed:
        """What the server publishes to this session, or to its user, alone: iterate over it."""
        return self._rooms.inbox

    # What there is to do

    def join(
        self,
        name: str,
        *,
        history: int | None = None,
        position: Position | None = None,
        max_rate: float | None = None,
    ) -> Room:
        """Join a room: await the result to know it is joined, iterate over it for its publications.

        A newcomer gets the latest ``history`` publications, by default as many as the room declares, and of a state
        room the current value of each key; after a ``position`` kept from earlier everything that follows it. A state
        room is told at most ``max_rate`` times a second. Joining a room the client is in gives the same Room.

        Raises QueueFull, ConnectionClosed; ValueError for a rate that is not 0.001 to 1000, a history or a position
        that is none (a list, as JSON has kept one, will do); TypeError for a name or rate of another type.
        """
        self._check_open()
        room = self._rooms.by_name.get(name)
        if room is None:
            self._session.join(next(self._tickets), name, history, position, max_rate)
            room = self._rooms.add(name)
            self._connection.wake()
        return room

    def on_room(self, callback: RoomCallback) -> RoomCallback:
        """Have ``callback``, plain or async, called with each Room the server puts the session in by itself; may be
        used as a decorator.
        """
        self._rooms.callbacks.append(callback)
        return callback

    def on(self, event: str) -> Callable[[Handler], Handler]:
        """Answer what the server asks under this event with what the decorated function returns; see ``handle``."""

        def declare(handler: Handler) -> Handler:
            self.handle(event, handler)
            return handler

        return declare

    def handle(self, event: str, handler: Callable[[Any], Any]) -> None:
        """Answer what the server asks under this event with what ``handler``, plain or async, makes of the data.

        It refuses by raising Refuse, or a RequestError. What else it raises is logged here, and the server is told
        ``failed``. Handlers run beside each other; one for the same event replaces the former.
        """
        self._asks.handle(event, handler)

    async def request(self, event: str, data: Any = None, *, timeout: float | None = 30.0) -> Any:
        """Have the event's handler run, once, and return what it returns.

        Raises Refused, Invalid or Failed as the server says; TimedOut where there is no answer within ``timeout``
        seconds, and OutcomeUnknown where there can be none any more; QueueFull; ConnectionClosed where the frame was
        not sent before the session ended.
        """
        self._check_open()
        ticket = next(self._tickets)
        self._session.request(ticket, event, data)
        return await self._outcome(ticket, timeout)

    async def send(self, event: str, data: Any = None, *, timeout: float | None = None) -> None:
        """Have the event's handler run, once; return when it did. Raises as ``request`` does."""
        await self.request(event, data, timeout=timeout)

    async def publish(
        self,
        room: str,
        event: str,
        data: Any = None,
        *,
        key: str | None = None,
        deleted: bool = False,
        timeout: float | None = None,
    ) -> Any:
        """Publish to a room that allows it and return what the server answers. Raises as ``request`` does.

        In a state room ``key`` says what it replaces, and ``deleted`` ends the key.
        """
        self._check_open()
        ticket = next(self._tickets)
        self._session.publish(ticket, room, event, data, key=key, deleted=deleted)
        return await self._outcome(ticket, timeout)

    async def presence(self, room: Room, meta: Any) -> None:
        """Change what others see of this session in a room; ``Room.presence`` is the same."""
        ticket = self._ticket_in(room)
        self._session.presence(ticket, room.name, meta)
        await self._outcome(ticket, None)

    async def set_max_rate(self, room: Room, max_rate: float | None) -> None:
        """Change how often a state room is told; ``Room.set_max_rate`` is the same."""
        ticket = self._ticket_in(room)
        self._session.set_max_rate(ticket, room.name, max_rate)
        await self._outcome(ticket, None)

    async def leave(self, room: Room) -> None:
        """Leave a room; ``Room.leave`` is the same."""
        if self._rooms.by_name.get(room.name) is room:
            ticket = next(self._tickets)
            self._session.leave(ticket, room.name)
            del self._rooms.by_name[room.name]
            room.end()
            await self._outcome(ticket, None)

    def position(self, room: str) -> Position | None:
        """Return the last position received in a room; None where it is not joined."""
        return self._session.position(room)

    async def use(self, *transports: str) -> None:
        """Use only these transports from now on, in this order, and move to the first without letting go between.

        Raises TimedOut, with everything as before, where the first does not come about; ValueError for one the
        client does not have.
        """
        if not transports or not set(transports) <= set(self._names):
            raise ValueError(f"the client has {', '.join(self._names)}, not {', '.join(transports) or 'none'}")
        self._check_open()
        await self._connection.use(transports)
        if self._running is not None:
            await self._attached(self._running)

    async def cut(self) -> None:
        """Drop the transport as a broken network does, and return when that is noticed. It connects again by itself."""
        await self._connection.cut()

    async def close(self) -> None:
        """End the session: say bye where that is possible, and give everything back. Does nothing the second time."""
        if self._running is None:
            return
        running, self._running = self._running, None
        if self.status == "connected":
            self._session.bye()
            self._connection.wake()
            await asyncio.wait({running}, timeout=BYE_SECONDS)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await self._asks.end()
        await self._rooms.end_callbacks()
        self._finish(ConnectionClosed(CloseCode.BYE, "closed by this client"))
        if self._release is not None:
            await self._release()

    # What happens

    async def _run(self) -> None:
        try:
            ended = await self._connection.run()
        except Exception as error:
            _logger.exception("the client failed")
            self._finish(ConnectionClosed(CloseCode.INTERNAL, f"the client failed: {error!r}"))
            return
        closed = ended.closed or Closed(CloseCode.INTERNAL, ended.reason)
        if closed.code == CloseCode.REFUSED and not self._connection.attachments:
            self._finish(Refused(closed.error_code or "refused", closed.reason))
        else:
            self._finish(ConnectionClosed(closed.code, closed.reason))

    async def _attached(self, running: asyncio.Task[None]) -> None:
        attached = asyncio.create_task(self._connection.attached.wait())
        try:
            await asyncio.wait({running, attached}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            attached.cancel()
        self._check_open()

    def _check_open(self) -> None:
        if self._end is not None:
            raise self._end

    def _ticket_in(self, room: Room) -> int:
        self._check_open()
        if self._rooms.by_name.get(room.name) is not room:
            raise Refused("not_joined", f"the client is not in {room.name!r} any more")
        return next(self._tickets)

    async def _outcome(self, ticket: int, timeout: float | None) -> Any:
        waiter = self._waiters[ticket] = asyncio.get_running_loop().create_future()
        self._connection.wake()
        try:
            async with asyncio.timeout(timeout):
                return await waiter
        except TimeoutError:
            raise TimedOut("timed_out", f"no answer within {timeout:g} s") from None
        finally:
            del self._waiters[ticket]
            if not waiter.done() or waiter.cancelled():
                self._session.withdraw(ticket)

    def _take(self, effect: Effect) -> None:
        match effect:
            case Publication() | Gap() | CaughtUp():
                self._rooms.deliver(effect)
            case Outcome(ticket, data, error):
                waiter = self._waiters.get(ticket)
                if waiter is None or waiter.done():
                    return
                if error is None:
                    waiter.set_result(data)
                else:
                    waiter.set_exception(error)
            case Asked():
                self._asks.take(effect)
            case Joined():
                self._rooms.joined(effect)
            case Left():
                self._rooms.left(effect)
            case _:
                pass

    def _finish(self, end: MultiTransportError) -> None:
        if self._end is not None:
            return
        self._end = end
        for ticket, waiter in list(self._waiters.items()):
            if not waiter.done():
                unsent = self._session.withdraw(ticket)
                waiter.set_exception(end if unsent else OutcomeUnknown("outcome_unknown", f"the session ended: {end}"))
        self._rooms.end(end)
