"""eventually."""

from __future__ import annotations

import asyncio

import pytest

from multitransport.testing.waiting import eventually


async def test_it_returns_what_became_true() -> None:
    values = iter([0, "", None, "ready", "later"])
    assert await eventually(lambda: next(values)) == "ready"


async def test_a_condition_may_be_async() -> None:
    event = asyncio.Event()
    asyncio.get_running_loop().call_later(0.02, event.set)

    async def happened() -> bool:
        return event.is_set()

    assert await eventually(happened) is True


async def test_it_gives_up_and_says_what_it_saw() -> None:
    with pytest.raises(AssertionError, match=r"not true within 0.05 s; the last value was \[\]"):
        await eventually(list, within_seconds=0.05)
