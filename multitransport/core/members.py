"""Who is in a room, as its presence room has it: one key for each session, grouped by who they are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

__all__ = ["Member", "Meta", "Shown", "member_id", "members_of"]


class Shown(msgspec.Struct, frozen=True):
    """What others see of a session: the data of its key."""

    user: str | None
    transport: str | None
    meta: Any = None


class Meta(msgspec.Struct, frozen=True):
    """One session of a member: how it is carried and what it says of itself."""

    session: str
    transport: str | None
    meta: Any = None


class Member(msgspec.Struct, frozen=True):
    """Who is in a room: a user with all their sessions, or one anonymous session. ``id`` tells members apart.

    Of the ``metas`` the one that changed last is the last.
    """

    id: str
    user: str | None
    metas: list[Meta]


def member_id(session: str, user: str | None) -> str:
    """Return the id of the member that a session belongs to."""
    return f"session:{session}" if user is None else f"user:{user}"


def members_of(sessions: Iterable[tuple[str, Shown]]) -> list[Member]:
    """Return the members whose sessions these are, in the order in which those changed."""
    members: dict[str, Member] = {}
    for session, shown in sessions:
        id = member_id(session, shown.user)  # noqa: A001
        member = members.setdefault(id, Member(id, shown.user, []))
        member.metas.append(Meta(session, shown.transport, shown.meta))
    return list(members.values())
