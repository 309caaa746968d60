"""One transport carrying the session, from its first byte to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from multitransport.client.carrier import Carrier, Connector, TransportLost
from multitransport.client.events import Closed, Effect, Move, Pinged, Ponged, Publication, Welcomed
from multitransport.client.fallback import Ended, Stage
from multitransport.client.limits import ATTEMPT_SECONDS, POLL_SECONDS
from multitransport.client.session import BYE, BrokenMessage, Session
from multitransport.protocol.codes import CloseCode

__all__ = ["Attachment"]

_BINARY = "websocket"
"""The transport that carries bytes as they are."""


class Attachment:
    """Drives one transport in its ``task``, whose result says how the transport ended.

    ``deliver`` gets every effect, ``welcomed`` says whether the transport came to carry the session, ``leaving`` that
    its node is about to stop; then ``disturb`` is called.
    """

    def __init__(
        self,
        session: Session,
        connector: Connector,
        deliver: Callable[[Effect], None],
        disturb: Callable[[], None],
    ) -> None:
        self.name = connector.name
        self.round_trip_seconds: float | None = None
        self.stage = Stage.NOTHING
        self.leaving = False
        self._loop = asyncio.get_running_loop()
        self.welcomed: asyncio.Future[bool] = self._loop.create_future()
        self._session = session
        self._connector = connector
        self._deliver = deliver
        self._disturb = disturb
        self._attach = 0
        self._closed: Closed | None = None
        self._aborted: asyncio.Future[None] = self._loop.create_future()
        self._confirmed_at = self._heard_at = self._started_at = self._loop.time()
        self._work = asyncio.Event()
        self._working = asyncio.Event()
        self._working.set()
        self.task = asyncio.create_task(self._run())

    def hello(self, wait_seconds: float | None = None) -> bytes:
        """Give the transport the hello of a new attempt."""
        self._attach, frame = self._session.hello(wait_seconds)
        return frame

    def send_hello(self) -> bytes:
        """Give the transport the hello of a request beside it."""
        return self._session.send_hello(self._attach)

    def wake(self) -> None:
        """There may be something to send."""
        self._work.set()

    def pause(self) -> None:
        """Send nothing and open no further poll while another transport is tried."""
        self._working.clear()

    def resume(self) -> None:
        """Go on; the other transport did not come about."""
        self._working.set()

    def abort(self) -> None:
        """Drop the transport without a word; it is not to blame."""
        if not self._aborted.done():
            self._aborted.set_result(None)

    async def ended(self) -> Ended:
        """Wait for the end of the transport and return how it came. HTTP libraries keep their time limits by cancelling
        the task they run in: where that gets out, the transport is lost and not the client.
        """
        try:
            return await self.task
        except asyncio.CancelledError:
            waiting = asyncio.current_task()
            if waiting is None or waiting.cancelling():
                raise  # it is the one who waits that is cancelled
            return self._ended(TransportLost("cancelled"))

    async def end(self) -> None:
        """Let go of the transport and all it holds."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def _run(self) -> Ended:
        try:
            async with asyncio.timeout(ATTEMPT_SECONDS):
                carrier = await self._connector.open(self)
        except TimeoutError:
            return self._ended(TransportLost(f"no connection within {ATTEMPT_SECONDS:g} s"))
        except TransportLost as lost:
            return self._ended(lost)
        else:
            return self._ended(await self._carry(carrier))
        finally:
            if not self.welcomed.done():
                self.welcomed.set_result(False)

    async def _carry(self, carrier: Carrier) -> TransportLost:
        self._heard_at = self._loop.time()
        tasks = {asyncio.create_task(self._read(carrier)), asyncio.create_task(self._write(carrier))}
        try:
            return await self._watch(tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await carrier.close()

    async def _watch(self, tasks: set[asyncio.Task[None]]) -> TransportLost:
        while True:
            left = self._deadline() - self._loop.time()
            if left <= 0:
                return TransportLost("nothing heard in time")
            done, _ = await asyncio.wait({*tasks, self._aborted}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if self._aborted in done:
                return TransportLost("cut", network=True)
            for task in tasks & done:
                error = task.exception()
                if isinstance(error, TransportLost):
                    return error
                if isinstance(error, BrokenMessage):
                    return TransportLost(f"unreadable message: {error}")
                if error is not None:
                    raise error

    def _deadline(self) -> float:
        if self.stage is not Stage.CONFIRMED:
            return self._started_at + ATTEMPT_SECONDS
        interval = POLL_SECONDS if self._connector.polls else self._session.ping_seconds
        return self._heard_at + interval + self._session.grace_seconds

    async def _read(self, carrier: Carrier) -> None:
        while True:
            if self._connector.polls:
                await self._working.wait()
            self._take(await carrier.receive())

    async def _write(self, carrier: Carrier) -> None:
        while True:
            await self._work.wait()
            await self._working.wait()
            self._work.clear()
            while (message := self._session.upstream(self._attach, binary=self.name == _BINARY)) is not None:
                if message is BYE:
                    # A further poll would begin a new session.
                    self.pause()
                answer = await carrier.send(message)
                if answer is not None:
                    self._take(answer)
                    if message is BYE:
                        raise TransportLost("bye", closed=Closed(CloseCode.BYE, "bye"))

    def _take(self, message: bytes) -> None:
        self._heard_at = self._loop.time()
        for effect in self._session.receive(message, self._attach):
            kind = type(effect)
            if kind is not Publication:
                self._note(effect)
            self._deliver(effect)
        self._work.set()
        if self._closed is not None:
            raise TransportLost(self._closed.reason, closed=self._closed)

    def _note(self, effect: Effect) -> None:
        now = self._loop.time()
        match effect:
            case Welcomed():
                if self.stage is Stage.NOTHING:
                    self.stage = Stage.WELCOMED
                    if self._connector.polls:
                        self._confirm(now - self._started_at)
                    else:
                        self._session.ping(now)
                if not self.welcomed.done():
                    self.welcomed.set_result(True)
            case Ponged(t):
                self._confirm(now - t)
            case Pinged():
                self._session.ping(now)
            case Move() if not self._connector.polls:  # the next poll goes elsewhere anyway
                self.leaving = True
                self._disturb()
            case Closed():
                self._closed = effect
            case _:
                pass

    def _confirm(self, round_trip_seconds: float) -> None:
        self.round_trip_seconds = round_trip_seconds
        if self.stage is not Stage.CONFIRMED:
            self.stage = Stage.CONFIRMED
            self._confirmed_at = self._loop.time()

    def _ended(self, lost: TransportLost) -> Ended:
        seconds = self._loop.time() - self._confirmed_at if self.stage is Stage.CONFIRMED else 0.0
        newest = self._attach == self._session.attach
        return Ended(self.stage, lost.reason, seconds, self._closed or lost.closed, lost.network, newest)
