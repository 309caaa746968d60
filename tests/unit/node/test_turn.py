from __future__ import annotations

from contextvars import ContextVar

import pytest

from multitransport.node.turn import Turn
from tests.simulated import simulated, simulated_loop

publisher: ContextVar[str] = ContextVar("publisher", default="")


@simulated
async def test_all_is_flushed_once_what_runs_now_is_done_and_rooms_come_first() -> None:
    turn = Turn(simulated_loop())
    flushed: list[str] = []
    turn.flush(lambda: flushed.append("one"))
    turn.flush(lambda: flushed.append("another"))
    turn.flush(lambda: flushed.append("room"), room=True)
    assert flushed == []
    await simulated_loop().settle()
    assert flushed == ["room", "one", "another"]


@simulated
async def test_what_has_news_while_others_are_flushed_waits_for_the_next_turn() -> None:
    turn = Turn(simulated_loop())
    flushed: list[str] = []

    def more() -> None:
        flushed.append("one")
        turn.flush(lambda: flushed.append("again"))

    turn.flush(more)
    turn.flush(lambda: flushed.append("another"))
    await simulated_loop().settle()
    assert flushed == ["one", "another", "again"]


@simulated
async def test_a_flush_that_fails_costs_the_others_nothing(caplog: pytest.LogCaptureFixture) -> None:
    turn = Turn(simulated_loop())
    flushed: list[str] = []

    def fail() -> None:
        raise RuntimeError("broken")

    turn.flush(fail)
    turn.flush(lambda: flushed.append("another"))
    await simulated_loop().settle()
    assert flushed == ["another"]
    assert "writing what is new has failed" in caplog.text


@simulated
async def test_nobody_is_flushed_in_the_context_of_who_publishes() -> None:
    turn = Turn(simulated_loop())
    seen: list[str] = []
    publisher.set("ann")
    turn.flush(lambda: seen.append(publisher.get()))
    await simulated_loop().settle()
    assert seen == [""]
