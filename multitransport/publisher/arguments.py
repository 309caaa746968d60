"""What every ``publish`` takes for a room."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet

__all__ = ["Several", "rooms_of"]

# Not Iterable: a string is one too.
Several = list[str] | tuple[str, ...] | AbstractSet[str] | Iterator[str]


def rooms_of(room: object) -> list[str]:
    """Return the rooms that are meant. Raises TypeError."""
    rooms = [room] if isinstance(room, str) else list(room) if isinstance(room, Iterable) else None
    if rooms is None or not all(isinstance(each, str) for each in rooms):
        raise TypeError(f"a room is a string, or several are a list of strings, not {room!r}")
    return rooms
