"""Waiting for something to become true, rather than for a guess at how long it takes."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

__all__ = ["eventually"]

T = TypeVar("T")

_EVERY_SECONDS = 0.01


@overload
async def eventually(condition: Callable[[], Awaitable[T]], within_seconds: float = 15.0) -> T: ...


@overload
async def eventually(condition: Callable[[], T], within_seconds: float = 15.0) -> T: ...


async def eventually(condition: Callable[[], Any], within_seconds: float = 15.0) -> Any:
    """Call ``condition``, plain or async, until what it returns is true, and return that.

    Raises AssertionError, with the last value, where that does not come about in time.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_seconds
    while True:
        value = condition()
        if inspect.isawaitable(value):
            value = await value
        if value:
            return value
        if loop.time() >= deadline:
            raise AssertionError(f"not true within {within_seconds:g} s; the last value was {value!r}")
        await asyncio.sleep(_EVERY_SECONDS)
