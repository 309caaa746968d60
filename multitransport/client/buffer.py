"""What a room has delivered and the program has not yet taken: bounded, and never silent about what it had to drop."""

from __future__ import annotations

from collections import deque

from multitransport.client.events import Gap, Publication
from multitransport.client.limits import MAX_BUFFERED_ITEMS

__all__ = ["RoomBuffer"]


class RoomBuffer:
    """A queue that drops its oldest publications when full, and counts them in a Gap at its front."""

    def __init__(self, max_items: int = MAX_BUFFERED_ITEMS) -> None:
        self._items: deque[Publication | Gap] = deque()
        self._max_items = max_items
        self._dropped: Gap | None = None

    def __len__(self) -> int:
        return len(self._items) + (self._dropped is not None)

    def put(self, item: Publication | Gap) -> None:
        """Add an item, dropping the oldest where there is no room."""
        if len(self._items) >= self._max_items:
            self._drop(self._items.popleft())
        self._items.append(item)

    def take(self) -> Publication | Gap:
        """Remove and return the oldest item. Raises IndexError where there is none."""
        if self._dropped is not None:
            gap, self._dropped = self._dropped, None
            return gap
        return self._items.popleft()

    def _drop(self, item: Publication | Gap) -> None:
        before = 0 if self._dropped is None else self._dropped.lost
        more = 1 if isinstance(item, Publication) else item.lost
        lost = None if before is None or more is None else before + more
        self._dropped = Gap(item.room, item.position, lost)
