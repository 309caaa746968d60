"""Rooms that no program joins by itself: the inboxes of a session and of its user, and who is in a room."""

from __future__ import annotations

__all__ = ["PRESENCE_PREFIX", "SESSION_PREFIX", "is_inbox", "presence_of"]

SESSION_PREFIX = "@session/"
PRESENCE_PREFIX = "@presence/"
_USER_PREFIX = "@user/"


def is_inbox(room: str) -> bool:
    """Whether what is published there is for this session, or for its user, alone."""
    return room.startswith((SESSION_PREFIX, _USER_PREFIX))


def presence_of(room: str) -> str:
    """Return the state room of who is in a room."""
    return PRESENCE_PREFIX + room
