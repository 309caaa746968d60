"""Every bound and every duration the client decides on by itself, each with what happens when it is met."""

from __future__ import annotations

__all__ = [
    "ATTEMPTS_IN_PACE",
    "ATTEMPT_SECONDS",
    "BACKOFF_BASE_SECONDS",
    "BACKOFF_CAP_SECONDS",
    "BATCH_BYTES",
    "BYE_SECONDS",
    "IDLE_CONNECTION_SECONDS",
    "MAX_ASKS",
    "MAX_BUFFERED_ITEMS",
    "MAX_RECEIVED_BYTES",
    "MAX_UNSENT_BYTES",
    "MAX_UNSENT_FRAMES",
    "PACE_SECONDS",
    "POLL_SECONDS",
    "SEND_SECONDS",
    "STABLE_SECONDS",
    "UPGRADE_BASE_SECONDS",
    "UPGRADE_CAP_SECONDS",
    "YOUNG_DEATHS",
]

MAX_UNSENT_FRAMES = 1_000
"""Frames without an outcome, sent or not. Beyond: the call raises QueueFull."""

MAX_UNSENT_BYTES = 8 << 20
"""What these frames may add up to. Beyond: the call raises QueueFull."""

MAX_BUFFERED_ITEMS = 10_000
"""Publications of one room nobody has iterated over yet. Beyond: the oldest are dropped and counted in a Gap. Of a
state room only the newest of each key waits.
"""

MAX_ASKS = 64
"""Questions of the server whose handlers run. Beyond: they are answered with the error ``busy``."""

MAX_RECEIVED_BYTES = 64 << 20
"""One message from the server. Beyond: the transport is dropped as broken."""

BATCH_BYTES = 256 << 10
"""What one message to the server aims at. A single larger frame still goes out whole, if the server takes it."""

ATTEMPT_SECONDS = 5.0
"""How long a transport may take from its first byte to a welcome and an answered ping. Beyond: the next transport is
tried.
"""

STABLE_SECONDS = 10.0
"""A transport that carried the session this long is good: backoff and the count of young deaths begin anew."""

YOUNG_DEATHS = 3
"""A transport that worked but died young this many times in a row is left for the next one."""

BACKOFF_BASE_SECONDS = 0.3
BACKOFF_CAP_SECONDS = 30.0
"""The longest pause before attempt n is base * 2**n, at most the cap; the pause is drawn evenly from zero to there."""

ATTEMPTS_IN_PACE = 2
PACE_SECONDS = 0.5
"""However good the reason, no more attempts than this in any such span."""

UPGRADE_BASE_SECONDS = 60.0
UPGRADE_CAP_SECONDS = 900.0
"""On a lesser transport a better one is tried in the background after the base, then after twice that, up to the cap.
"""

POLL_SECONDS = 25.0
"""How long the client lets the server hold a poll."""

SEND_SECONDS = 10.0
"""How long a request that sends may stand still. Beyond: the transport is taken for broken, and the frames repeated."""

IDLE_CONNECTION_SECONDS = 3.0
"""Idle HTTP connections are kept this long: less than servers commonly keep theirs, so that no request meets a closing
one.
"""

BYE_SECONDS = 1.0
"""How long ``close()`` waits for the server's answer to bye."""
