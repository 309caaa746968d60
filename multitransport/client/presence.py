"""Who else is in a room: the state of its presence room, and what changes in it. No I/O, no clock."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from multitransport.brokers.base import Member
from multitransport.client.events import CaughtUp, Gap, Publication

__all__ = ["MemberChange", "Presence"]


class MemberChange(msgspec.Struct, frozen=True):
    """A member has come, has changed (another session, transport or meta), or has left; then ``member`` is as it was
    last.
    """

    kind: Literal["joined", "changed", "left"]
    member: Member


class Presence:
    """The members by id. After a loss those known stay until everything was told anew, so that only what really changed
    is a change.
    """

    def __init__(self) -> None:
        self.members: dict[str, Member] = {}
        self._unsure: set[str] = set()

    def take(self, effect: Publication | Gap | CaughtUp) -> list[MemberChange]:
        """Take what the presence room tells. Raises msgspec.ValidationError for data that is no member."""
        match effect:
            case Gap():
                self._unsure = set(self.members)
                return []
            case CaughtUp():
                gone, self._unsure = self._unsure, set()
                return [MemberChange("left", self.members.pop(member_id)) for member_id in gone]
            case Publication(key=str(member_id), deleted=True):
                self._unsure.discard(member_id)
                former = self.members.pop(member_id, None)
                return [] if former is None else [MemberChange("left", former)]
            case Publication(key=str(member_id), data=dict(data)):
                return self._put(member_id, data)
        return []

    def _put(self, member_id: str, data: dict[str, Any]) -> list[MemberChange]:
        member = msgspec.convert({**data, "id": member_id}, Member)
        self._unsure.discard(member_id)
        former, self.members[member_id] = self.members.get(member_id), member
        if member == former:
            return []
        return [MemberChange("joined" if former is None else "changed", member)]
