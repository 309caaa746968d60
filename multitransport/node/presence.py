"""Who is in which room, kept as the state of ``@presence/<room>``: there is no other record of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any
from weakref import WeakValueDictionary

import msgspec

from multitransport.brokers.base import TooManyRooms
from multitransport.core.log import Log
from multitransport.core.members import Member, Shown, members_of
from multitransport.core.publication import Draft
from multitransport.core.session import State
from multitransport.core.state import StateLog
from multitransport.errors import BrokerUnavailable, MultiTransportError, Refuse, RoomFull
from multitransport.node.hub import Hub
from multitransport.node.rooms import PRESENCE, RoomTable
from multitransport.node.session import Session
from multitransport.protocol.codes import ErrorCode
from multitransport.protocol.frames import encode

__all__ = ["Presence", "said_of", "shown_in"]

logger = logging.getLogger("multitransport")

_FULL_ROOMS = 1000
"""Rooms of which it was logged that they are full. Where there are more, it is logged again."""

_RETRY_SECONDS = 1.0

_SHOWN: msgspec.json.Decoder[Shown] = msgspec.json.Decoder(Shown)


class Presence:
    """Shows sessions that have shown life in the rooms with presence that they are in. Each has a key of its own there,
    which only the node that speaks for it writes. ``own`` runs what ends with the node.

    Every method may be called at any time, and while others are under way: a room is told of a session in turns, each
    of what is so by then, if the room does not say that already. So no order of cuts, joins and resumes leaves a ghost,
    nor somebody unseen who is there.
    """

    def __init__(
        self,
        hub: Hub,
        rooms: RoomTable,
        max_meta_bytes: int,
        own: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
    ) -> None:
        self._hub = hub
        self._rooms = rooms
        self._max_meta_bytes = max_meta_bytes
        self._own = own
        self._turns: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()
        self._full: set[str] = set()

    async def refresh(self, client: Session) -> None:
        """Have all rooms of a session show it as it is now, or no more where it is away for long or has ended."""
        for room in list(client.record.rooms):
            if room.startswith(PRESENCE):
                await self.enter(client, room.removeprefix(PRESENCE))

    async def enter(self, client: Session, room: str, *, unsure: bool = False) -> None:
        """Have one room do so, if it has presence. Where the others leave a session no place it stays unseen.

        Waits for a broker that is away. ``unsure``: what the room says of it may not be in its log yet.
        """
        if f"{PRESENCE}{room}" in client.record.rooms:
            await self.correct(client, room, unsure=unsure)

    async def correct(self, client: Session, room: str, *, unsure: bool = False) -> None:
        """Have a room do so that may show a session which is not in there at all."""
        try:
            await self._settle(client, room, unsure=unsure)
        except MultiTransportError as error:
            if room not in self._full:
                if len(self._full) >= _FULL_ROOMS:
                    self._full.clear()
                self._full.add(room)
                logger.warning("not everybody in %r is shown to the others: %s", room, error)

    def begun_anew(self, room: str, sessions: Iterable[Session]) -> None:
        """The log of a room has begun anew: where it says who is in another one, show whoever of these is in there."""
        if room.startswith(PRESENCE):
            for client in [each for each in sessions if room in each.record.rooms]:
                self._own(self.enter(client, room.removeprefix(PRESENCE)))

    async def leave(self, client: Session, room: str) -> None:
        """Take a session out of a room that it has left, and forget what it said of itself there."""
        if room in client.metas:
            client.metas = {each: meta for each, meta in client.metas.items() if each != room}
        await self.enter(client, room)

    async def change(self, client: Session, room: str, meta: Any) -> None:
        """Change what others see of a session in a room.

        Raises Refuse ``not_joined``, ``invalid`` where it is too large, ``too_many_keys`` where the others leave it no
        place; TypeError for what JSON cannot say; BrokerUnavailable, and then it is shown later.
        """
        if f"{PRESENCE}{room}" not in client.record.rooms:
            raise Refuse(ErrorCode.NOT_JOINED, f"the session is not in {room!r}, or it has no presence")
        encoded = encode(meta)
        if len(encoded) > self._max_meta_bytes:
            raise Refuse(ErrorCode.INVALID, f"the meta is over {self._max_meta_bytes} bytes")
        former = client.metas.get(room)
        # A copy: the application may go on to change what it gave.
        said = msgspec.json.decode(encoded)
        client.metas = {**client.metas, room: said}
        try:
            await self._settle(client, room, patient=False)
        except RoomFull as error:
            if client.metas.get(room) is said:
                client.metas = {**client.metas, room: former}
            raise Refuse(ErrorCode.TOO_MANY_KEYS, str(error)) from None
        except BrokerUnavailable:
            self._own(self.enter(client, room, unsure=True))
            raise

    async def members(self, room: str) -> list[Member]:
        """Return who is in the room.

        Raises Refuse where no such room is declared, ValueError where it has no presence, BrokerUnavailable.
        """
        if not self._rooms.resolve(room).declaration.presence:
            raise ValueError(f"{room!r} has no presence: declare it with presence=True")
        name = f"{PRESENCE}{room}"
        log, _ = await self._hub.open(name, self._rooms.retention(name), None, 0)
        return members_of(shown_in(log))

    async def _settle(self, client: Session, room: str, *, unsure: bool = False, patient: bool = True) -> None:
        # Not cancelled with whoever waits for it: what became of a publication that was cancelled nobody knows.
        await asyncio.shield(self._own(self._take_turn(client, room, unsure, patient)))

    async def _take_turn(self, client: Session, room: str, unsure: bool, patient: bool) -> None:
        turn = self._turns.setdefault((client.session_id, room), asyncio.Lock())
        while True:
            try:
                async with turn:
                    await self._say(client, room, unsure)
                return
            except BrokerUnavailable as error:
                if isinstance(error, TooManyRooms) or not patient:
                    raise
                logger.debug("%r may not show %s as it is: %s", room, client.session_id, error)
            unsure = True  # it may have been taken
            await asyncio.sleep(_RETRY_SECONDS)

    async def _say(self, client: Session, room: str, unsure: bool) -> None:
        if client.moved and room in client.record.rooms:
            return  # another node is its writer
        name = f"{PRESENCE}{room}"
        log = self._hub.log(name)
        said = said_of(log, client.session_id)
        data = _shown(client, room, said)
        if data == said and log is not None and not unsure:
            return
        retention = self._rooms.retention(name)
        draft = Draft("member", data or b"null", key=client.session_id, deleted=data is None)
        position = await self._hub.publish(name, draft, retention)
        if self._hub.log(name) is not None:
            # The log of a room elsewhere may lag behind this, and is what the next turn goes by.
            await self._hub.open(name, retention, position, 0)


def said_of(log: Log | None, session_id: str) -> bytes | None:
    """Return what a presence room shows of a session, None where it does not show it."""
    found = log.value(session_id) if isinstance(log, StateLog) else None
    return None if found is None else found.draft.data


def _shown(client: Session, room: str, said: bytes | None) -> bytes | None:
    """Return what others are to see of a session now; None where it is to be seen no more, or not yet."""
    # From before its first sign of life it may be a ghost; one without a transport is there until it is missed.
    alive = client.state in (State.ATTACHED, State.DETACHED) and (client.attachment is not None or client.missed)
    if not alive or room not in client.record.rooms:
        return None
    return encode(Shown(client.user_id, _carried_by(client, said), client.metas.get(room)))


def _carried_by(client: Session, said: bytes | None) -> str | None:
    """Return the transport that carries a session; between two polls they do, and after a cut the one before it."""
    if client.attachment is not None:
        return client.transport
    if client.polling:
        return "poll"
    return None if said is None else _SHOWN.decode(said).transport


def shown_in(log: Log) -> Iterator[tuple[str, Shown]]:
    """Return the sessions that a presence room shows, and how."""
    assert isinstance(log, StateLog)
    for publication in log.values():
        try:
            yield str(publication.draft.key), _SHOWN.decode(publication.draft.data)
        except msgspec.MsgspecError:  # by something else than a node
            logger.warning("%r holds something that no session is shown by", log.room)
