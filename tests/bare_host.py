"""A web framework that has nothing but what a node asks of it."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from multitransport.errors import Refuse
from multitransport.node.host import Scope

__all__ = ["Abort", "BareHost"]


class Abort(Exception):
    """The framework's own way to refuse."""


class BareHost:
    """``within`` names the contexts that are entered now."""

    def __init__(self) -> None:
        self.within: list[str] = []

    @asynccontextmanager
    async def request_context(self, scope: Scope) -> AsyncIterator[None]:
        async with self._context(f"request of {scope['path']}"):
            yield

    @asynccontextmanager
    async def app_context(self) -> AsyncIterator[None]:
        async with self._context("app"):
            yield

    def ensure_async(self, function: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
        if inspect.iscoroutinefunction(function):
            return function

        async def call(*args: Any, **values: Any) -> Any:
            return function(*args, **values)

        return call

    def refusal(self, error: BaseException) -> Refuse | None:
        return Refuse("forbidden", "the framework said no") if isinstance(error, Abort) else None

    @asynccontextmanager
    async def _context(self, name: str) -> AsyncIterator[None]:
        self.within.append(name)
        try:
            yield
        finally:
            self.within.pop()
