"""The deadlines of one transport: when to ping, when its client is dead, stalled or a ghost, when a close has taken too long."""

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
    ABORT = "abort"
    """A close has taken too long."""


class Pulse(msgspec.Struct, frozen=True):
    """The intervals, in seconds; ``ping_seconds`` is infinite where no pings are sent."""

    ping_seconds: float
    grace_seconds: float
    stalled_seconds: float
    confirm_seconds: float
    close_seconds: float


class Heartbeat:
    """Ask ``tick`` at the times it names. An action other than PING is told once per cause; the caller then closes or aborts."""

    __slots__ = ("_confirm_by", "_ping_at", "_pulse", "_silent_since", "closing_since", "writing_since")

    def __init__(self, pulse: Pulse, now: float, *, confirmed: bool) -> None:
        self._pulse = pulse
        self._ping_at = now if not confirmed else now + pulse.ping_seconds
        self._confirm_by = math.inf if confirmed else now + pulse.confirm_seconds
        self._silent_since: float | None = None
        self.writing_since: float | None = None
        self.closing_since: float | None = None

    def heard(self) -> None:
        """Note a sign of life."""
        self._silent_since = None
        self._confirm_by = math.inf

    def tick(self, now: float) -> tuple[Action, float]:
        """Return what this moment calls for and when to ask again."""
        pulse = self._pulse
        abort_at = math.inf if self.closing_since is None else self.closing_since + pulse.close_seconds
        if now >= abort_at:
            return Action.ABORT, math.inf
        if self.closing_since is not None:
            return Action.NOTHING, abort_at
        stalled_at = (math.inf if self.writing_since is None else self.writing_since) + pulse.stalled_seconds
        if now >= stalled_at:
            return Action.STALLED, now + pulse.close_seconds
        if now >= self._confirm_by:
            return Action.GHOST, now + pulse.close_seconds
        dead_at = math.inf if self._silent_since is None else self._silent_since + pulse.grace_seconds
        if now >= dead_at:
            return Action.DEAD, now + pulse.close_seconds
        action = Action.NOTHING
        if now >= self._ping_at:
            action = Action.PING
            self._ping_at = now + pulse.ping_seconds
            if self._silent_since is None:
                self._silent_since = now
                dead_at = now + pulse.grace_seconds
        # A write may begin to stall any time: look at least as often as it may last.
        return action, min(self._ping_at, dead_at, stalled_at, self._confirm_by, now + pulse.stalled_seconds)
