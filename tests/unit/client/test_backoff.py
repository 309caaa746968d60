"""The pauses between attempts."""

from __future__ import annotations

import pytest

from multitransport.client.backoff import Backoff, Pace
from multitransport.client.limits import BACKOFF_BASE_SECONDS, BACKOFF_CAP_SECONDS, PACE_SECONDS

NEARLY_ONE = 1 - 1e-9


def test_the_bound_doubles_up_to_the_cap() -> None:
    backoff = Backoff()
    bounds = [backoff.next_seconds(NEARLY_ONE) for _ in range(12)]
    assert bounds[:3] == pytest.approx([BACKOFF_BASE_SECONDS * factor for factor in (1, 2, 4)])
    assert bounds[-2:] == pytest.approx([BACKOFF_CAP_SECONDS] * 2)


def test_the_jitter_is_full_also_at_the_cap() -> None:
    backoff = Backoff()
    for _ in range(12):
        backoff.next_seconds(0.5)
    assert backoff.next_seconds(0.0) == 0.0
    assert backoff.next_seconds(0.5) == pytest.approx(BACKOFF_CAP_SECONDS / 2)


def test_what_the_server_asks_for_is_the_least() -> None:
    assert Backoff().next_seconds(0.0, retry_after_seconds=7.5) == 7.5


def test_a_reset_begins_anew() -> None:
    backoff = Backoff()
    for _ in range(5):
        backoff.next_seconds(0.5)
    backoff.reset()
    assert backoff.next_seconds(NEARLY_ONE) == pytest.approx(BACKOFF_BASE_SECONDS)


def test_a_thousand_failures_do_not_overflow() -> None:
    backoff = Backoff()
    assert max(backoff.next_seconds(NEARLY_ONE) for _ in range(2000)) <= BACKOFF_CAP_SECONDS


def test_no_more_than_two_attempts_in_any_span() -> None:
    pace, now, attempts = Pace(), 0.0, []
    for _ in range(9):
        now += pace.wait_seconds(now)
        pace.attempt(now)
        attempts.append(now)
    assert attempts[:2] == [0.0, 0.0]
    assert all(later - earlier >= PACE_SECONDS for earlier, later in zip(attempts, attempts[2:], strict=False))
