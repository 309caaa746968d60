"""One connection to Redis. Its parser is hiredis; what leaves in one turn of the event loop leaves in one write."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, cast

import hiredis

__all__ = ["Connection", "ConnectionLost", "Refusal", "is_passing"]


class ConnectionLost(Exception):
    """The connection ended; what was asked over it may or may not have been done."""


Refusal = hiredis.ReplyError
"""Redis answered with an error."""

_PASSING = ("LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "BUSY", "NOREPLICAS", "MOVED", "ASK")
"""What Redis says while it is not itself."""


class Connection(asyncio.Protocol):
    """Requests are answered in order; what nobody asked for goes to ``pushed``.

    ``replication`` names the data this Redis has: it is another after a failover or a restart.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._parser = hiredis.Reader()
        self._transport: asyncio.Transport | None = None
        self._out: list[bytes] = []
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self.pushed: Callable[[Any], None] = lambda message: None
        self.lost: asyncio.Future[str] = self._loop.create_future()
        self.heard_at = self._loop.time()
        self.replication = ""

    def request(self, *command: str | int | bytes) -> asyncio.Future[Any]:
        """Send a command; the future has its reply, Refusal or ConnectionLost."""
        future: asyncio.Future[Any] = self._loop.create_future()
        if self.lost.done():
            future.set_exception(ConnectionLost(self.lost.result()))
        else:
            self.send(*command)  # what cannot be sent raises, and awaits no reply
            self._waiting.append(future)
        return future

    def send(self, *command: str | int | bytes) -> None:
        """Send a command whose reply, if there is one, goes to ``pushed``."""
        packed = hiredis.pack_command(command)  # type: ignore[arg-type]  # its stub says a tuple of one
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(packed)

    def end(self, reason: str) -> None:
        """End the connection now, whatever is on its way."""
        if self._transport is not None:
            self._transport.abort()
        if not self.lost.done():
            self.lost.set_result(reason)
        for future in self._waiting:
            if not future.done():
                future.set_exception(ConnectionLost(reason))
                future.exception()  # whoever asked may have gone
        self._waiting.clear()

    def _flush(self) -> None:
        out, self._out = self._out, []
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(out))

    # For the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio."""
        self._transport = cast("asyncio.Transport", transport)  # one of uvloop's is none by class

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        self.heard_at = self._loop.time()
        self._parser.feed(data)
        try:
            while not self.lost.done() and (reply := self._parser.gets()) is not False:
                self._received(reply)
        except hiredis.ProtocolError as error:
            self.end(f"what came is not Redis: {error}")

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        self.end(f"the connection was lost: {exc}" if exc else "Redis closed the connection")

    def _received(self, reply: Any) -> None:
        if not self._waiting:
            self.pushed(reply)
            return
        future = self._waiting.popleft()
        if future.done():
            return
        if isinstance(reply, Refusal):
            future.set_exception(reply)
        else:
            future.set_result(reply)


def is_passing(refusal: Exception) -> bool:
    """Whether what Redis refused is worth another attempt."""
    return str(refusal).startswith(_PASSING)
