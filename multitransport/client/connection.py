"""Keeps a session attached: attempt after attempt, and from one transport to another without letting go between."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import secrets
from collections.abc import Callable, Mapping, Sequence

from multitransport.client.attachment import Attachment
from multitransport.client.backoff import Backoff, Pace
from multitransport.client.carrier import Connector
from multitransport.client.events import Effect
from multitransport.client.fallback import Ended, Fallback, Step
from multitransport.client.limits import STABLE_SECONDS
from multitransport.client.session import Session
from multitransport.errors import TimedOut
from multitransport.protocol.codes import CloseCode

__all__ = ["Connection", "new_nonce"]

_logger = logging.getLogger("multitransport.client")


def new_nonce() -> str:
    """Return what names a new session: 128 random bits."""
    return secrets.token_urlsafe(16)


class Connection:
    """Runs the transports of one session. ``deliver`` gets every effect of what arrives. One that is not ``patient``
    gives up where the server fails before the first welcome. ``last_end`` says how the last transport ended.
    """

    def __init__(
        self,
        session: Session,
        connectors: Mapping[str, Connector],
        deliver: Callable[[Effect], None],
        *,
        patient: bool = True,
    ) -> None:
        self.attachment: Attachment | None = None
        self.attached = asyncio.Event()
        self.attachments = 0
        self.last_end = ""
        self._session = session
        self._connectors = connectors
        self._deliver = deliver
        self._patient = patient
        self._fallback = Fallback(tuple(connectors))
        self._backoff = Backoff()
        self._pace = Pace()
        self._wanted: tuple[Sequence[str], asyncio.Future[bool]] | None = None
        self._disturbed = asyncio.Event()

    def wake(self) -> None:
        """There may be something to send."""
        if self.attachment is not None:
            self.attachment.wake()

    async def cut(self) -> None:
        """Drop the transport without a word, and return when that is noticed."""
        if self.attachment is not None:
            self.attachment.abort()
            await asyncio.wait({self.attachment.task})

    async def use(self, transports: Sequence[str]) -> None:
        """Use only these from now on, and return when the first carries the session; at once where none does yet.

        Raises TimedOut, with everything as before, where the first does not come about.
        """
        attachment = self.attachment
        welcomed = attachment is not None and await asyncio.shield(attachment.welcomed)
        if attachment is None or not welcomed or attachment.task.done():
            self._fallback.use(transports, transports[0])
            self._disturbed.set()
            return
        self._settle(moved=False)
        switched: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._wanted = transports, switched
        self._disturbed.set()
        if not await switched:
            raise TimedOut("timed_out", f"{transports[0]} did not come about")

    async def run(self) -> Ended:
        """Keep the session attached until it ends for good, and say how it did."""
        while True:
            await self._sleep_pace()
            ended = await self._carry()
            self.last_end = ended.reason
            if ended.seconds >= STABLE_SECONDS:
                self._backoff.reset()
            step = self._fallback.after(ended)
            failed = ended.closed is not None and ended.closed.code == CloseCode.INTERNAL
            if failed and not (self._patient or self.attachments):
                step = Step.STOP
            _logger.debug("transport ended (%s): %s", ended.reason, step.value)
            match step:
                case Step.STOP:
                    return ended
                case Step.RENEW:
                    self._session.renew(new_nonce())
                case Step.AFTER_BACKOFF:
                    await self._rest(ended)
                case Step.AT_ONCE:
                    pass

    async def _sleep_pace(self) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._pace.wait_seconds(loop.time()))
        self._pace.attempt(loop.time())

    async def _rest(self, ended: Ended) -> None:
        retry_after = None if ended.closed is None else ended.closed.retry_after_seconds
        seconds = self._backoff.next_seconds(random.random(), retry_after)  # noqa: S311
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._disturbed.wait()

    async def _carry(self) -> Ended:
        """Carry the session over the chosen transport, and over those it is switched to, until one of them ends."""
        self._disturbed.clear()
        attachment = self.attachment = self._attach(self._fallback.choice)
        try:
            if await attachment.welcomed:
                self.attachments += 1
                self.attached.set()
                while not await self._until_ended(attachment):
                    attachment = self.attachment = await self._switch(attachment)
            return await attachment.ended()
        finally:
            self.attached.clear()
            await attachment.end()
            self._settle(moved=False)

    def _settle(self, *, moved: bool) -> None:
        """Tell whoever asked for other transports what came of it."""
        if self._wanted is not None and not self._wanted[1].done():
            self._wanted[1].set_result(moved)
        self._wanted = None

    def _attach(self, name: str) -> Attachment:
        return Attachment(self._session, self._connectors[name], self._deliver, self._disturbed.set)

    async def _until_ended(self, attachment: Attachment) -> bool:
        """Wait for the end of the transport; False where another one is to be tried before."""
        again_seconds = None
        if attachment.leaving:
            again_seconds = 0.0  # paced all the same
        elif attachment.name != self._fallback.transports[0]:
            again_seconds = self._fallback.upgrade_seconds
        disturbed = asyncio.create_task(self._disturbed.wait())
        try:
            done, _ = await asyncio.wait(
                {attachment.task, disturbed},
                timeout=again_seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            disturbed.cancel()
        self._disturbed.clear()
        return attachment.task in done

    async def _switch(self, former: Attachment) -> Attachment:
        """Try another transport, or the same at another node, while the present one goes on receiving; return the one
        that carries the session.
        """
        wanted = self._wanted
        transports = self._fallback.transports if wanted is None else wanted[0]
        name = transports[0]
        if wanted is None and former.leaving:
            name = former.name
        elif wanted is None:
            self._fallback.upgrading()
        stays = former.name == name and not former.leaving
        current = former if stays else await self._move(former, name)
        moved = current.name == transports[0]
        if moved:
            self._fallback.use(transports, transports[0])
        if wanted is self._wanted:
            self._settle(moved=moved)
        return current

    async def _move(self, former: Attachment, name: str) -> Attachment:
        await self._sleep_pace()
        former.pause()
        candidate = self._attach(name)
        winner, loser = former, candidate
        try:
            if await candidate.welcomed:
                self.attachments += 1
                winner, loser = candidate, former
        finally:
            await loser.end()
            former.resume()
        return winner
