"""What the server asks of the program: handlers by event, each run in a task of its own."""

from __future__ import annotations

import asyncio
import inspect
import logging
import re
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from multitransport.client.events import Asked
from multitransport.client.limits import MAX_ASKS
from multitransport.errors import MultiTransportError, QueueFull, Refuse, RequestError

__all__ = ["Asks", "Tasks", "run_callback"]

_logger = logging.getLogger("multitransport.client")

_CODE = re.compile(r"[a-z0-9_]{1,64}")


class Tasks:
    """Tasks that end with the client."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run it, which raises nothing."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def end(self) -> None:
        """Cancel those that still run, but not the one that asks for it."""
        tasks = self._tasks - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Answering(Protocol):
    """Takes answers; the session is one."""

    def answer(self, ask: str, data: Any) -> None: ...

    def answer_error(self, ask: str, code: str, message: str) -> None: ...


class Asks:
    """Runs the handlers and gives their answers to the session; ``wake`` has them sent."""

    def __init__(self, session: Answering, wake: Callable[[], None]) -> None:
        self._session = session
        self._wake = wake
        self._tasks = Tasks()
        self._handlers: dict[str, Callable[[Any], Any]] = {}

    def handle(self, event: str, handler: Callable[[Any], Any]) -> None:
        """Have this handler, plain or async, run for an event, in place of another."""
        self._handlers[event] = handler

    def take(self, asked: Asked) -> None:
        """Begin to answer."""
        handler = self._handlers.get(asked.event)
        if handler is None:
            self._answer_error(asked, "unknown_event", f"no handler for {asked.event!r}")
        elif len(self._tasks) >= MAX_ASKS:
            self._answer_error(asked, "busy", f"{MAX_ASKS} handlers are running")
        else:
            self._tasks.start(self._run(handler, asked))

    async def end(self) -> None:
        """Cancel what runs."""
        await self._tasks.end()

    async def _run(self, handler: Callable[[Any], Any], asked: Asked) -> None:
        try:
            result = handler(asked.data)
            self._session.answer(asked.id, await result if inspect.isawaitable(result) else result)
            self._wake()
        except (Refuse, RequestError) as error:
            self._answer_error(asked, error.code if _CODE.fullmatch(error.code) else "refused", error.message)
        except Exception:
            _logger.exception("the handler of %r failed", asked.event)
            self._answer_error(asked, "failed", "the handler raised")

    def _answer_error(self, asked: Asked, code: str, message: str) -> None:
        try:
            self._session.answer_error(asked.id, code, message)
        except QueueFull as error:
            _logger.warning("no answer to %r: %s", asked.event, error)
        self._wake()


async def run_callback(callback: Callable[..., Any], *arguments: Any) -> None:
    """Call it, plain or async. That the room or the session it works with has ended is no failure."""
    try:
        result = callback(*arguments)
        if inspect.isawaitable(result):
            await result
    except MultiTransportError as error:
        _logger.debug("a callback ended: %s", error)
    except Exception:
        _logger.exception("a callback failed")
