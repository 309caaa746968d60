"""Who else is in a room: the state of its presence room, and what changes in it. No I/O, no clock."""

from __future__ import annotations

from typing import Literal

import msgspec

from multitransport.client.events import CaughtUp, Gap, Publication
from multitransport.core.members import Member, Meta, Shown, member_id

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
        self._member_of: dict[str, str] = {}
        self._unsure: set[str] = set()

    def take(self, effect: Publication | Gap | CaughtUp) -> list[MemberChange]:
        """Take what the presence room tells. Raises msgspec.ValidationError for data that no session is shown by."""
        match effect:
            case Gap():
                self._unsure = set(self._member_of)
                return []
            case CaughtUp():
                return self._remove(self._unsure)
            case Publication(key=str(session), deleted=True):
                return self._remove({session})
            case Publication(key=str(session), data=dict(data)):
                return self._put(session, msgspec.convert(data, Shown))
        return []

    def _put(self, session: str, shown: Shown) -> list[MemberChange]:
        self._unsure.discard(session)
        id = self._member_of[session] = member_id(session, shown.user)  # noqa: A001
        former = self.members.get(id)
        metas = [] if former is None else former.metas
        meta = Meta(session, shown.transport, shown.meta)
        # Also where it is only told again: they are in the order in which they changed last.
        member = Member(id, shown.user, [*(each for each in metas if each.session != session), meta])
        self.members[id] = member
        if former is None:
            return [MemberChange("joined", member)]
        return [] if meta in metas else [MemberChange("changed", member)]

    def _remove(self, sessions: set[str]) -> list[MemberChange]:
        """Take sessions out; a member that several of them belong to changes, or leaves, once."""
        self._unsure = self._unsure - sessions
        changes = []
        for id in {self._member_of.pop(session) for session in sessions if session in self._member_of}:  # noqa: A001
            former = self.members[id]
            metas = [meta for meta in former.metas if meta.session not in sessions]
            if metas:
                member = self.members[id] = Member(id, former.user, metas)
                changes.append(MemberChange("changed", member))
            else:
                del self.members[id]
                changes.append(MemberChange("left", former))
        return changes
