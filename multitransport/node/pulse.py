"""How often a transport is asked for a sign of life."""

from __future__ import annotations

import math

from multitransport.core.heartbeat import Pulse
from multitransport.node.settings import Settings

__all__ = ["pulse"]


def pulse(settings: Settings, transport: str) -> Pulse:
    """Return the intervals of a transport. The next poll is a poll's pong, so nothing is pinged there."""
    return Pulse(
        ping_seconds=math.inf if transport == "poll" else settings.ping_seconds,
        grace_seconds=settings.grace_seconds,
        stalled_seconds=settings.stalled_seconds,
        confirm_seconds=settings.hello_seconds,
    )
