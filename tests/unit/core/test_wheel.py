from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from multitransport.core.wheel import Wheel

TIMES = st.floats(0, 1e6)


def test_an_empty_wheel_waits_for_nothing() -> None:
    wheel: Wheel[str] = Wheel(0.5)
    assert wheel.next_at() is None
    assert wheel.due(1e9) == []


def test_an_item_is_due_at_its_time() -> None:
    wheel: Wheel[str] = Wheel(0.5)
    wheel.add(3.0, "a")
    assert wheel.next_at() == 3.0
    assert wheel.due(2.9) == []
    assert wheel.due(3.0) == ["a"]
    assert wheel.due(4.0) == []
    assert wheel.next_at() is None


def test_an_item_between_two_turns_is_due_at_the_later() -> None:
    wheel: Wheel[str] = Wheel(0.5)
    wheel.add(3.1, "a")
    assert wheel.next_at() == 3.5
    assert wheel.due(3.4) == []
    assert wheel.due(3.5) == ["a"]


def test_items_come_in_the_order_of_their_turns_and_then_as_they_were_added() -> None:
    wheel: Wheel[str] = Wheel(1.0)
    for at, item in [(5.0, "c"), (2.0, "a"), (4.5, "d"), (2.0, "b")]:
        wheel.add(at, item)
    assert wheel.next_at() == 2.0
    assert wheel.due(2.0) == ["a", "b"]
    assert wheel.due(10.0) == ["c", "d"]


def test_what_is_cancelled_passes_without_notice_and_is_let_go_of_at_once() -> None:
    wheel: Wheel[str] = Wheel(1.0)
    entry = wheel.add(2.0, "a")
    wheel.add(2.0, "b")
    entry.cancel()
    assert entry.item is None
    assert wheel.due(2.0) == ["b"]
    entry.cancel()


def test_what_is_due_already_is_due_at_the_next_question() -> None:
    wheel: Wheel[str] = Wheel(1.0)
    wheel.add(-5.0, "a")
    assert wheel.due(0.0) == ["a"]


@given(st.lists(TIMES, min_size=1, max_size=50), st.sampled_from([0.01, 0.025, 0.1, 0.25, 1 / 3, 1.0, 7.0]))
@example([0.3, 0.7, 1.1], 0.1)
@example([62.47500000000001], 0.025)
def test_never_early_and_at_most_one_turn_late(times: list[float], resolution: float) -> None:
    wheel: Wheel[float] = Wheel(resolution)
    for at in times:
        wheel.add(at, at)
    came: list[float] = []
    while (now := wheel.next_at()) is not None:
        due = wheel.due(now)
        assert due
        for at in due:
            assert at <= now <= at + resolution * (1 + 1e-6)
        came += due
    assert sorted(came) == sorted(times)
