"""How long the Redis broker waits, and how much it lets wait."""

from __future__ import annotations

import msgspec

__all__ = ["Timing", "milliseconds"]


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """Durations are in seconds, sizes in bytes."""

    connect_seconds: float = 2.0
    """How long a connection may take to be made, its handshake included."""

    probe_seconds: float = 1.0
    """A connection that was silent for so long is sent a PING."""

    answer_seconds: float = 2.0
    """A connection that stays silent for so long after that is dead."""

    retry_seconds: float = 1.0
    """The longest pause between two attempts to connect; the first is a twentieth of it."""

    publish_seconds: float = 5.0
    """How long a publication is tried, and a room's log waited for, before BrokerUnavailable."""

    check_seconds: float = 10.0
    """How often a room whose log heard nothing compares its position with Redis."""

    lag_seconds: float = 1.0
    """What a check finds in Redis for so long already was never announced here: the subscription is made anew."""

    vouch_seconds: float = 2.0
    """How long a room waits, when Redis began anew, for a node that knows its last entry."""

    lease_seconds: float = 15.0
    """How long a node may speak for its sessions without having renewed that, which it does five times as often. When
    two thirds more have passed, another node has ended it."""

    session_seconds: float = 3600.0
    """How long what is kept of a session outlives it, or the last node that refreshed it."""

    linger_seconds: float = 30.0
    """How long a room without readers is still followed."""

    idle_seconds: float = 3600.0
    """How long a room's epoch is kept after its log has run out."""

    state_seconds: float = 86400.0
    """How long the values of a state room are kept that nobody follows or publishes to."""

    max_waiting_bytes: int = 16 << 20
    """Publications of this node not yet in Redis. Beyond: BrokerUnavailable at once, but for a single larger one."""

    max_held_bytes: int = 1 << 20
    """Announcements held per room while its log is read. Beyond: they are dropped, and the log is read again."""

    @property
    def renew_seconds(self) -> float:
        """How often a node renews its lease."""
        return self.lease_seconds / 5

    @property
    def overdue_seconds(self) -> float:
        """A node that nobody hears, and that has not renewed its lease for so long, is gone."""
        return self.lease_seconds / 4


def milliseconds(seconds: float) -> int:
    """Return a time to live, as Redis takes it."""
    return max(1, round(seconds * 1000))
