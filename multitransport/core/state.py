"""The log of a state room: the newest publication of each key, and which keys were deleted lately."""

from __future__ import annotations

from itertools import takewhile

from multitransport.core.log import Log, Recovery, Retention
from multitransport.core.publication import Draft, Publication, Slice, at_frame
from multitransport.errors import RoomFull
from multitransport.protocol.position import Position

__all__ = ["StateLog", "new_log"]


class StateLog(Log):
    """Offsets are those of all that was ever published; what a newer publication of its key replaced is gone.

    Up to ``base`` deletions are forgotten: a reader from before has to begin anew.
    """

    __slots__ = ("_deleted", "_deleted_bytes", "_keys")

    mode = "state"

    def __init__(self, room: str, epoch: str, retention: Retention) -> None:
        super().__init__(room, epoch, retention)
        self._keys: dict[str, Publication] = {}
        self._deleted: dict[int, Publication] = {}
        self._deleted_bytes = 0

    def append(self, draft: Draft, now: float) -> Publication:
        """Put a publication in the place of the one with its key, and return it.

        Raises RoomFull where there are as many keys, or bytes, as the retention allows; ValueError without a key.
        """
        if draft.key is None:
            raise ValueError(f"{self.room!r} is a state room: a publication needs a key")
        if (known := self._known(draft)) is not None:
            return known
        self.trim(now)
        publication = self._publication(draft, now)
        former = self._keys.get(draft.key)
        if not draft.deleted:
            self._check_room(publication.size, former)
        if former is not None:
            self._drop(former)
        self._add(publication)
        if draft.deleted and former is None:
            self._drop(publication)  # nobody has such a key: who is not told misses nothing
            return publication
        self._keys[draft.key] = publication
        if draft.deleted:
            self._deleted[publication.offset] = publication
            self._deleted_bytes += publication.size
        while len(self._keys) > self.retention.keys or self.size > self.retention.bytes:
            self._forget(next(iter(self._deleted.values())))
        return publication

    def trim(self, now: float) -> None:
        """Forget deletions that are older than the retention."""
        while self._deleted:
            oldest = next(iter(self._deleted.values()))
            if now - oldest.at <= self.retention.seconds:
                break
            self._forget(oldest)

    def _check_room(self, size: int, former: Publication | None) -> None:
        """Raise RoomFull where the values alone, all deletions forgotten, would be more than the retention allows."""
        values, held = len(self._keys) - len(self._deleted), self.size - self._deleted_bytes
        if former is not None and not former.draft.deleted:
            values, held = values - 1, held - former.size
        if values >= self.retention.keys:
            raise RoomFull(f"{self.room!r} holds {self.retention.keys} keys, as many as it may")
        if held + size > self.retention.bytes:
            raise RoomFull(f"{self.room!r} may hold {self.retention.bytes} bytes, and this would be more")

    def _forget(self, deleted: Publication) -> None:
        assert deleted.draft.key is not None
        self._drop(deleted)
        del self._keys[deleted.draft.key]
        self.base = deleted.offset

    def _drop(self, publication: Publication) -> None:
        super()._drop(publication)
        if self._deleted.pop(publication.offset, None) is not None:
            self._deleted_bytes -= publication.size

    def newest(self, count: int) -> Recovery:
        """Return where a newcomer starts: it gets every current value."""
        return Recovery(0 if len(self._deleted) < len(self._keys) else self.top, True, None)

    def recover(self, position: Position) -> Recovery:
        """Return where a reader with this position goes on; one from before a forgotten deletion begins anew.

        One from the very beginning too: it may have seen part of a pass.
        """
        if position.epoch != self.epoch or position.offset > self.top or position.offset < self.base:
            return Recovery(0, False, None)
        return Recovery(position.offset, True, None)

    def fits(self, after: int, limit_bytes: int) -> bool:
        """Tell whether all that changed after the offset is within the limit, or a single publication."""
        for count, publication in enumerate(reversed(self._publications.values())):
            if publication.offset <= after:
                break
            limit_bytes -= publication.size + 1
            if limit_bytes < 0 and count:
                return False
        return True

    def keys_after(self, offset: int) -> list[str]:
        """Return the keys changed after the offset, oldest change first."""
        return [str(each.draft.key) for each in self._after(offset)]

    def current(self, key: str) -> Publication | None:
        """Return the newest publication of a key; None where its deletion is forgotten."""
        return self._keys.get(key)

    def values(self) -> list[Publication]:
        """Return the current value of each key, oldest change first."""
        return [each for each in self._publications.values() if not each.draft.deleted]

    def _collect(self, after: int, limit_bytes: int) -> Slice:
        """Return a whole pass, whatever its size."""
        return Slice(self._after(after), self.top, at_frame(self.room, self.position))

    def _after(self, offset: int) -> list[Publication]:
        changed = takewhile(lambda each: each.offset > offset, reversed(self._publications.values()))
        return list(changed)[::-1]


def new_log(room: str, epoch: str, retention: Retention) -> Log:
    """Return an empty log, a state room's where the retention has keys."""
    return StateLog(room, epoch, retention) if retention.keys else Log(room, epoch, retention)
