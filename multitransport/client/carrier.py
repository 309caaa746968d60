"""What the client asks of a transport."""

from __future__ import annotations

from typing import Protocol

from multitransport.client.events import Closed

__all__ = ["Carrier", "Connector", "Greeting", "TransportLost"]


class TransportLost(Exception):
    """The transport ended. ``closed`` is the server's own word, ``network`` says that there was no connection."""

    def __init__(self, reason: str, *, closed: Closed | None = None, network: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.closed = closed
        self.network = network


class Greeting(Protocol):
    """Where a transport gets its hello from."""

    def hello(self, wait_seconds: float | None = None) -> bytes:
        """Return the first frame of a new connection; a poll says how long the server may hold it."""
        ...

    def send_hello(self) -> bytes:
        """Return the first frame of a request that sends for the stream or poll opened last."""
        ...


class Carrier(Protocol):
    """An open transport. One task receives, another sends; either may raise TransportLost."""

    async def receive(self) -> bytes:
        """Return the next message."""
        ...

    async def send(self, message: bytes) -> bytes | None:
        """Send a message, and return what the server answers in the same exchange, if the transport has such.

        The one named ``websocket`` also gets binary messages, which ``is_binary`` tells.
        """
        ...

    async def close(self) -> None:
        """Drop the connection, without a word and without waiting for the server."""
        ...


class Connector(Protocol):
    """Opens one kind of transport."""

    name: str
    polls: bool
    """Whether it attaches anew for each message: its welcome confirms it, and it rests while another is tried."""

    async def open(self, greeting: Greeting) -> Carrier:
        """Connect and say hello. Raises TransportLost."""
        ...
