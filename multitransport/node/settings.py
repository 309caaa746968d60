"""Every setting of a node: its name, its type, its default and what it means.

The Quart extension reads each from ``MULTITRANSPORT_<NAME>``.
"""

from __future__ import annotations

import re

from multitransport.brokers.url import check_broker
from multitransport.core.limits import MAX_SECONDS, Limits
from multitransport.errors import ConfigurationError

__all__ = ["TRANSPORTS", "Settings"]

TRANSPORTS = ("websocket", "sse", "poll")


class Settings(Limits, frozen=True, kw_only=True):
    """Settings of one node. Durations are in seconds."""

    prefix: str = "/realtime"
    """Where the transports are mounted, below the application's root path."""

    transports: tuple[str, ...] = TRANSPORTS
    """Which transports clients may use; others get ``transport_not_allowed``."""

    origins: tuple[str, ...] = ()
    """Origins (``https://app.example``) allowed beside the page's own; ``*`` allows all, without credentials."""

    broker: str = "memory"
    """Where rooms and sessions live. ``memory`` is this process; ``redis://host:6379/0`` is shared by nodes."""

    redis_prefix: str = "multitransport"
    """What the names of all keys and channels in Redis begin with. Deployments in one Redis need one each."""

    lease_seconds: float = 15.0
    """How long others wait for a node that Redis hears nothing of, until they take its sessions over. Who comes from a
    node whose connections are gone waits for a quarter of it.
    """

    ping_seconds: float = 25.0
    """How often the server pings."""

    grace_seconds: float = 10.0
    """How long after a ping a silent client is taken for dead."""

    hello_seconds: float = 10.0
    """Time for the first message and for a body; also how long a session lives whose client never answers."""

    resume_seconds: float = 120.0
    """How long a detached session is kept."""

    poll_seconds: float = 25.0
    """How long a poll is held when there is nothing to tell."""

    stalled_seconds: float = 30.0
    """How long a write may wait for the client to read."""

    close_seconds: float = 2.0
    """How long a closing connection may take before it is aborted."""

    drain_seconds: float = 2.0
    """How long clients may take to move to other nodes, or to leave, when the server stops."""

    presence_seconds: float = 10.0
    """How long a session may be without a transport before others see it leave."""

    retry_seconds: float = 3.0
    """Clients that could not move when the server stopped come back after a random time up to this."""

    room_idle_seconds: float = 3600.0
    """How long a room is kept that has neither readers nor publications left."""

    hypercorn_drain: bool = True
    """Drain when Hypercorn or Uvicorn stops, by a hook into the one and a watch on the other."""

    def __post_init__(self) -> None:
        if not self.prefix.startswith("/") or self.prefix.endswith("/"):
            raise ConfigurationError(f"prefix must begin with a slash and not end with one, not {self.prefix!r}")
        unknown = [name for name in self.transports if name not in TRANSPORTS]
        if unknown or not self.transports:
            raise ConfigurationError(f"transports must be some of {', '.join(TRANSPORTS)}, not {self.transports!r}")
        for origin in self.origins:
            if origin != "*" and not re.fullmatch(r"https?://[^/\s]+", origin):
                raise ConfigurationError(f"an origin is like https://app.example, without a path, not {origin!r}")
        check_broker(self.broker)
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if not isinstance(value, int | float) or isinstance(value, bool):
                continue
            if not value > 0:
                raise ConfigurationError(f"{name} must be above 0, not {value}")
            if name.endswith("_seconds") and value > MAX_SECONDS:
                raise ConfigurationError(f"{name} must be at most {MAX_SECONDS} (100 years), not {value}")
