"""Every bound of the server, in one place, each with what happens when it is met."""

from __future__ import annotations

import msgspec

__all__ = ["MAX_MESSAGE_FRAMES", "Limits"]


MAX_MESSAGE_FRAMES = 1_000
"""Frames of one message from a client. Beyond: close ``bad_protocol``. No setting: more would only help an attacker."""


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
