"""A clock that stands still until it is told to move."""

from __future__ import annotations

__all__ = ["FakeClock"]


class FakeClock:
    """Call it for the time in seconds, as ``time.monotonic`` is called."""

    def __init__(self, now: float = 1_000.0) -> None:
        self._now = now

    def __call__(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        """Move on. Raises ValueError for a step back: a monotonic clock makes none."""
        if seconds < 0:
            raise ValueError("a clock does not run backwards")
        self._now += seconds
