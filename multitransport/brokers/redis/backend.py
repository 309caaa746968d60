"""All that nodes share, in one Redis: rooms, sessions, and what nodes say to each other."""

from __future__ import annotations

from collections.abc import Sequence

from multitransport.brokers.base import Backend
from multitransport.brokers.redis.bus import MAX_MESSAGE_BYTES, RedisBus
from multitransport.brokers.redis.rooms.broker import RedisBroker
from multitransport.brokers.redis.sessions.store import RedisSessionStore
from multitransport.brokers.redis.timing import Timing

__all__ = ["open_backend"]

_LONG_OVER = 1
"""The end of a lease that a node does not have yet; 0 would mean that it needs none."""


def open_backend(
    url: str,
    *,
    secret_keys: Sequence[str],
    prefix: str = "multitransport",
    max_rooms: int = 100_000,
    max_message_bytes: int = 1 << 20,
    timing: Timing | None = None,
) -> Backend:
    """Return a node's broker, store and bus, not started yet, over one connection and one subscription.

    Nodes that are given the same URL, prefix and ``secret_keys`` (oldest first: the last one signs, all verify) are one
    deployment. ``max_message_bytes`` is what a client may send: it must fit in what one node says to another.
    Raises ConfigurationError for a URL or a prefix that cannot be meant.
    """
    broker = RedisBroker(url, prefix=prefix, max_rooms=max_rooms, timing=timing)
    store = RedisSessionStore(broker, secret_keys)
    broker.until = lambda: store.until or _LONG_OVER
    return Backend(broker, store, RedisBus(broker, secret_keys, max(MAX_MESSAGE_BYTES, 4 * max_message_bytes)))
