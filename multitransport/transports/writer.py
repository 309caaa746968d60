"""Writing what an attachment has: at once where the socket keeps up, in a task of its own where it does not."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Coroutine, Generator
from functools import partial
from types import coroutine
from typing import Any

from multitransport.node.attachment import Attachment, Batch
from multitransport.transports.asgi import Connection, Send

__all__ = ["Writer"]

logger = logging.getLogger("multitransport")

Write = Callable[[Send, Batch], Coroutine[Any, Any, None]]

_WRITTEN = object()
"""Stands for what a write waits for that waits for nothing."""


class Writer:
    """Calls ``write`` with ``send`` and one batch after another, never two at a time, until it has written the close.

    To an idle socket a server's ``send`` finishes without waiting for anything. Then a coroutine need not be a task:
    running it right here spares an idle session a task and its stack, and each delivery two turns of the loop. Where it
    does wait, a task takes it over.
    """

    __slots__ = ("_attachment", "_connection", "_limit_bytes", "_send", "_task", "_write", "_written")

    def __init__(self, write: Write, send: Send, connection: Connection, limit_bytes: int) -> None:
        self._write = write
        self._send = send
        self._connection = connection
        self._limit_bytes = limit_bytes
        self._task: asyncio.Task[None] | None = None

    def start(self, attachment: Attachment, written: Callable[[], None]) -> None:
        """Begin to write; ``written`` is called after the last word, or when the client has left."""
        self._attachment = attachment
        self._written = written
        attachment.on_news = self._news
        attachment.wake()

    def stop(self) -> None:
        """Write no more."""
        self._attachment.on_news = _nothing
        if self._task is not None:
            self._task.cancel()

    def _news(self) -> None:
        if self._task is not None:
            return  # it will come to what is new
        attachment = self._attachment
        # To close may take time, whatever the socket has room for.
        if attachment.closing is not None or not self._connection.keeps_up():
            self._task = asyncio.get_running_loop().create_task(self._run())
            return
        batch = attachment.take(self._limit_bytes)
        if batch is None:
            return
        writing = self._write(self._send, batch).__await__()
        try:
            awaited = next(writing, _WRITTEN)
        except OSError:
            self._end()  # some servers say so when the client has left; the listener hears it too
        except Exception as error:  # noqa: BLE001 - a server may raise anything
            self._fail(error)
        else:
            if awaited is not _WRITTEN:
                self._task = asyncio.get_running_loop().create_task(self._run(batch, _go_on(writing, awaited)))
            elif batch.close is not None:
                self._end()
            elif attachment.reader.ready:
                attachment.wake()  # one that catches up must not keep the others waiting

    async def _run(self, batch: Batch | None = None, writing: Awaitable[None] | None = None) -> None:
        """Write until there is nothing left to write, beginning with a batch that is half written."""
        heartbeat = self._attachment.heartbeat
        time = asyncio.get_running_loop().time
        try:
            while batch := batch or self._attachment.take(self._limit_bytes):
                heartbeat.writing_since = time()
                await (writing or self._write(self._send, batch))
                heartbeat.writing_since = math.inf
                if batch.close is not None:
                    self._end()
                    return
                batch = writing = None
                await asyncio.sleep(0)
            self._task = None
        except OSError:
            self._end()
        except Exception as error:  # noqa: BLE001 - a server may raise anything
            self._fail(error)

    def _end(self) -> None:
        self._attachment.on_news = _nothing
        self._written()

    def _fail(self, error: Exception) -> None:
        logger.error("writing to session %s failed", self._attachment.session_id, exc_info=error)
        self._attachment.abort()
        self._end()


@coroutine
def _go_on(writing: Generator[Any, Any, None], awaited: Any) -> Generator[Any, Any, None]:
    """Await the rest of what has been run up to where it waits for ``awaited``."""
    while True:
        step: Callable[[], Any]
        try:
            result = yield awaited
        except BaseException as error:  # noqa: BLE001 - cancellation too is the coroutine's to handle
            step = partial(writing.throw, error)
        else:
            step = partial(writing.send, result)
        try:
            awaited = step()
        except StopIteration:
            return


def _nothing() -> None:
    """Stand in where nobody listens any more."""
