"""Close and error codes: the one table. The TypeScript copy is generated from it (``python -m
multitransport.protocol.generate``).

3000-3499 and 4000-4499 let the client connect again, 3500-3999 and 4500-4999 are final; the 4000s are the
application's.
"""

from __future__ import annotations

import enum
from typing import Self

__all__ = ["CloseCode", "ErrorCode", "is_final"]


class CloseCode(enum.IntEnum):
    """Why a connection ends, and with which HTTP status where it is a response that says so."""

    http_status: int

    def __new__(cls, code: int, http_status: int) -> Self:
        member = int.__new__(cls, code)
        member._value_ = code
        member.http_status = http_status
        return member

    GOING_AWAY = 3000, 503
    PING_TIMEOUT = 3001, 408
    SESSION_LOST = 3002, 410
    STALLED = 3003, 408
    INTERNAL = 3004, 500
    TOO_MANY_SESSIONS = 3005, 503
    STALE_ATTACH = 3006, 409
    TOO_SLOW = 3007, 408
    TRANSPORT_NOT_ALLOWED = 3008, 403
    SLOW = 3009, 408
    UNAVAILABLE = 3010, 503

    SUPERSEDED = 3500, 409
    BAD_MESSAGE = 3501, 400
    TOO_LARGE = 3502, 413
    BAD_PROTOCOL = 3503, 400
    UNSUPPORTED_VERSION = 3504, 400
    REFUSED = 3505, 403
    OTHER_USER = 3506, 403
    BAD_ORIGIN = 3507, 403
    UNSUPPORTED_MEDIA_TYPE = 3508, 415
    BYE = 3509, 200
    METHOD_NOT_ALLOWED = 3510, 405
    NOT_FOUND = 3511, 404
    ENDED = 3512, 403


class ErrorCode(enum.StrEnum):
    """Why one frame was not carried out."""

    BAD_FRAME = "bad_frame"
    UNKNOWN_KIND = "unknown_kind"
    UNKNOWN_ROOM = "unknown_room"
    BAD_ROOM = "bad_room"
    TOO_MANY_ROOMS = "too_many_rooms"
    NOT_JOINED = "not_joined"
    UNKNOWN_EVENT = "unknown_event"
    INVALID = "invalid"
    REFUSED = "refused"
    UNKNOWN_ASK = "unknown_ask"
    TOO_MANY_KEYS = "too_many_keys"
    REMOVED = "removed"
    FAILED = "failed"
    OUTCOME_UNKNOWN = "outcome_unknown"


def is_final(code: int) -> bool:
    """Tell whether a client must not connect again after this close code."""
    return 3500 <= code < 4000 or 4500 <= code < 5000
