"""Every bound of the server, in one place, each with what happens when it is met."""

from __future__ import annotations

import msgspec

__all__ = [
    "MAX_FLASHES",
    "MAX_FLASH_BYTES",
    "MAX_INBOX",
    "MAX_INBOX_BYTES",
    "MAX_MEMBERS",
    "MAX_MEMBERS_BYTES",
    "MAX_MESSAGE_FRAMES",
    "MAX_SECONDS",
    "Limits",
]

# Those that are no settings: who needs more needs something else.

MAX_MESSAGE_FRAMES = 1_000
"""Frames of one message from a client. Beyond: close ``bad_protocol``."""

MAX_SECONDS = 100 * 365 * 86_400
"""The longest duration that can be set, 100 years: brokers count milliseconds, and JSON, in which nodes tell each other
some, has no infinity. Beyond: ConfigurationError.
"""

MAX_FLASHES = 64
"""Volatile publications of one room that gather until its readers are told. Beyond: they are dropped."""

MAX_FLASH_BYTES = 1 << 16
"""What those take, and what one reader may have of them that it has not read. Beyond: they are dropped, or it misses
them; a single larger one is still told.
"""

MAX_INBOX = 256
"""Publications that the inbox of a session or a user keeps, for 300 s at most. Beyond: who is away is told of a gap."""

MAX_INBOX_BYTES = 1 << 20
"""What those take. Beyond: the same."""

MAX_MEMBERS = 10_000
"""Sessions that a room with presence shows. Beyond: a session is in the room, unseen."""

MAX_MEMBERS_BYTES = 8 << 20
"""What those take with what they say of themselves. Beyond: the same."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds. Sizes are in bytes."""

    max_message_bytes: int = 1 << 20
    """One message from a client. Beyond: close ``too_large``."""

    max_sessions: int = 100_000
    """Sessions of one node, attached and detached. Beyond: close ``too_many_sessions``."""

    max_rooms: int = 100_000
    """Rooms one node keeps. Beyond: a join is refused with ``too_many_rooms``, a publish raises BrokerUnavailable."""

    max_session_rooms: int = 1_000
    """Rooms one session may be in. Beyond: ``too_many_rooms``."""

    window: int = 64
    """Seqs of one session whose outcome the client has not acknowledged. Beyond: close ``bad_protocol``."""

    max_outcome_bytes: int = 1 << 20
    """Outcomes of one session kept for repetition, together. Beyond: one is sent once; its repeat is
    ``outcome_unknown``.
    """

    max_meta_bytes: int = 4096
    """What a session may say of itself in a room with presence. Beyond: ``invalid``."""

    max_asks: int = 256
    """Questions to one session that wait for its answer. Beyond: the next is Refused, ``too_many_asks``."""

    batch_bytes: int = 1 << 16
    """What one write aims at. A single larger publication still goes out whole."""
