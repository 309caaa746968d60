"""A WebSocket to an ASGI app in this process."""

from __future__ import annotations

from typing import Any

import httpx

from multitransport.client.carrier import Greeting, TransportLost
from multitransport.client.events import Closed
from multitransport.client.messages import is_binary
from multitransport.testing.asgi_call import App, AsgiCall
from multitransport.testing.asgi_http import asgi_scope

__all__ = ["AsgiWebSocket", "AsgiWebSocketConnector"]


class AsgiWebSocket:
    """A WebSocket that the app has accepted."""

    def __init__(self, call: AsgiCall) -> None:
        self._call = call

    @classmethod
    async def open(
        cls, app: App, url: str, headers: list[tuple[str, str]] | None = None, extensions: dict[str, Any] | None = None
    ) -> AsgiWebSocket:
        """Connect. Raises ConnectionRefusedError where the app does not accept."""
        parsed = httpx.URL(url)
        raw = httpx.Headers([("host", parsed.netloc.decode()), *(headers or [])]).raw
        scope = asgi_scope(parsed, raw, extensions or {})
        call = AsgiCall(app, {**scope, "type": "websocket", "subprotocols": []})
        socket = cls(call)
        call.put({"type": "websocket.connect"})
        try:
            answer = await call.next()
        except BaseException:
            await socket.close()
            raise
        if answer is None or answer["type"] != "websocket.accept":
            await socket.close()
            raise ConnectionRefusedError(f"the application answered {answer and answer['type']}")
        return socket

    def send(self, message: str | bytes) -> None:
        """Send a text or a binary message."""
        text, binary = (message, None) if isinstance(message, str) else (None, message)
        self._call.put({"type": "websocket.receive", "text": text, "bytes": binary})

    async def receive(self) -> str | bytes:
        """Return the next message. Raises ConnectionClosed where the app has closed, with its code."""
        event = await self._call.next()
        if event is None:
            raise TransportLost("the application ended without a close")
        if event["type"] == "websocket.close":
            code = event.get("code", 1000)
            reason = event.get("reason") or ""
            raise TransportLost(f"closed with {code} {reason}", closed=Closed(code, reason))
        text: str | None = event.get("text")
        return event["bytes"] if text is None else text

    async def close(self, code: int = 1006) -> None:
        """Leave."""
        await self._call.end({"type": "websocket.disconnect", "code": code, "reason": ""})


class AsgiWebSocketConnector:
    """Opens ``url`` of ``app``."""

    name = "websocket"
    polls = False

    def __init__(self, app: App, url: str, headers: list[tuple[str, str]], extensions: dict[str, Any]) -> None:
        self._app = app
        self._url = url
        self._headers = headers
        self._extensions = extensions

    async def open(self, greeting: Greeting) -> AsgiWebSocketCarrier:
        try:
            websocket = await AsgiWebSocket.open(self._app, self._url, self._headers, self._extensions)
        except ConnectionRefusedError as error:
            raise TransportLost(str(error)) from error
        websocket.send(greeting.hello().decode())
        return AsgiWebSocketCarrier(websocket)


class AsgiWebSocketCarrier:
    """An open WebSocket as the client wants it."""

    def __init__(self, websocket: AsgiWebSocket) -> None:
        self._websocket = websocket

    async def receive(self) -> bytes:
        message = await self._websocket.receive()
        return message.encode() if isinstance(message, str) else message

    async def send(self, message: bytes) -> None:
        self._websocket.send(message if is_binary(message) else message.decode())

    async def close(self) -> None:
        await self._websocket.close()
