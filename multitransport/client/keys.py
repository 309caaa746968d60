"""How far each key of a state room has been received: no I/O, no clock."""

from __future__ import annotations

__all__ = ["Keys"]


class Keys:
    """The highest offset seen of each key."""

    def __init__(self) -> None:
        self._offsets: dict[str, int] = {}
        self._deleted: set[str] = set()

    def take(self, key: str, offset: int, deleted: bool, through: int) -> bool:
        """Note a publication; return whether it is news of its key. All up to ``through`` has been received."""
        if offset <= self._offsets.get(key, through):
            return False
        self._offsets[key] = offset
        if deleted:
            self._deleted.add(key)
        else:
            self._deleted.discard(key)
        return True

    def forget_deleted(self, through: int) -> None:
        """Everything up to this offset has been received: nothing older can come of the keys that ended before."""
        for key in [key for key in self._deleted if self._offsets[key] <= through]:
            self._deleted.remove(key)
            del self._offsets[key]

    def clear(self) -> None:
        """Know nothing."""
        self._offsets.clear()
        self._deleted.clear()
