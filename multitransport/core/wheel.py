"""A timer wheel: many deadlines, few buckets. It is told the time and calls nothing."""

from __future__ import annotations

import heapq
import math
from typing import Generic, TypeVar

__all__ = ["Entry", "Wheel"]

T = TypeVar("T")


class Entry(Generic[T]):
    """One deadline; ``cancel`` lets go of its item at once."""

    __slots__ = ("item",)

    def __init__(self, item: T) -> None:
        self.item: T | None = item

    def cancel(self) -> None:
        """Make the deadline pass without notice."""
        self.item = None


class Wheel(Generic[T]):
    """Deadlines in buckets of ``resolution_seconds``; an item is due at its time or up to one resolution later, never
    earlier.
    """

    def __init__(self, resolution_seconds: float) -> None:
        self._resolution = resolution_seconds
        self._buckets: dict[int, list[Entry[T]]] = {}
        self._ticks: list[int] = []

    def add(self, at: float, item: T) -> Entry[T]:
        """Make the item due at this time."""
        tick = math.ceil(at / self._resolution)
        if tick * self._resolution < at:  # the quotient was rounded down
            tick += 1
        entry = Entry(item)
        bucket = self._buckets.get(tick)
        if bucket is None:
            self._buckets[tick] = [entry]
            heapq.heappush(self._ticks, tick)
        else:
            bucket.append(entry)
        return entry

    def next_at(self) -> float | None:
        """Return when to ask again, None where nothing is to come."""
        return self._ticks[0] * self._resolution if self._ticks else None

    def due(self, now: float) -> list[T]:
        """Remove and return what is due."""
        items: list[T] = []
        while self._ticks and self._ticks[0] * self._resolution <= now:
            bucket = self._buckets.pop(heapq.heappop(self._ticks))
            items.extend(entry.item for entry in bucket if entry.item is not None)
        return items
