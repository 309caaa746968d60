"""Handlers of questions: bounded, ended with the client, and never without an answer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from multitransport import Invalid, QueueFull, Refuse
from multitransport.client.asks import Asks, Tasks, run_callback
from multitransport.client.events import Asked
from multitransport.client.limits import MAX_ASKS
from multitransport.errors import ConnectionClosed
from multitransport.testing.waiting import eventually


class Answers:
    """What a session is given; it takes no more than ``room``."""

    def __init__(self, room: int = 1000) -> None:
        self.given: dict[str, Any] = {}
        self._room = room

    def answer(self, ask: str, data: Any) -> None:
        if isinstance(data, Exception):
            raise data
        self._put(ask, data)

    def answer_error(self, ask: str, code: str, message: str) -> None:
        self._put(ask, (code, message))

    def _put(self, ask: str, answer: Any) -> None:
        if len(self.given) >= self._room:
            raise QueueFull("full")
        self.given[ask] = answer


async def test_no_more_handlers_run_than_may_and_they_end_with_the_client() -> None:
    answers = Answers()
    ended = []

    async def forever(data: Any) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(data)

    asks = Asks(answers, lambda: None)
    asks.handle("e", forever)
    for number in range(MAX_ASKS + 1):
        asks.take(Asked(f"q{number}", "e", number))
    assert answers.given == {f"q{MAX_ASKS}": ("busy", f"{MAX_ASKS} handlers are running")}
    await asyncio.sleep(0)
    await asks.end()
    assert sorted(ended) == list(range(MAX_ASKS))
    assert len(answers.given) == 1


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (Refuse("not_now", "later"), ("not_now", "later")),
        (Refuse("Not a code"), ("refused", "")),
        (Invalid("invalid", "the field x"), ("invalid", "the field x")),
        (ZeroDivisionError("secret"), ("failed", "the handler raised")),
    ],
)
async def test_what_a_handler_raises_is_told_by_a_code(error: Exception, answer: tuple[str, str]) -> None:
    def raises(data: Any) -> None:
        raise error

    answers = Answers()
    asks = Asks(answers, lambda: None)
    asks.handle("e", raises)
    asks.take(Asked("q", "e", None))
    await eventually(lambda: answers.given == {"q": answer})
    await asks.end()


async def test_where_no_answer_can_be_kept_that_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    asks = Asks(Answers(room=0), lambda: None)
    asks.take(Asked("q", "nobody", None))
    assert "no answer to 'nobody'" in caplog.text


async def test_a_callback_that_fails_is_logged_and_one_whose_session_ends_is_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def raises(error: Exception) -> None:
        raise error

    await run_callback(raises, ConnectionClosed(3509, "bye"))
    assert not caplog.records
    await run_callback(raises, ZeroDivisionError())
    assert "a callback failed" in caplog.text


async def test_a_task_may_end_the_others() -> None:
    tasks = Tasks()
    done = asyncio.Event()

    async def ends() -> None:
        await tasks.end()
        done.set()

    async def waits() -> None:
        await asyncio.Event().wait()

    tasks.start(waits())
    tasks.start(ends())
    await asyncio.wait_for(done.wait(), 5)
    await eventually(lambda: not len(tasks))
