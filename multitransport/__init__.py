"""Rooms, requests and live updates for Quart: over WebSocket, else Server-Sent Events, else long polling.

`MultiTransport` is the extension; the rest is what its declarations meet. Clients are in `multitransport.client`.
"""

from multitransport.errors import (
    BrokerUnavailable,
    ConfigurationError,
    ConnectionClosed,
    Failed,
    Invalid,
    MultiTransportError,
    OutcomeUnknown,
    QueueFull,
    Refuse,
    Refused,
    RequestError,
    TimedOut,
)
from multitransport.node.session import Session
from multitransport.protocol.position import Position
from multitransport.quart.extension import MultiTransport

__all__ = [
    "BrokerUnavailable",
    "ConfigurationError",
    "ConnectionClosed",
    "Failed",
    "Invalid",
    "MultiTransport",
    "MultiTransportError",
    "OutcomeUnknown",
    "Position",
    "QueueFull",
    "Refuse",
    "Refused",
    "RequestError",
    "Session",
    "TimedOut",
]
