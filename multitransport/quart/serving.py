"""One Quart application's node: made at the start of a lifespan, ended with it, and in front of Quart in between."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextvars import Context
from dataclasses import dataclass
from typing import Any
from weakref import WeakSet

from quart import Quart

from multitransport.brokers.url import MEMORY
from multitransport.errors import ConfigurationError
from multitransport.node.declarations import Declarations
from multitransport.node.host import Scope
from multitransport.node.node import Node
from multitransport.quart.alone import warn_unless_alone
from multitransport.quart.backend import choose_backend, tell_rooms
from multitransport.quart.config import read_secret_keys, read_settings
from multitransport.quart.host import QuartHost
from multitransport.quart.shutdown import server_stopping
from multitransport.transports.app import TransportApp

__all__ = ["Running", "Serving", "drain_all"]

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

_servings: WeakSet[Serving] = WeakSet()


@dataclass(frozen=True, slots=True)
class Running:
    """What exists during one lifespan."""

    node: Node
    transports: TransportApp
    loop: asyncio.AbstractEventLoop
    watches: set[asyncio.Task[None]]
    """What waits for something to happen until the end: the server stops, another process serves the same."""


class Serving:
    """What ``app.extensions["multitransport"]`` holds, and the ASGI application in the place of ``app.asgi_app``.

    ``running`` is there from the application's startup to its shutdown.
    """

    def __init__(self, app: Quart, declarations: Declarations, defaults: Mapping[str, Any]) -> None:
        self.prefix = read_settings(app, defaults).prefix
        self.running: Running | None = None
        self._app = app
        self._declarations = declarations
        self._defaults = defaults
        self._quart = app.asgi_app
        _servings.add(self)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
        elif self.running is not None and self.running.transports.owns(scope):
            await self.running.transports(scope, receive, send)
        else:
            await self._quart(scope, receive, send)  # type: ignore[arg-type]

    async def start(self) -> None:
        """Start a node in the running loop. Raises ConfigurationError."""
        if self.running is not None and self.running.loop.is_running():
            raise ConfigurationError(f"{self._app.name} has a lifespan already; it can have one at a time")
        settings = read_settings(self._app, self._defaults)
        if settings.prefix != self.prefix:
            raise ConfigurationError(
                f"prefix was {self.prefix!r} at init_app, now it is {settings.prefix!r}; set it before"
            )
        keys = read_secret_keys(self._app, shared=settings.broker != MEMORY)
        backend = choose_backend(settings, keys)
        node = Node(self._declarations, QuartHost(self._app), settings, secret_keys=keys, backend=backend)
        transports = TransportApp(node, self.prefix)
        stopping = server_stopping() if settings.hypercorn_drain else None
        await _spawn(node.start())
        watches = set() if stopping is None else {_spawn(_drain_after(stopping, node))}
        if settings.broker == MEMORY:
            watches.add(_spawn(warn_unless_alone(f"{self._app.import_name}:{self._app.name}{self.prefix}")))
        else:
            watches.add(_spawn(tell_rooms(backend, self._declarations.rooms)))
        self.running = Running(node, transports, asyncio.get_running_loop(), watches)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run Quart's lifespan. Stop also where that calls no after_serving function: startup failed, or it was cut."""

        async def send_on(message: Any) -> None:
            if message["type"] == "lifespan.startup.failed":
                await self.stop()  # not later: Hypercorn takes a lifespan that is not over by then for one that goes on
            await send(message)

        try:
            await self._quart(scope, receive, send_on)  # type: ignore[arg-type]
        finally:
            await self.stop()

    async def stop(self) -> None:
        """End the node and all it owns. Does nothing where none runs."""
        running = self.running
        if running is None:
            return
        for watch in running.watches:
            watch.cancel()
        await asyncio.gather(*running.watches, return_exceptions=True)
        try:
            await running.node.stop()
        finally:
            self.running = None  # not before: handlers that are seen to their end may publish


async def drain_all() -> None:
    """Drain every node that runs in this loop; for a server that is about to stop."""
    loop = asyncio.get_running_loop()
    running = [serving.running for serving in _servings]
    await asyncio.gather(*(one.node.drain() for one in running if one is not None and one.loop is loop))


async def _drain_after(stopping: asyncio.Future[None], node: Node) -> None:
    await stopping
    await node.drain()


def _spawn(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Run it apart from the startup's application context: all that it starts would inherit that, and share its `g`."""
    return asyncio.get_running_loop().create_task(work, context=Context())
