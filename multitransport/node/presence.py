"""Who is in which room, kept as the state of ``@presence/<room>``."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from multitransport.brokers.base import Member, Meta, PresenceStore
from multitransport.core.limits import SHOWN_METAS
from multitransport.core.publication import Draft
from multitransport.core.session import State
from multitransport.errors import MultiTransportError, Refuse, RoomFull
from multitransport.node.hub import Hub
from multitransport.node.rooms import PRESENCE, RoomTable
from multitransport.node.session import Session
from multitransport.protocol.codes import ErrorCode
from multitransport.protocol.frames import encode

__all__ = ["Presence"]

logger = logging.getLogger("multitransport")

T = TypeVar("T")

_FULL_ROOMS = 1000
"""Rooms of which it was logged that they are full. Where there are more, it is logged again."""


class Presence:
    """Enters sessions that have shown life into the rooms with presence that they are in, and takes them out again.

    Every method may be called at any time and does what is still to be done, so that no order of cuts, joins and
    resumes leaves a ghost, nor somebody unseen who is there.
    """

    def __init__(self, store: PresenceStore, hub: Hub, rooms: RoomTable, max_meta_bytes: int) -> None:
        self._store = store
        self._hub = hub
        self._rooms = rooms
        self._max_meta_bytes = max_meta_bytes
        self._full: set[str] = set()

    async def refresh(self, client: Session) -> None:
        """Show a session, as it is carried now, in all its rooms."""
        for room in list(client.record.rooms):
            if room.startswith(PRESENCE):
                await self.enter(client, room.removeprefix(PRESENCE))

    async def enter(self, client: Session, room: str) -> None:
        """Show a session in a room, if the room has presence and the session is there. Where the others leave it no
        place it stays unseen.
        """
        try:
            await self._show(client, room)
        except MultiTransportError as error:
            if room not in self._full:
                if len(self._full) >= _FULL_ROOMS:
                    self._full.clear()
                self._full.add(room)
                logger.warning("not everybody in %r is shown to the others: %s", room, error)

    async def leave(self, client: Session, room: str) -> None:
        """Take a session out of a room that it has left, and forget what it said of itself there."""
        client.metas = _without(client.metas, room)
        await self._hide(client, room)

    async def leave_all(self, client: Session) -> None:
        """Take a session that has ended out of all its rooms."""
        for room in client.shown:
            await self._hide(client, room)

    async def absent(self, client: Session) -> None:
        """Take a session out of all its rooms until something carries it again."""
        for room in client.shown:
            if client.attachment is None:
                await self._hide(client, room)
                await self.enter(client, room)  # it may be back by now

    async def change(self, client: Session, room: str, meta: Any) -> None:
        """Change what others see of a session in a room.

        Raises Refuse ``not_joined``, ``invalid`` where it is too large, ``too_many_keys`` where the others leave it no
        place; TypeError for what JSON cannot say.
        """
        if f"{PRESENCE}{room}" not in client.record.rooms:
            raise Refuse(ErrorCode.NOT_JOINED, f"the session is not in {room!r}, or it has no presence")
        encoded = encode(meta)
        if len(encoded) > self._max_meta_bytes:
            raise Refuse(ErrorCode.INVALID, f"the meta is over {self._max_meta_bytes} bytes")
        former = client.metas.get(room)
        # A copy: the application may go on to change what it gave.
        client.metas = {**client.metas, room: msgspec.json.decode(encoded)}
        try:
            await self._show(client, room)
        except RoomFull as error:
            client.metas = {**client.metas, room: former}
            raise Refuse(ErrorCode.TOO_MANY_KEYS, str(error)) from None

    async def members(self, room: str) -> list[Member]:
        """Return who is in the room.

        Raises Refuse where no such room is declared, ValueError where it has no presence.
        """
        if not self._rooms.resolve(room).declaration.presence:
            raise ValueError(f"{room!r} has no presence: declare it with presence=True")
        return await self._store.members(room)

    async def _show(self, client: Session, room: str) -> None:
        former = client.shown.get(room)
        meta = Meta(client.session_id, _carried_by(client, former), client.metas.get(room))
        if meta == former or not _is_there(client, room):
            return
        client.shown = {**client.shown, room: meta}
        member = await self._enter(client, room, meta)
        if room not in client.shown:
            await self._exit(client, room)  # it was taken out meanwhile
        elif member is not None:
            try:
                await self._announce(room, member)
            except MultiTransportError:
                await self._undo(client, room, former)
                raise

    async def _undo(self, client: Session, room: str, former: Meta | None) -> None:
        """Have the store say again what the others were told last."""
        if former is None:
            client.shown = _without(client.shown, room)
            await self._store.exit(room, client.session_id)
        else:
            client.shown = {**client.shown, room: former}
            await self._enter(client, room, former)

    async def _hide(self, client: Session, room: str) -> None:
        if room in client.shown:
            client.shown = _without(client.shown, room)
            try:
                await self._exit(client, room)
            except MultiTransportError as error:
                logger.warning("%r may go on to show %s: %s", room, client.session_id, error)

    async def _enter(self, client: Session, room: str, meta: Meta) -> Member | None:
        return await self._store.enter(room, _member_id(client), client.user_id, meta)

    async def _exit(self, client: Session, room: str) -> None:
        member = await self._store.exit(room, client.session_id)
        if member is not None:
            await self._announce(room, member)

    async def _announce(self, room: str, member: Member) -> None:
        data = encode({"user": member.user, "metas": member.metas[-SHOWN_METAS:]} if member.metas else None)
        name = f"{PRESENCE}{room}"
        draft = Draft("member", data, key=member.id, deleted=not member.metas)
        await self._hub.publish(name, draft, self._rooms.retention(name))


def _without(by_room: Mapping[str, T], room: str) -> Mapping[str, T]:
    return {each: value for each, value in by_room.items() if each != room} if room in by_room else by_room


def _carried_by(client: Session, former: Meta | None) -> str | None:
    """Return the transport that carries a session; between two, as between two polls, the one that did."""
    if client.attachment is None:
        return ("poll" if client.polling else None) if former is None else former.transport
    return client.transport


def _is_there(client: Session, room: str) -> bool:
    """Tell whether a session is in a room with presence, and neither a ghost there nor away for long."""
    alive = client.state in (State.ATTACHED, State.DETACHED) and (client.attachment is not None or client.missed)
    return alive and f"{PRESENCE}{room}" in client.record.rooms


def _member_id(client: Session) -> str:
    return f"session:{client.session_id}" if client.user_id is None else f"user:{client.user_id}"
