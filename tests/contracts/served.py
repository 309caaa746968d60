"""An application behind each kind of server, and the way to it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol

import httpx
import uvicorn
import websockets
from hypercorn.config import Config

from multitransport.client import Client, connect
from multitransport.client.carrier import TransportLost
from multitransport.testing.asgi import connect_asgi
from multitransport.testing.asgi_call import App, running
from multitransport.testing.asgi_http import AsgiTransport
from multitransport.testing.asgi_websocket import AsgiWebSocket
from multitransport.testing.server import free_port, serve
from multitransport.testing.waiting import eventually
from tests.contracts.application import Application

__all__ = ["SERVERS", "Hangup", "Served", "Socket", "quiet_config", "served", "working"]

PREFIX = "/realtime"
_LINGERING = {"worker_serve.<locals>._server_callback", "TCPServer._idle_timeout", "EventWrapper.wait"}


class Hangup(Exception):
    """A WebSocket was closed by the server, with this code; 1006 where it was not a word of its."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class Socket(Protocol):
    """A WebSocket without manners."""

    async def send(self, message: bytes, *, text: bool = True) -> None:
        """Send a message as text, also what is none, or as binary."""
        ...

    async def receive(self) -> str | bytes:
        """Return the next message. Raises Hangup."""
        ...

    async def drop(self) -> None:
        """Cut the connection without a word."""
        ...


class Served:
    """An application that is served, at this URL; in process the URL is only a name."""

    def __init__(self, application: Application, url: str, app: App | None) -> None:
        self.application = application
        self.url = url
        self._app = app
        transport = None if app is None else AsgiTransport(app)
        self.http = httpx.AsyncClient(base_url=url, transport=transport, timeout=20, verify=False)

    def client(
        self, transport: str, *, cookies: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> contextlib.AbstractAsyncContextManager[Client]:
        """Return a Python client to be entered."""
        if self._app is None:
            return connect(self.url, transports=[transport], cookies=cookies, headers=headers)
        return connect_asgi(self._app, PREFIX, transport=transport, cookies=cookies, headers=headers)

    async def websocket(self, headers: Mapping[str, str]) -> Socket:
        """Open a WebSocket."""
        if self._app is not None:
            url = f"{self.url}/websocket"
            return _InProcess(await AsgiWebSocket.open(self._app, url, list(headers.items())))
        return _OverTcp(
            await websockets.connect(
                f"ws{self.url.removeprefix('http')}/websocket",
                additional_headers=headers,
                compression=None,
                max_size=None,
                ping_interval=None,
            )
        )


class _OverTcp:
    def __init__(self, connection: websockets.ClientConnection) -> None:
        self._connection = connection

    async def send(self, message: bytes, *, text: bool = True) -> None:
        await self._connection.send(message, text=text)

    async def receive(self) -> str | bytes:
        try:
            return await self._connection.recv()
        except websockets.ConnectionClosed as closed:
            raise Hangup(closed.rcvd.code if closed.rcvd else 1006, closed.rcvd.reason if closed.rcvd else "") from None

    async def drop(self) -> None:
        self._connection.transport.abort()
        await self._connection.wait_closed()


class _InProcess:
    def __init__(self, socket: AsgiWebSocket) -> None:
        self._socket = socket

    async def send(self, message: bytes, *, text: bool = True) -> None:
        self._socket.send(message.decode() if text else message)

    async def receive(self) -> str | bytes:
        try:
            return await self._socket.receive()
        except TransportLost as lost:
            raise Hangup(*((lost.closed.code, lost.closed.reason) if lost.closed else (1006, lost.reason))) from None

    async def drop(self) -> None:
        await self._socket.close()


def quiet_config() -> Config:
    """Return Hypercorn's configuration with a log that tests can see."""
    config = Config()
    config.errorlog = logging.getLogger("served.hypercorn")
    config.errorlog.setLevel(logging.WARNING)
    return config


@contextlib.asynccontextmanager
async def _hypercorn(application: Application) -> AsyncIterator[Served]:
    async with serve(application.quart, config=quiet_config()) as url:
        yield Served(application, f"{url}{PREFIX}", None)


@contextlib.asynccontextmanager
async def _in_process(application: Application) -> AsyncIterator[Served]:
    app: App = application.quart
    async with running(app):
        yield Served(application, f"http://localhost{PREFIX}", app)


@contextlib.asynccontextmanager
async def _uvicorn(application: Application) -> AsyncIterator[Served]:
    port = free_port()
    config = uvicorn.Config(application.quart, port=port, log_config=None, timeout_graceful_shutdown=2)
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    # What its `serve` does, but for the signals, which are this process's own, and a loop that looks for them.
    await server.startup()
    try:
        yield Served(application, f"http://127.0.0.1:{port}{PREFIX}", None)
    finally:
        await server.shutdown()


SERVERS = {"hypercorn": _hypercorn, "in process": _in_process, "uvicorn": _uvicorn}


def working() -> set[asyncio.Task[Any]]:
    """Return the tasks there are, but for those of Hypercorn that linger with a connection that was idle."""
    return {task for task in asyncio.all_tasks() if getattr(task.get_coro(), "__qualname__", "") not in _LINGERING}


@contextlib.asynccontextmanager
async def served(server: str, application: Application) -> AsyncIterator[Served]:
    """Serve an application; at the end everything that was begun meanwhile has to be over."""
    async with SERVERS[server](application) as way:
        before = working()
        async with way.http:
            yield way
        await eventually(lambda: not application.attached)
        await eventually(lambda: not working() - before)
