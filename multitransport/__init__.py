"""Rooms, requests and live updates for Quart: over WebSocket, else Server-Sent Events, else long polling.

`MultiTransport` is the extension; the rest is what its declarations meet. Clients are in `multitransport.client`.
"""

from multitransport.core.members import Member, Meta
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
    RoomFull,
    TimedOut,
)
from multitransport.node.asks import Answers
from multitransport.node.declarations import Call, Namespace
from multitransport.node.session import Session
from multitransport.node.verbs import Published, RoomPage
from multitransport.protocol.position import Position
from multitransport.publisher import Publisher, SyncPublisher
from multitransport.quart.extension import MultiTransport

__all__ = [
    "Answers",
    "BrokerUnavailable",
    "Call",
    "ConfigurationError",
    "ConnectionClosed",
    "Failed",
    "Invalid",
    "Member",
    "Meta",
    "MultiTransport",
    "MultiTransportError",
    "Namespace",
    "OutcomeUnknown",
    "Position",
    "Published",
    "Publisher",
    "QueueFull",
    "Refuse",
    "Refused",
    "RequestError",
    "RoomFull",
    "RoomPage",
    "Session",
    "SyncPublisher",
    "TimedOut",
]
