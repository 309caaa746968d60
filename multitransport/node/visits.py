"""Requests that read one room by its URL, without a session."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from msgspec import structs

from multitransport.brokers.base import TooManyRooms
from multitransport.core.heartbeat import Heartbeat
from multitransport.core.log import Recovery
from multitransport.core.session import SessionRecord
from multitransport.errors import BrokerUnavailable, Refuse
from multitransport.node.attachment import Attachment, Close
from multitransport.node.checks import Checks
from multitransport.node.hub import Hub
from multitransport.node.pulse import pulse
from multitransport.node.request import Request
from multitransport.node.rooms import RoomTable
from multitransport.node.session import Session, Verbs
from multitransport.node.settings import Settings
from multitransport.protocol.codes import CloseCode, ErrorCode
from multitransport.protocol.position import Position

__all__ = ["Visit", "Visits"]

_CODES: dict[str, CloseCode] = {
    ErrorCode.UNKNOWN_ROOM: CloseCode.NOT_FOUND,
    ErrorCode.BAD_ROOM: CloseCode.NOT_FOUND,
    ErrorCode.FAILED: CloseCode.INTERNAL,
}


class Visit(NamedTuple):
    """Somebody reads one room without a session: from where, and what is missing before it."""

    client: Session
    attachment: Attachment
    start: Position
    recovery: Recovery


class Visits:
    """Decides about requests for one room. What it refuses, by raising Close, it has made nothing for."""

    def __init__(
        self,
        *,
        settings: Settings,
        checks: Checks,
        rooms: RoomTable,
        hub: Hub,
        clock: Callable[[], float],
        new_secret: Callable[[], str],
        verbs: Verbs,
    ) -> None:
        self._settings = settings
        self._checks = checks
        self._rooms = rooms
        self._hub = hub
        self._clock = clock
        self._new_secret = new_secret
        self._verbs = verbs

    async def visit(
        self, request: Request, transport: str, name: str, position: Position | None, history: int | None
    ) -> Visit:
        """Let a request read one room without a session. Raises Close ``refused`` or ``not_found``."""
        if transport not in self._settings.transports:
            raise Close(CloseCode.TRANSPORT_NOT_ALLOWED, f"this server does not serve {transport}")
        visitor = Session(SessionRecord(self._new_secret(), "", b"", None, 0), request, self._verbs)
        try:
            room = self._rooms.resolve(name)
            await self._checks.connect(visitor, request, b"null")
            await self._checks.join(visitor, room)
            declared = room.declaration
            wanted = declared.history if history is None else min(history, declared.history)
            log, recovery = await self._hub.open(name, declared.retention, position, wanted)
        except Refuse as refuse:
            raise Close(_CODES.get(refuse.code, CloseCode.REFUSED), refuse.message, app_code=refuse.code) from None
        except TooManyRooms:
            raise Close(
                CloseCode.TOO_MANY_SESSIONS,
                "the server keeps as many rooms as it may",
                retry_after_seconds=self._settings.retry_seconds,
            ) from None
        except BrokerUnavailable:  # what it says names hosts, which are nobody's business
            raise Close(
                CloseCode.UNAVAILABLE, "rooms cannot be reached now", retry_after_seconds=self._settings.retry_seconds
            ) from None
        # Nobody answers pings here: on a stream they only keep the connection warm.
        silent = structs.replace(pulse(self._settings, transport), grace_seconds=math.inf)
        heartbeat = Heartbeat(silent, self._clock(), confirmed=True)
        attachment = Attachment(visitor.record, transport, 0, heartbeat, self._hub.turn, self._settings.close_seconds)
        self._hub.join(attachment.reader, log, recovery.offset)
        return Visit(visitor, attachment, Position(log.epoch, recovery.offset), recovery)
