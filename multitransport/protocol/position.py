"""A place in a room's log."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from msgspec import Meta

__all__ = ["MAX_COUNT", "Position"]

MAX_COUNT = 2**53 - 1
"""The largest number that counts on the wire: the largest integer a JavaScript number holds exactly."""


class Position(NamedTuple):
    """Everything up to ``offset`` of the log with this ``epoch``."""

    epoch: Annotated[str, Meta(max_length=64)]
    offset: Annotated[int, Meta(ge=0, le=MAX_COUNT)]

    def __str__(self) -> str:
        return f"{self.epoch}:{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Position | None:
        """Read ``epoch:offset``; None where it is not one."""
        epoch, colon, offset = text.rpartition(":")
        if not (colon and epoch and offset.isascii() and offset.isdecimal()) or len(offset) > 16:
            return None
        return cls(epoch, int(offset)) if int(offset) <= MAX_COUNT else None
