"""What a room has delivered and the program has not yet taken: bounded, and never silent about what it had to drop."""

from __future__ import annotations

from itertools import count

from multitransport.client.events import Gap, Publication
from multitransport.client.limits import MAX_BUFFERED_ITEMS

__all__ = ["RoomBuffer"]


class RoomBuffer:
    """A queue that drops its oldest publications when full, and counts them in a Gap at its front; volatile ones, which
    nobody is owed, go uncounted.

    With ``conflate``, for state rooms, a publication takes the place of one with its key that still waits, so that no
    busy key holds others up.
    """

    def __init__(self, max_items: int = MAX_BUFFERED_ITEMS) -> None:
        self.conflate = False
        self._items: dict[str | int, Publication | Gap] = {}
        self._max_items = max_items
        self._dropped: Gap | None = None
        self._numbers = count()

    def __len__(self) -> int:
        return len(self._items) + (self._dropped is not None)

    def put(self, item: Publication | Gap) -> None:
        """Add an item, dropping the oldest where there is no room."""
        place: str | int = next(self._numbers)
        if self.conflate:
            if isinstance(item, Gap):
                # It makes void what was known of the keys, so those that wait are of no use any more.
                self._items = {at: each for at, each in self._items.items() if not isinstance(at, str)}
            elif item.key is not None and item.position is not None:
                place = item.key
        if len(self._items) >= self._max_items and place not in self._items:
            self._drop(self._items.pop(next(iter(self._items))))
        self._items[place] = item

    def take(self) -> Publication | Gap:
        """Remove and return the oldest item. Raises IndexError where there is none."""
        if self._dropped is not None:
            gap, self._dropped = self._dropped, None
            return gap
        if not self._items:
            raise IndexError("nothing waits")
        return self._items.pop(next(iter(self._items)))

    def _drop(self, item: Publication | Gap) -> None:
        if item.position is None:
            return
        before = 0 if self._dropped is None else self._dropped.lost
        more = 1 if isinstance(item, Publication) else item.lost
        lost = None if before is None or more is None else before + more
        self._dropped = Gap(item.room, item.position, lost)
