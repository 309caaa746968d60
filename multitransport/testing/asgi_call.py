"""One call of an ASGI app in this process: events in, events out, and an end that leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

__all__ = ["App", "AsgiCall", "Event", "Receive", "Send", "running"]

Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
App = Callable[..., Any]
"""An ASGI application. Frameworks type their own events more closely than one type could say."""

_logger = logging.getLogger("multitransport.testing")

_MAX_EVENTS = 16
"""An app that sends faster than its client reads waits, as it does behind a socket."""

_LEAVE_SECONDS = 2.0


class AsgiCall:
    """Runs the app in a task of its own. An exception it raises is logged, as a server does, and ends the call."""

    def __init__(self, app: App, scope: MutableMapping[str, Any]) -> None:
        self._in: asyncio.Queue[Event] = asyncio.Queue()
        self._out: deque[Event] = deque()
        self._news = asyncio.Event()
        self._space = asyncio.Event()
        self._task = asyncio.create_task(self._run(app, scope))

    def put(self, event: Event) -> None:
        """Give the app an event."""
        self._in.put_nowait(event)

    async def next(self) -> Event | None:
        """Return the app's next event; None when it has ended."""
        while not self._out:
            if self._task.done():
                return None
            self._news.clear()
            await self._news.wait()
        self._space.set()
        return self._out.popleft()

    async def end(self, event: Event) -> None:
        """Tell the app by this event that the client has left, give it a moment to finish, and cancel it otherwise."""
        self.put(event)
        self._out.clear()
        self._space.set()
        await asyncio.wait({self._task}, timeout=_LEAVE_SECONDS)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self, app: App, scope: MutableMapping[str, Any]) -> None:
        try:
            await app(scope, self._in.get, self._send)
        except Exception:
            _logger.exception("the application failed at %s %s", scope["type"], scope.get("path", ""))
        finally:
            self._news.set()

    async def _send(self, event: Event) -> None:
        while len(self._out) >= _MAX_EVENTS:
            self._space.clear()
            await self._space.wait()
        self._out.append(event)
        self._news.set()


@contextlib.asynccontextmanager
async def running(app: App) -> AsyncIterator[None]:
    """Run the app's lifespan around the block. Raises RuntimeError where its startup fails."""
    call = AsgiCall(app, {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}})
    call.put({"type": "lifespan.startup"})
    started = await call.next()
    if started is not None and started["type"] == "lifespan.startup.failed":
        raise RuntimeError(f"the application did not start: {started.get('message', '')}")
    try:
        yield
    finally:
        await call.end({"type": "lifespan.shutdown"})
