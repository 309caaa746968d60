"""Every exception a user of the library can meet.

Server side:    ConfigurationError, Refuse, BrokerUnavailable, RoomFull
Client side:    RequestError (Refused, Invalid, Failed, TimedOut, OutcomeUnknown), ConnectionClosed, QueueFull

All derive from MultiTransportError.
"""

from __future__ import annotations

__all__ = [
    "BrokerUnavailable",
    "ConfigurationError",
    "ConnectionClosed",
    "Failed",
    "Invalid",
    "MultiTransportError",
    "OutcomeUnknown",
    "QueueFull",
    "Refuse",
    "Refused",
    "RequestError",
    "RoomFull",
    "TimedOut",
    "request_error",
]


class MultiTransportError(Exception):
    """The base of everything this library raises on purpose."""


class ConfigurationError(MultiTransportError):
    """A setting or a declaration cannot be meant as it stands. Raised at start, never while serving."""


class BrokerUnavailable(MultiTransportError):
    """The broker did not take a publication in time; nothing is known to have been published."""


class RoomFull(MultiTransportError):
    """A state room holds as many keys, or bytes, as it may; the publication was not taken."""


class Refuse(MultiTransportError):
    """Raise it in a connect check, a room check or a handler to refuse, with a code the client can tell apart.

    ``code`` is lower-case letters, digits and ``_``, at most 64; ``message`` is shown to the client as it is.
    """

    def __init__(self, code: str = "refused", message: str = "") -> None:
        # Whatever is given here is sent to a client as text.
        self.code = _text(code)
        self.message = _text(message)
        super().__init__(self.code, self.message)


def _text(value: object) -> str:
    return str(value).encode("utf-8", "replace").decode()


class RequestError(MultiTransportError):
    """A frame was not carried out. ``code`` is the wire's error code, ``message`` says why in words."""

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.code}: {self.message}" if self.message else self.code


class Refused(RequestError):
    """The server or the application refused; nothing was done."""


class Invalid(RequestError):
    """The data does not fit; ``message`` names the field."""


class Failed(RequestError):
    """The handler raised; ``message`` has the reference that is in the server's log."""


class TimedOut(RequestError):
    """No answer came in time; the frame may still be carried out."""


class OutcomeUnknown(RequestError):
    """The frame may or may not have been carried out, and nobody can tell any more."""


class ConnectionClosed(MultiTransportError):
    """The session ended for good. ``code`` is the close code, ``reason`` the server's words."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class QueueFull(MultiTransportError):
    """More frames are waiting to be sent than the client may keep."""


_BY_CODE: dict[str, type[RequestError]] = {
    "bad_frame": Invalid,
    "failed": Failed,
    "invalid": Invalid,
    "outcome_unknown": OutcomeUnknown,
    "timed_out": TimedOut,
}


def request_error(code: str, message: str = "") -> RequestError:
    """Return the exception of the wire's error code; every code that is not its own class is a refusal."""
    return _BY_CODE.get(code, Refused)(code, message)
