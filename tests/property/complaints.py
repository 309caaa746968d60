"""What the server says in its log."""

from __future__ import annotations

import logging

__all__ = ["COMPLAINTS"]


class Complaints(logging.Handler):
    """Keeps what the server complains of, but for the handler that fails and the room that forgets early on purpose."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.kept: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if "'fail'" not in message and not message.startswith("room 'state/"):
            self.kept.append(self.format(record))


COMPLAINTS = Complaints()
