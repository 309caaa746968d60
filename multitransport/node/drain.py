"""How a node that stops parts from its clients: each moves to another node while it is still served here."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from contextlib import suppress
from random import SystemRandom

from multitransport.node.attachment import Attachment, Close
from multitransport.node.settings import Settings
from multitransport.protocol.codes import CloseCode
from multitransport.protocol.frames import encode

__all__ = ["Drain"]

logger = logging.getLogger("multitransport")

_random = SystemRandom()

_MOVES_A_SECOND = 200
"""How many clients are sent to other nodes, whose work a hello is; more where half the drain time is too short."""

_NEXT_NODE_SECONDS = 0.2
"""Few clients come to other nodes within this time."""

_MOVE = encode(("move",))


class Drain:
    """Sends the clients of a node that stops ``elsewhere``, or away where there is no other node.

    ``attachments`` are what the node carries at any moment.
    """

    def __init__(self, settings: Settings, attachments: Collection[Attachment], *, elsewhere: bool) -> None:
        self._settings = settings
        self._attachments = attachments
        self._elsewhere = elsewhere
        self._loop = asyncio.get_running_loop()
        self._left = asyncio.Event()

    async def run(self) -> None:
        """Send every client off, and return when they are gone, or after the drain time."""
        seconds = self._settings.drain_seconds
        end = self._loop.time() + seconds
        if self._elsewhere:
            await self._move_all(seconds / 2)
            await self._gone(end - seconds / 4)
        for attachment in list(self._attachments):
            attachment.close(self.going_away())
        await self._gone(end)
        if self._attachments:
            logger.warning("%d connections did not close in time and are cut", len(self._attachments))
        for attachment in list(self._attachments):
            attachment.abort()

    def going_away(self) -> Close:
        """Return the word for a client of a node that stops, with a time of its own to come back."""
        most = self._settings.retry_seconds
        if self._elsewhere:
            most = min(most, max(_NEXT_NODE_SECONDS, len(self._attachments) / _MOVES_A_SECOND))
        return Close(CloseCode.GOING_AWAY, "this server is stopping", retry_after_seconds=_random.uniform(0, most))

    def send_off(self, attachment: Attachment) -> None:
        """Have a client move to another node, or come back where it cannot be told to."""
        if self._elsewhere and attachment.attach:
            attachment.put("@move", _MOVE)
        else:
            attachment.close(self.going_away())

    def released(self) -> None:
        """A transport has ended."""
        if not self._attachments:
            self._left.set()

    async def _move_all(self, within_seconds: float) -> None:
        attachments = list(self._attachments)
        _random.shuffle(attachments)
        began = self._loop.time()
        pause_seconds = min(1 / _MOVES_A_SECOND, within_seconds / max(1, len(attachments)))
        for number, attachment in enumerate(attachments):
            await self._gone(began + number * pause_seconds)
            # One that waits for its welcome is sent off behind that.
            if attachment in self._attachments and attachment.timer is not None:
                self.send_off(attachment)

    async def _gone(self, until: float) -> None:
        """Wait until nobody is left, or for that moment."""
        if self._attachments and until > self._loop.time():
            self._left.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout_at(until):
                    await self._left.wait()
