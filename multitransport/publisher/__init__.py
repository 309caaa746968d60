"""Publishing to the rooms of an application from processes that are not the application."""

from __future__ import annotations

from multitransport.publisher.publisher import Publisher
from multitransport.publisher.sync import SyncPublisher

__all__ = ["Publisher", "SyncPublisher"]
