"""State rooms, and what their readers are told."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from multitransport.core.log import Retention
from multitransport.core.publication import Draft, Slice
from multitransport.core.reader import Gap, Reader
from multitransport.core.state import StateLog

ENOUGH = 1 << 20


__all__ = ["ENOUGH", "Owner", "log_of", "parts", "put", "read", "told"]


class Owner:
    def __init__(self, session_id: str = "me") -> None:
        self.session_id = session_id

    def wake(self) -> None:
        """Nobody waits."""

    flush = wake


def log_of(*keys: str, retention: Retention | None = None) -> StateLog:
    """Return a state log of these publications, one a second from time 1; what each says is its offset."""
    log = StateLog("r", "e1", retention or Retention(keys=100))
    for at, key in enumerate(keys, 1):
        put(log, key, at=at)
    return log


def put(log: StateLog, key: str, at: float = 0.0, **options: bool | str) -> int:
    return log.append(msgspec.structs.replace(Draft("v", b"%d" % (log.top + 1), key=key), **options), at).offset


def told(items: Sequence[Slice | Gap]) -> list[tuple[str, int, bool]]:
    frames = [msgspec.json.decode(line) for item in items for line in item.frames.split(b"\n")]
    return [(each[5]["key"], each[2], "deleted" in each[5]) for each in frames if each[0] == "pub"]


def read(reader: Reader, limit: int = ENOUGH) -> list[tuple[str, int, bool]]:
    for cursor in reader.cursors.values():
        cursor.flush()
    return told(reader.take(limit))


def parts(reader: Reader) -> list[list[tuple[str, int, bool]]]:
    """Take one publication at a time, until the reader has nothing left to do."""
    found = []
    while reader.ready:
        found.append(told(reader.take(1)))
    return found
