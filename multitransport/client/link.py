"""What is known of the session, and of what passes between it and the server beside frames that want processing."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Link"]


@dataclass(slots=True)
class Link:
    """``carrying`` is the highest attach that was welcomed, ``ready`` the highest that may be sent on; ``told`` is the
    seq up to which the server knows that the outcomes arrived, ``pong`` what the next message has to answer the
    server's ping with.
    """

    session_id: str | None = None
    token: str | None = None
    ping_seconds: float = 25.0
    grace_seconds: float = 10.0
    max_message_bytes: int = 1 << 20
    carrying: int = 0
    ready: int = 0
    told: int = 0
    pong: float | None = None
