"""SyncPublisher: for tasks and scripts without an event loop."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import CancelledError, Future
from types import TracebackType
from typing import Any, Literal, Self, TypeVar, Unpack, overload
from weakref import WeakSet, finalize

from multitransport.errors import BrokerUnavailable
from multitransport.protocol.position import Position
from multitransport.publisher.arguments import Several
from multitransport.publisher.publisher import Publisher, PublishOptions

__all__ = ["SyncPublisher"]

T = TypeVar("T")

_living: WeakSet[SyncPublisher] = WeakSet()
_inherited: list[object] = []
"""What a process has from the one it was forked from. It is left as it is: to close it would disturb that one."""


class SyncPublisher:
    """Publishes over Redis to the rooms of an application, from plain code: Celery tasks, scripts, commands.

    One may be made where a module is imported and used from every thread, and in every process that is forked later: it
    connects, from a thread of its own, when it publishes first. ``with`` or ``close`` ends that; so does the end of the
    process. It needs ``multitransport[redis]``.
    """

    def __init__(self, url: str, *, prefix: str = "multitransport", timeout_seconds: float = 5.0) -> None:
        """See Publisher. Raises ConfigurationError for what cannot be meant."""
        self._arguments = url, prefix, timeout_seconds
        self._lock = threading.Lock()
        self._thread: _Thread | None = None
        self._end: finalize[Any, SyncPublisher] | None = None
        self._new_publisher()  # what cannot be meant is said here
        _living.add(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection and its thread. Another publication begins anew."""
        with self._lock:
            end, self._end, self._thread = self._end, None, None
        if end is not None:
            end()

    @overload
    def publish(
        self,
        room: str,
        event: str,
        data: Any = None,
        *,
        volatile: Literal[False] = False,
        **options: Unpack[PublishOptions],
    ) -> Position: ...

    @overload
    def publish(
        self, room: str, event: str, data: Any = None, *, volatile: bool, **options: Unpack[PublishOptions]
    ) -> Position | None: ...

    @overload
    def publish(
        self,
        room: Several,
        event: str,
        data: Any = None,
        *,
        volatile: bool = False,
        **options: Unpack[PublishOptions],
    ) -> list[Position | None]: ...

    def publish(
        self,
        room: str | Several,
        event: str,
        data: Any = None,
        *,
        volatile: bool = False,
        **options: Unpack[PublishOptions],
    ) -> Position | list[Position | None] | None:
        """Publish, wait until Redis has it, and return its position; all is as with ``Publisher.publish``."""
        thread = self._running()
        publication = thread.submit(thread.publisher.publish(room, event, data, volatile=volatile, **options))
        try:
            return publication.result()
        except CancelledError:
            raise BrokerUnavailable(f"the publisher was closed while it published to {room!r}") from None
        except BaseException:
            publication.cancel()  # Ctrl-C, or a task's time limit, came while it waited
            raise

    def _running(self) -> _Thread:
        with self._lock:
            if self._thread is None:
                self._thread = _Thread(self._new_publisher())
                self._end = finalize(self, self._thread.end)
            return self._thread

    def _new_publisher(self) -> Publisher:
        url, prefix, timeout_seconds = self._arguments
        return Publisher(url, prefix=prefix, timeout_seconds=timeout_seconds)

    def _begin_anew(self) -> None:
        """Begin anew in a process that was just forked: the thread is not there, and the connection is another's."""
        _inherited.append(self._thread)
        if self._end is not None:
            self._end.detach()
        self._lock = threading.Lock()
        self._thread = self._end = None


class _Thread:
    """A thread with an event loop, in which a Publisher is open until ``end``."""

    def __init__(self, publisher: Publisher) -> None:
        self.publisher = publisher
        self._loop = asyncio.SelectorEventLoop()
        self._ended = asyncio.Event()
        self._lock = threading.Lock()
        self._ending = False
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), name="multitransport-publisher", daemon=True)
        self._thread.start()
        started.wait()

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Have it run in the thread. Raises BrokerUnavailable where that ends."""
        with self._lock:
            if not self._ending:
                return asyncio.run_coroutine_threadsafe(work, self._loop)
        work.close()
        raise BrokerUnavailable("the publisher was closed while it began to publish")

    def end(self) -> None:
        """Close the Publisher and wait for the thread."""
        with self._lock:
            self._ending = True
            self._loop.call_soon_threadsafe(self._ended.set)
        if threading.current_thread() is not self._thread:  # which may be the one that collects garbage
            self._thread.join()

    def _run(self, started: threading.Event) -> None:
        # Not asyncio.run: that waits for the resolver's threads in yet another thread, which cannot be started any more
        # where a process is about to end.
        try:
            self._loop.run_until_complete(self._serve(started))
        finally:
            started.set()
            self._loop.close()

    async def _serve(self, started: threading.Event) -> None:
        async with self.publisher:
            started.set()
            await self._ended.wait()
        waiting = asyncio.all_tasks() - {asyncio.current_task()}
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


def _forked() -> None:
    for publisher in list(_living):
        publisher._begin_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
