"""How long to wait before the next attempt: pure, with time and chance as arguments."""

from __future__ import annotations

from collections import deque

from multitransport.client.limits import ATTEMPTS_IN_PACE, BACKOFF_BASE_SECONDS, BACKOFF_CAP_SECONDS, PACE_SECONDS

__all__ = ["Backoff", "Pace"]


class Backoff:
    """Full jitter: each pause is drawn evenly up to a bound that doubles, so that no two clients keep step."""

    def __init__(self) -> None:
        self._failures = 0

    def next_seconds(self, chance: float, retry_after_seconds: float | None = None) -> float:
        """Return the next pause, at least as long as the server asked for. ``chance`` is in [0, 1)."""
        bound = min(BACKOFF_CAP_SECONDS, BACKOFF_BASE_SECONDS * 2.0 ** min(self._failures, 32))
        self._failures += 1
        return max(chance * bound, retry_after_seconds or 0.0)

    def reset(self) -> None:
        """A transport has carried the session for a stable time."""
        self._failures = 0


class Pace:
    """Holds attempts to a few in any span, whatever the reason for them."""

    def __init__(self) -> None:
        self._attempts: deque[float] = deque(maxlen=ATTEMPTS_IN_PACE)

    def wait_seconds(self, now: float) -> float:
        """Return how long the next attempt has to wait."""
        if len(self._attempts) < ATTEMPTS_IN_PACE:
            return 0.0
        return max(0.0, self._attempts[0] + PACE_SECONDS - now)

    def attempt(self, now: float) -> None:
        """Note an attempt."""
        self._attempts.append(now)
