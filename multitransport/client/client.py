"""The client as the program sees it: calls become frames, and frames become answers."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, Literal, Self

from multitransport.client.carrier import Connector
from multitransport.client.connection import Connection, new_nonce
from multitransport.client.events import Closed, Effect, Gap, Joined, Left, Outcome, Publication
from multitransport.client.limits import BYE_SECONDS
from multitransport.client.room import Room
from multitransport.client.session import Session
from multitransport.errors import ConnectionClosed, MultiTransportError, OutcomeUnknown, Refused, TimedOut
from multitransport.protocol.codes import CloseCode
from multitransport.protocol.position import Position

__all__ = ["Client", "Status"]

_logger = logging.getLogger("multitransport.client")

Status = Literal["connecting", "connected", "reconnecting", "closed"]


class Client:
    """A session with a server, kept over cuts, switches of transport and restarts. ``connect`` makes it; use it with
    ``async with``.

    Entering waits for the first welcome. It raises Refused where the application refuses the client,
    ConnectionClosed where the server wants nothing of it for another reason, and TimedOut where no transport came
    about within ``connect_seconds``.
    """

    def __init__(
        self,
        connectors: Mapping[str, Connector],
        *,
        auth: Any = None,
        connect_seconds: float = 20.0,
        release: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._session = Session(new_nonce(), auth)
        self._connection = Connection(self._session, connectors, self._take)
        self._names = tuple(connectors)
        self._connect_seconds = connect_seconds
        self._release = release
        self._tickets = itertools.count(1)
        self._waiters: dict[int, asyncio.Future[Any]] = {}
        self._rooms: dict[str, Room] = {}
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
                raise TimedOut("timed_out", f"no transport came about within {self._connect_seconds:g} s") from None
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

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

    # What there is to do

    def join(self, name: str, *, history: int | None = None, position: Position | None = None) -> Room:
        """Join a room: await the result to know it is joined, iterate over it for its publications.

        A newcomer gets the latest ``history`` publications, by default as many as the room declares; after a
        ``position`` kept from earlier everything that follows it. Joining a room the client is in gives the same
        Room. Raises QueueFull, ConnectionClosed.
        """
        self._check_open()
        room = self._rooms.get(name)
        if room is None:
            self._session.join(next(self._tickets), name, history, position)
            room = self._rooms[name] = Room(name, self)
            self._connection.wake()
        return room

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

    async def publish(self, room: str, event: str, data: Any, *, timeout: float | None = None) -> Any:
        """Publish to a room that allows it and return what the server answers. Raises as ``request`` does."""
        self._check_open()
        ticket = next(self._tickets)
        self._session.publish(ticket, room, event, data)
        return await self._outcome(ticket, timeout)

    async def leave(self, room: Room) -> None:
        """Leave a room; ``Room.leave`` is the same."""
        if self._rooms.get(room.name) is room:
            ticket = next(self._tickets)
            self._session.leave(ticket, room.name)
            del self._rooms[room.name]
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
            case Publication() | Gap():
                if (room := self._rooms.get(effect.room)) is not None:
                    room.put(effect)
            case Outcome(ticket, data, error):
                waiter = self._waiters.get(ticket)
                if waiter is None or waiter.done():
                    return
                if error is None:
                    waiter.set_result(data)
                else:
                    waiter.set_exception(error)
            case Joined():
                if (room := self._rooms.get(effect.room)) is not None:
                    room.joined()
            case Left():
                if (room := self._rooms.pop(effect.room, None)) is not None:
                    room.end(effect.error)
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
        for room in self._rooms.values():
            room.end(end)
        self._rooms.clear()
