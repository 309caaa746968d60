"""The Python client: the same session, resume and fallback as the browser's. Install ``multitransport[client]``.

async with connect("http://127.0.0.1:8000/realtime") as client:
    async for item in client.join("system/local", history=10):
        ...
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from multitransport.client.client import Client, Status
from multitransport.client.events import Gap, Publication
from multitransport.client.feed import Feed
from multitransport.client.limits import IDLE_CONNECTION_SECONDS
from multitransport.client.presence import MemberChange
from multitransport.client.room import Room
from multitransport.errors import ConfigurationError

if TYPE_CHECKING:
    from multitransport.client.carrier import Connector

__all__ = ["Client", "Feed", "Gap", "MemberChange", "Publication", "Room", "Status", "connect"]

TRANSPORTS = ("websocket", "sse", "poll")


def connect(
    url: str,
    *,
    transports: Sequence[str] = TRANSPORTS,
    auth: Any = None,
    headers: Mapping[str, str] | None = None,
    cookies: Mapping[str, str] | None = None,
    connect_seconds: float = 20.0,
) -> Client:
    """Return a client of the server under this URL: ``http`` or ``https``, with the prefix and nothing after it.

    ``transports`` are those it may use, the best first. ``auth`` is any JSON value, for the application's connect
    check. Enter the client with ``async with``. Raises ConfigurationError where the extra ``multitransport[client]``
    is not installed, ValueError for a wrong URL or transport.
    """
    parts = urlsplit(url.rstrip("/"))
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ValueError(f"not an http or https URL: {url}")
    try:
        import httpx

        from multitransport.client.poll import PollConnector
        from multitransport.client.stream import SseConnector
        from multitransport.client.websocket import WebSocketConnector
    except ImportError as error:
        raise ConfigurationError("httpx and websockets are missing: pip install 'multitransport[client]'") from error
    sent = request_headers(f"{parts.scheme}://{parts.netloc}", headers, cookies)
    base = urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))
    http = httpx.AsyncClient(
        headers=sent,
        # To read the certificates of all authorities takes longer than everything else here, and encrypts nothing.
        verify=parts.scheme == "https",
        limits=httpx.Limits(keepalive_expiry=IDLE_CONNECTION_SECONDS),
    )
    connectors: dict[str, Connector] = {
        "websocket": WebSocketConnector(f"ws{base.removeprefix('http')}/websocket", sent),
        "sse": SseConnector(http, base),
        "poll": PollConnector(http, base),
    }
    return Client(choose(connectors, transports), auth=auth, connect_seconds=connect_seconds, release=http.aclose)


def choose(connectors: Mapping[str, Connector], transports: Sequence[str]) -> dict[str, Connector]:
    """Return the connectors of these transports, in this order. Raises ValueError for one that does not exist."""
    unknown = [name for name in transports if name not in connectors]
    if unknown or not transports:
        raise ValueError(f"transports are {', '.join(connectors)}, not {', '.join(unknown) or 'none'}")
    return {name: connectors[name] for name in transports}


def request_headers(
    origin: str, headers: Mapping[str, str] | None, cookies: Mapping[str, str] | None
) -> list[tuple[str, str]]:
    """Return the headers of every request. Cookies come with an Origin, without which the server trusts none."""
    sent = dict(headers or {})
    if cookies:
        sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
    if not any(name.lower() == "origin" for name in sent):
        sent["Origin"] = origin
    return list(sent.items())
