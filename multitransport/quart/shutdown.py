"""Notices that the server is stopping while its connections are still open.

ASGI announces the end (``lifespan.shutdown``) only once the server has waited for its connections, and nothing bounds
that wait where a stream is open: under Hypercorn on Python 3.12.1 and later, and under Uvicorn. So this module, and no
other, uses names that these servers do not publish:

- Hypercorn sets the event ``terminated`` of its WorkerContext first of all when it stops. The one made for a watched
  loop passes that on.
- Hypercorn's parent process sends SIGTERM to every worker as soon as one has ended, and workers have no handler for it.
  They get one that stops them in the regular way, so that the slower ones end their sessions too.
- Uvicorn's handler of SIGTERM is a method of its Server, whose ``should_exit`` says that it stops.

Where a name is missing nothing is done. The setting ``hypercorn_drain`` turns all of it off.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from importlib import metadata
from types import ModuleType
from typing import Any, Protocol, runtime_checkable
from weakref import WeakKeyDictionary

__all__ = ["server_stopping"]

_KNOWN_HYPERCORN = "0.18."
_UVICORN_POLL_SECONDS = 0.1

# What waits in each event loop for the WorkerContext that Hypercorn makes there right after the startup.
_waiting: MutableMapping[asyncio.AbstractEventLoop, asyncio.Future[None]] = WeakKeyDictionary()
_terminating: set[asyncio.Task[None]] = set()


def server_stopping() -> asyncio.Future[None]:
    """Return a future that is done once the server of the running loop begins to stop.

    To be called in the lifespan's startup.
    """
    loop = asyncio.get_running_loop()
    stopping: asyncio.Future[None] = loop.create_future()
    server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    if type(server).__module__.startswith("uvicorn") and isinstance(server, _UvicornServer):
        _poll_uvicorn(server, loop, stopping)
    else:
        _waiting[loop] = stopping
        _watch_hypercorn(sys.modules.get("hypercorn.asyncio.run"))
    return stopping


@runtime_checkable
class _UvicornServer(Protocol):
    should_exit: bool


def _poll_uvicorn(server: _UvicornServer, loop: asyncio.AbstractEventLoop, stopping: asyncio.Future[None]) -> None:
    if stopping.done():
        return
    if server.should_exit:
        stopping.set_result(None)
    else:
        loop.call_later(_UVICORN_POLL_SECONDS, _poll_uvicorn, server, loop, stopping)


def _watch_hypercorn(run: ModuleType | None) -> None:
    make_context = getattr(run, "WorkerContext", None)
    if isinstance(make_context, type) and metadata.version("hypercorn").startswith(_KNOWN_HYPERCORN):
        run.WorkerContext = partial(_make_watched_context, make_context)  # type: ignore[union-attr]


def _make_watched_context(make_context: Callable[..., Any], *arguments: Any) -> Any:
    context = make_context(*arguments)
    loop = asyncio.get_running_loop()
    stopping = _waiting.pop(loop, None)
    if stopping is not None:
        context.terminated.set = partial(_announce, stopping, context.terminated.set)
        if _is_worker_without_handler():
            loop.add_signal_handler(signal.SIGTERM, _terminate, context, loop)
    return context


async def _announce(stopping: asyncio.Future[None], set_terminated: Callable[[], Awaitable[None]]) -> None:
    if not stopping.done():
        stopping.set_result(None)
    await set_terminated()


def _is_worker_without_handler() -> bool:
    return (
        sys.platform != "win32"
        and multiprocessing.parent_process() is not None
        and threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    )


def _terminate(context: Any, loop: asyncio.AbstractEventLoop) -> None:
    task = loop.create_task(context.terminate.set())
    _terminating.add(task)
    task.add_done_callback(_terminating.discard)
