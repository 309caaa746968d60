"""Rooms in Redis, shared by every node that is given the same URL. Needs the extra ``multitransport[redis]``."""

from __future__ import annotations

from multitransport.brokers.redis.rooms.broker import RedisBroker
from multitransport.brokers.redis.timing import Timing

__all__ = ["RedisBroker", "Timing"]
