from __future__ import annotations

import math
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multitransport.core.heartbeat import Action, Heartbeat, Pulse

PULSE = Pulse(ping_seconds=25.0, grace_seconds=10.0, stalled_seconds=30.0, confirm_seconds=12.0)
OVER = {Action.DEAD, Action.STALLED, Action.GHOST}
T = 1000.0


@dataclass
class Life:
    """Asks a heartbeat at the times it names, as its owner does, and notes what each moment called for."""

    pulse: Pulse = PULSE
    confirmed: bool = True
    again_at: float = T
    told: list[tuple[float, Action]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.heartbeat = Heartbeat(self.pulse, T, confirmed=self.confirmed)

    def until(self, time: float) -> None:
        """Let time pass; at this very time nothing is asked yet."""
        while self.again_at < time and math.isfinite(self.again_at):
            now = self.again_at
            action, self.again_at = self.heartbeat.tick(now)
            assert self.again_at > now
            if action is not Action.NOTHING:
                self.told.append((now - T, action))

    def heard(self, time: float) -> None:
        self.until(T + time)
        self.heartbeat.heard()


def test_the_first_ping_goes_out_at_once_and_then_one_each_interval() -> None:
    life = Life()
    for time in (1.0, 26.0, 51.0):
        life.heard(time)
    assert life.told == [(0.0, Action.PING), (25.0, Action.PING), (50.0, Action.PING)]


def test_a_client_that_never_answers_is_dead_after_the_grace() -> None:
    life = Life()
    life.until(math.inf)
    assert life.told == [(0.0, Action.PING), (10.0, Action.DEAD)]


def test_a_client_that_falls_silent_is_dead_within_ping_and_grace_exactly() -> None:
    life = Life()
    life.heard(0.5)
    life.until(math.inf)
    assert life.told == [(0.0, Action.PING), (25.0, Action.PING), (35.0, Action.DEAD)]


def test_a_client_is_alive_until_the_grace_is_over() -> None:
    heartbeat = Heartbeat(PULSE, T, confirmed=True)
    assert heartbeat.tick(T) == (Action.PING, T + 10.0)
    assert heartbeat.tick(math.nextafter(T + 10.0, 0.0)) == (Action.NOTHING, T + 10.0)
    assert heartbeat.tick(T + 10.0) == (Action.DEAD, math.inf)


def test_an_answer_at_the_last_moment_counts() -> None:
    life = Life()
    life.heard(10.0)
    life.until(T + 30.0)
    assert life.told == [(0.0, Action.PING), (25.0, Action.PING)]


def test_pings_closer_than_the_grace_do_not_put_death_off() -> None:
    life = Life(Pulse(ping_seconds=3.0, grace_seconds=10.0, stalled_seconds=30.0, confirm_seconds=10.0))
    life.until(math.inf)
    assert life.told == [*((3.0 * n, Action.PING) for n in range(4)), (10.0, Action.DEAD)]


def test_a_write_that_waits_too_long_is_stalled_exactly() -> None:
    life = Life()
    life.heard(0.5)
    life.heartbeat.writing_since = T + 1.0
    life.heard(26.0)
    life.until(math.inf)
    assert life.told == [(0.0, Action.PING), (25.0, Action.PING), (31.0, Action.STALLED)]


def test_a_write_that_begins_between_two_looks_is_found_in_time() -> None:
    quick = Pulse(ping_seconds=1000.0, grace_seconds=10.0, stalled_seconds=2.0, confirm_seconds=10.0)
    life = Life(quick)
    life.heard(0.5)
    life.until(T + 50.5)
    life.heartbeat.writing_since = T + 50.5
    life.until(T + 100.0)
    [_, (stalled, action)] = life.told
    assert action is Action.STALLED
    assert 52.5 <= stalled <= 54.5


def test_a_write_that_ends_in_time_does_not_count() -> None:
    life = Life()
    life.heartbeat.writing_since = T
    life.heard(1.0)
    life.heartbeat.writing_since = math.inf
    life.heard(26.0)
    life.until(T + 32.0)
    assert life.told == [(0.0, Action.PING), (25.0, Action.PING)]


def test_a_new_session_whose_client_never_speaks_is_a_ghost() -> None:
    unhurried = Pulse(ping_seconds=25.0, grace_seconds=60.0, stalled_seconds=30.0, confirm_seconds=12.0)
    life = Life(unhurried, confirmed=False)
    life.until(math.inf)
    assert life.told == [(0.0, Action.PING), (12.0, Action.GHOST)]


def test_a_ghost_is_told_from_a_dead_one_that_is_found_at_the_same_time() -> None:
    life = Life(Pulse(25.0, 10.0, 30.0, 10.0), confirmed=False)
    life.until(math.inf)
    assert life.told == [(0.0, Action.PING), (10.0, Action.GHOST)]


def test_a_new_session_whose_client_speaks_is_no_ghost() -> None:
    life = Life(confirmed=False)
    assert life.heartbeat.confirm_by == T + 12.0
    life.heard(9.0)
    assert life.heartbeat.confirm_by == math.inf
    life.until(T + 20.0)
    assert life.told == [(0.0, Action.PING)]


def test_where_nothing_is_pinged_nobody_is_dead() -> None:
    life = Life(Pulse(math.inf, 10.0, 30.0, 10.0))
    life.until(T + 1000.0)
    assert life.told == []


def test_where_no_answer_is_expected_nobody_is_dead() -> None:
    life = Life(Pulse(25.0, math.inf, 30.0, 10.0))
    life.until(T + 80.0)
    assert life.told == [(25.0 * n, Action.PING) for n in range(4)]


def test_intervals_below_a_second() -> None:
    life = Life(Pulse(ping_seconds=0.05, grace_seconds=0.03, stalled_seconds=1.0, confirm_seconds=1.0))
    life.heard(0.01)
    life.until(math.inf)
    assert [action for _, action in life.told] == [Action.PING, Action.PING, Action.DEAD]
    assert life.told[-1][0] == pytest.approx(0.08)


SPANS = st.floats(0.01, 100)


@given(st.builds(Pulse, SPANS, SPANS, SPANS, SPANS), st.lists(st.floats(0, 0.99), max_size=8))
def test_who_answers_within_the_grace_lives_and_who_stops_is_found_in_time(pulse: Pulse, shares: list[float]) -> None:
    """The client answers each ping after a share of the grace, and after the last answer no more."""
    heartbeat = Heartbeat(pulse, 0.0, confirmed=True)
    now, again_at, heard_at, answer_at = 0.0, 0.0, 0.0, math.inf
    action = Action.NOTHING
    while action is not Action.DEAD:
        now = min(again_at, answer_at)
        if now == answer_at:
            heartbeat.heard()
            heard_at, answer_at = now, math.inf
            continue
        action, again_at = heartbeat.tick(now)
        if action is Action.PING and answer_at == math.inf and shares:
            answer_at = now + shares.pop() * pulse.grace_seconds
        assert action in (Action.NOTHING, Action.PING) or not shares
    assert now <= heard_at + pulse.ping_seconds + pulse.grace_seconds + 1e-6
