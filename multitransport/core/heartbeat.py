"""The deadlines of one transport: when to ping, when its client is dead, stalled, or a ghost."""

from __future__ import annotations

import enum
import math

import msgspec

__all__ = ["Action", "Heartbeat", "Pulse"]


class Action(enum.Enum):
    """What a moment calls for."""

    NOTHING = "nothing"
    PING = "ping"
    DEAD = "dead"
    """Nothing was heard within the grace after a ping."""
    STALLED = "stalled"
    """A write has waited too long for the client to read."""
    GHOST = "ghost"
    """The client of a new session never gave a sign of life."""


class Pulse(msgspec.Struct, frozen=True):
    """The intervals, in seconds. ``ping_seconds`` is infinite where nothing is pinged, ``grace_seconds`` where no
    answer is expected.
    """

    ping_seconds: float
    grace_seconds: float
    stalled_seconds: float
    confirm_seconds: float


class Heartbeat:
    """Ask ``tick`` at the times it names. After DEAD, STALLED or GHOST the transport is over and nothing more is
    asked.
    """

    __slots__ = ("_ping_at", "_pulse", "_silent_since", "confirm_by", "writing_since")

    def __init__(self, pulse: Pulse, now: float, *, confirmed: bool) -> None:
        self._pulse = pulse
        # The first ping goes out at once: it tells the client that what it reads is not held back on the way.
        self._ping_at = now if math.isfinite(pulse.ping_seconds) else math.inf
        self._silent_since = math.inf
        self.confirm_by = math.inf if confirmed else now + pulse.confirm_seconds
        self.writing_since = math.inf

    def heard(self) -> None:
        """Note a sign of life."""
        self._silent_since = math.inf
        self.confirm_by = math.inf

    def tick(self, now: float) -> tuple[Action, float]:
        """Return what this moment calls for and when to ask again."""
        pulse = self._pulse
        stalled_at = self.writing_since + pulse.stalled_seconds
        if now >= stalled_at:
            return Action.STALLED, math.inf
        if now >= self.confirm_by:
            return Action.GHOST, math.inf
        if now >= self._silent_since + pulse.grace_seconds:
            return Action.DEAD, math.inf
        action = Action.NOTHING
        if now >= self._ping_at:
            action = Action.PING
            self._ping_at = now + pulse.ping_seconds
            self._silent_since = min(self._silent_since, now)
        dead_at = self._silent_since + pulse.grace_seconds
        # A write may begin to stall any time: look at least as often as it may last.
        return action, min(self._ping_at, dead_at, stalled_at, self.confirm_by, now + pulse.stalled_seconds)
