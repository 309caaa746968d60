"""Serves an application by Hypercorn, in this process, until a signal ends it."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable
from typing import Any

import click
import hypercorn.asyncio
from hypercorn.config import Config
from hypercorn.protocol import ws_stream
from hypercorn.utils import LifespanFailureError, LifespanTimeoutError

from multitransport.quart.serving import drain_all
from multitransport.transports.asgi import Connection

__all__ = ["Server"]

_LAST_RESORT_SECONDS = 2.0


class Server:
    """One run. Open connections are given ``grace_seconds`` to end once a signal came; then they are aborted."""

    def __init__(
        self, app: Any, listener: socket.socket, *, grace_seconds: float, announce: Callable[[], None]
    ) -> None:
        self.config = Config()
        self.config.bind = [f"fd://{listener.detach()}"]
        self.config.graceful_timeout = grace_seconds
        # Else it writes by itself, to the root logger's handlers too, and no lower than what it says of requests.
        self.config.errorlog = errors = logging.getLogger("hypercorn.error")
        errors.setLevel(logging.WARNING)
        self._app = app
        self._announce = announce
        self._grace_seconds = grace_seconds
        self._stop = asyncio.Event()
        self._signalled = False
        self._draining: asyncio.Task[None] | None = None
        self._open: set[Connection] = set()

    async def serve(self) -> None:
        """Serve until SIGINT or SIGTERM.

        A second signal ends the process at once. Raises ClickException where the application does not start.
        """
        loop = asyncio.get_running_loop()
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, lambda *_: self._stop_once(loop))
        serving = asyncio.create_task(
            hypercorn.asyncio.serve(self._track, self.config, shutdown_trigger=self._stopped, mode="asgi")
        )
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if self._stop.is_set():
            await asyncio.wait({serving}, timeout=self._grace_seconds)
            self._abort_open()
        stopping.cancel()
        try:
            await serving
        except (LifespanFailureError, LifespanTimeoutError) as error:
            raise click.ClickException(f"the application did not start or stop: {error}") from None

    def _stop_once(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._signalled:
            os._exit(1)
        self._signalled = True
        loop.call_soon_threadsafe(self._stop.set)
        last_resort = threading.Timer(self._grace_seconds + _LAST_RESORT_SECONDS, _exit_without_threads)
        last_resort.daemon = True
        last_resort.start()

    async def _stopped(self) -> None:
        """Hypercorn calls this once it listens, and stops when it returns."""
        self._announce()
        await self._stop.wait()
        # Beside, since Hypercorn takes no more connections from now on: a proxy would send those here who are to move.
        self._draining = asyncio.create_task(drain_all())

    async def _track(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        root_path = self.config.root_path
        if root_path and not scope["path"].startswith(f"{root_path}/"):
            # A proxy has taken it off; ASGI wants the whole path, and Quart finds no view without.
            whole = root_path.encode() + scope["raw_path"]
            scope = {**scope, "path": root_path + scope["path"], "raw_path": whole}
        connection = Connection(scope, send)
        self._open.add(connection)
        try:
            await self._app(scope, receive, send)
        finally:
            self._open.discard(connection)

    def _abort_open(self) -> None:
        """Abort what a client or a view holds open; from Python 3.12.1 on Hypercorn would wait for it without end."""
        for connection in self._open:
            connection.abort()


def _exit_without_threads() -> None:
    """End the process though a view still blocks a thread, for which the interpreter would wait."""
    click.echo("something still runs and is cut off", err=True)
    os._exit(1)


def leave_deflate_off() -> None:
    """Keep Hypercorn, which has no setting for it, from negotiating permessage-deflate: 90 kB more for each client."""
    if hasattr(ws_stream, "server_extensions_handshake"):
        setattr(ws_stream, "server_extensions_handshake", lambda *_: None)  # noqa: B010 - it is not Hypercorn's to export
