"""The WebSocket transport, on the ``websockets`` library."""

from __future__ import annotations

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from multitransport.client.carrier import Greeting, TransportLost
from multitransport.client.events import Closed
from multitransport.client.limits import MAX_RECEIVED_BYTES
from multitransport.client.messages import is_binary

__all__ = ["WebSocketConnector"]


class WebSocketConnector:
    """Opens ``url``, a ``ws:`` or ``wss:`` one, with these headers."""

    name = "websocket"
    polls = False

    def __init__(self, url: str, headers: list[tuple[str, str]]) -> None:
        self._url = url
        self._headers = headers

    async def open(self, greeting: Greeting) -> WebSocketCarrier:
        try:
            # Compression costs both ends more than it saves here, and the session has its own heartbeat.
            connection = await connect(
                self._url,
                additional_headers=self._headers,
                compression=None,
                open_timeout=None,
                ping_interval=None,
                max_size=MAX_RECEIVED_BYTES,
                user_agent_header=None,
            )
        except WebSocketException as error:
            raise TransportLost(f"WebSocket handshake: {error}") from error
        except OSError as error:
            raise TransportLost(f"connecting: {error}", network=True) from error
        carrier = WebSocketCarrier(connection)
        await carrier.send(greeting.hello())
        return carrier


class WebSocketCarrier:
    """An open WebSocket."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    async def receive(self) -> bytes:
        try:
            return await self._connection.recv(decode=False)
        except ConnectionClosed as error:
            raise self._lost(error.rcvd.code if error.rcvd else None, str(error)) from error

    async def send(self, message: bytes) -> None:
        try:
            await self._connection.send(message, text=not is_binary(message))
        except ConnectionClosed as error:
            raise self._lost(error.rcvd.code if error.rcvd else None, str(error)) from error

    async def close(self) -> None:
        self._connection.transport.abort()
        await self._connection.wait_closed()

    @staticmethod
    def _lost(code: int | None, reason: str) -> TransportLost:
        closed = Closed(code, reason) if code is not None and 3000 <= code < 5000 else None
        return TransportLost(reason, closed=closed)
