"""The Python client against an ASGI app in this process: no sockets, and all three transports as over a network."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import httpx

from multitransport.client import Client, choose, request_headers
from multitransport.client.carrier import Connector
from multitransport.client.poll import PollConnector
from multitransport.client.stream import SseConnector
from multitransport.testing.asgi_call import App, running
from multitransport.testing.asgi_http import AsgiTransport
from multitransport.testing.asgi_websocket import AsgiWebSocketConnector

__all__ = ["connect_asgi"]

_ORIGIN = "http://localhost"


@contextlib.asynccontextmanager
async def connect_asgi(
    app: App,
    path: str = "/realtime",
    *,
    transport: str | Sequence[str] = "websocket",
    headers: Mapping[str, str] | None = None,
    cookies: Mapping[str, str] | None = None,
    user: str | None = None,
    auth: Any = None,
    lifespan: bool = False,
) -> AsyncIterator[Client]:
    """Give a connected client of ``app``, whose transports are mounted at ``path``.

    ``transport`` is one of websocket, sse and poll, or several, the best first. With a ``user`` the server takes the
    session for that user's without running the connect check. The app has to be running already, unless ``lifespan``
    is set. Raises as ``multitransport.client.connect`` does; ConnectionClosed at once where the connect check fails;
    TypeError for a user that is no string, ValueError for an empty one.
    """
    given: object = user
    if given is not None and not isinstance(given, str):
        raise TypeError(f"a user id is a string, not {given!r}; say str(…)")
    if user == "":
        raise ValueError("a user id is not empty")
    sent = request_headers(_ORIGIN, headers, cookies)
    extensions = {} if user is None else {"multitransport.test": {"user": user}}
    base = f"{_ORIGIN}{path}"
    http = httpx.AsyncClient(transport=AsgiTransport(app, extensions), headers=sent)
    connectors: dict[str, Connector] = {
        "websocket": AsgiWebSocketConnector(app, f"{base}/websocket", sent, extensions),
        "sse": SseConnector(http, base),
        "poll": PollConnector(http, base),
    }
    chosen = choose(connectors, (transport,) if isinstance(transport, str) else transport)
    client = Client(chosen, auth=auth, patient=False)
    async with running(app) if lifespan else contextlib.nullcontext(), http, client:
        yield client
