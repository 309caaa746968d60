from __future__ import annotations

import os
from dataclasses import replace

import psutil
import pytest

from examples.dashboard import readings
from examples.dashboard.readings import Counters, Sampler, busiest, cores, counters, machine, rate

START = Counters(
    seconds=100.0, busy=(10.0, 20.0), total=(50.0, 50.0), read=1000, written=2000, received=3000, sent=4000
)


def test_a_core_is_as_busy_as_its_share_of_the_time_that_passed() -> None:
    later = replace(START, busy=(10.25, 21.0), total=(51.0, 51.0))
    assert cores(START, later) == [25.0, 100.0]


def test_a_core_that_has_not_moved_is_idle() -> None:
    assert cores(START, START) == [0.0, 0.0]


def test_a_core_never_leaves_0_to_100() -> None:
    assert cores(START, replace(START, busy=(9.0, 23.0), total=(51.0, 51.0))) == [0.0, 100.0]


def test_a_core_that_came_reads_0_and_is_there() -> None:
    assert cores(START, replace(START, busy=(10.5, 20.5, 1.0), total=(51.0, 51.0, 1.0))) == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("old", "new", "seconds", "expected"),
    [(0, 500, 0.5, 1000), (500, 500, 1.0, 0), (500, 100, 1.0, 0), (0, 500, 0.0, 0)],
)
def test_rate(old: int, new: int, seconds: float, expected: int) -> None:
    assert rate(old, new, seconds) == expected


def test_rates_are_those_of_the_last_second(monkeypatch: pytest.MonkeyPatch) -> None:
    at = START
    monkeypatch.setattr(readings, "counters", lambda: at)
    sampler = Sampler()
    at = replace(START, seconds=100.5, read=1500)
    assert sampler.read()["d"] == [1000, 0]
    at = replace(START, seconds=101.5, read=1500, written=2100)
    # The burst at 100.5 lies outside the second that ends now.
    assert sampler.read()["d"] == [0, 100]
    at = replace(START, seconds=105.0, read=1500, written=2100)
    # Nobody asked for 3.5 seconds: the window stretches rather than dividing by nothing.
    assert sampler.read()["d"] == [0, 0]


def test_a_reading_of_this_machine_is_plausible() -> None:
    reading = Sampler().read()
    assert set(reading) == {"t", "c", "m", "d", "w", "l"}
    assert len(reading["c"]) == machine()["cores"]
    assert all(0 <= percent <= 100 for percent in reading["c"])
    assert 0 < reading["m"] < machine()["memory"]
    assert all(value >= 0 for value in [*reading["d"], *reading["w"], *reading["l"]])


def test_counters_only_go_up() -> None:
    before, after = counters(), counters()
    assert after.seconds >= before.seconds
    assert sum(after.total) >= sum(before.total)
    assert after.received >= before.received


def test_the_busiest_processes_come_first_and_no_more_than_asked() -> None:
    busiest(1)
    until = sum(os.times()[:2]) + 0.05
    while sum(os.times()[:2]) < until:
        pass
    table = busiest(3)
    assert len(table) <= 3
    assert [row[2] for row in table] == sorted((row[2] for row in table), reverse=True)
    assert table[0][2] > 0


def test_a_process_that_ends_while_it_is_looked_at_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(self: psutil.Process) -> str:
        raise psutil.NoSuchProcess(self.pid)

    monkeypatch.setattr(psutil.Process, "name", gone)
    assert busiest(5) == []
