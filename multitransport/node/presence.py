"""Who is in which room, kept as the state of ``@presence/<room>``."""

from __future__ import annotations

from typing import Any

from multitransport.brokers.base import Member, Meta, PresenceStore
from multitransport.core.publication import Draft
from multitransport.core.session import State
from multitransport.node.hub import Hub
from multitransport.node.rooms import PRESENCE, RoomTable
from multitransport.node.session import Session
from multitransport.protocol.frames import encode

__all__ = ["Presence"]


class Presence:
    """Enters sessions that have shown life into the rooms with presence that they are in, and takes them out again.

    Every method may be called at any time and does what is still to be done, so that no order of cuts, joins and
    resumes leaves a ghost.
    """

    def __init__(self, store: PresenceStore, hub: Hub, rooms: RoomTable) -> None:
        self._store = store
        self._hub = hub
        self._rooms = rooms

    async def refresh(self, client: Session) -> None:
        """Show a session, as it is carried now, in all its rooms."""
        for room in list(client.record.rooms):
            await self.enter(client, room)

    async def enter(self, client: Session, room: str) -> None:
        """Show a session in a room, if the room has presence and the session is no ghost."""
        if f"{PRESENCE}{room}" not in client.record.rooms or client.state in (State.UNCONFIRMED, State.ENDED):
            return
        meta = Meta(client.session_id, client.transport, client.metas.get(room))
        member = await self._store.enter(room, _member_id(client), client.user_id, meta)
        if member is not None:
            await self._announce(room, member)

    async def exit(self, client: Session, room: str) -> None:
        """Take a session out of a room."""
        member = await self._store.exit(room, client.session_id)
        if member is not None:
            await self._announce(room, member)

    async def exit_all(self, client: Session) -> None:
        """Take a session out of all its rooms."""
        for room in list(client.record.rooms):
            if room.startswith(PRESENCE):
                await self.exit(client, room.removeprefix(PRESENCE))

    async def change(self, client: Session, room: str, meta: Any) -> None:
        """Change what others see of a session in a room."""
        client.metas = {**client.metas, room: meta}
        await self.enter(client, room)

    async def members(self, room: str) -> list[Member]:
        """Return who is in the room."""
        return await self._store.members(room)

    async def _announce(self, room: str, member: Member) -> None:
        data = encode({"user": member.user, "metas": member.metas} if member.metas else None)
        name = f"{PRESENCE}{room}"
        draft = Draft("member", data, key=member.id, deleted=not member.metas)
        await self._hub.publish(name, draft, self._rooms.retention(name))


def _member_id(client: Session) -> str:
    return f"session:{client.session_id}" if client.user_id is None else f"user:{client.user_id}"
