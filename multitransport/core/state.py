"""The log of a state room: the newest publication of each key, and which keys were deleted lately."""

from __future__ import annotations

from itertools import takewhile

from multitransport.core.log import Log, Recovery, Retention
from multitransport.core.publication import Draft, Publication, Slice, at_frame
from multitransport.errors import RoomFull
from multitransport.protocol.position import Position

__all__ = ["Part", "Pass", "StateLog", "new_log"]

_CACHED_PASSES = 8


class Pass:
    """The keys that changed after an offset, up to a top, where they are too much for one batch. All readers that begin
    at the same place share it.
    """

    __slots__ = ("after", "keys", "top")

    def __init__(self, after: int, top: int, keys: list[str]) -> None:
        self.after = after
        self.top = top
        self.keys = keys


class Part(Slice):
    """What comes in one batch of a pass: ``end`` of its keys are told by then."""

    __slots__ = ("end",)

    def __init__(self, end: int, publications: list[Publication], last: int, tail: bytes | None) -> None:
        super().__init__(publications, last, tail)
        self.end = end


class StateLog(Log):
    """Offsets are those of all that was ever published; what a newer publication of its key replaced is gone.

    Up to ``base`` deletions are forgotten: a reader from before has to begin anew.
    """

    __slots__ = ("_deleted", "_deleted_bytes", "_keys", "_passes", "_too_much")

    mode = "state"

    def __init__(self, room: str, epoch: str, retention: Retention) -> None:
        super().__init__(room, epoch, retention)
        self._keys: dict[str, Publication] = {}
        self._deleted: dict[int, Publication] = {}
        self._deleted_bytes = 0
        self._passes: dict[int, Pass] = {}
        self._too_much: dict[int, int] = {}

    def __contains__(self, key: object) -> bool:
        """Whether anything is known of the key, be it that it was deleted lately."""
        return key in self._keys

    def append(self, draft: Draft, now: float) -> Publication:
        """Put a publication in the place of the one with its key, and return it.

        Raises RoomFull where there are as many keys, or bytes, as the retention allows; ValueError without a key.
        """
        if draft.key is None:
            raise ValueError(f"{self.room!r} is a state room: a publication needs a key")
        if (known := self._known(draft)) is not None:
            return known
        self.trim(now)
        publication = self._publication(draft, self.top + 1, now)
        if not draft.deleted:
            self._check_room(publication.size, self._keys.get(draft.key))
        if draft.deleted and draft.key not in self:
            self.skip_to(publication.offset)  # who is not told misses nothing
        else:
            self._put(publication, draft.key)
        self._note_id(publication)
        while len(self._keys) > self.retention.keys or self.size > self.retention.bytes:
            self._forget(next(iter(self._deleted.values())))
        return publication

    def take(self, offset: int, draft: Draft, at: float) -> Publication:
        """Put the publication that was given this offset, above ``top``, in the place of the one with its key."""
        assert draft.key is not None
        publication = self._publication(draft, offset, at)
        self._put(publication, draft.key)
        return publication

    def restart(self, position: Position) -> None:
        """Hold nothing, and go on after this position; deletions up to it are forgotten."""
        super().restart(position)
        self._keys.clear()
        self._deleted.clear()
        self._deleted_bytes = 0
        self._changed()

    def forget_through(self, offset: int) -> None:
        """Forget the deletions up to this offset."""
        for publication in [each for each in self._deleted.values() if each.offset <= offset]:
            self._forget(publication)
        self.base = max(self.base, offset)

    def skip_to(self, offset: int) -> None:
        """Go on after this offset: what was published before it was replaced, or is a deletion that is forgotten."""
        if offset > self.top:
            self.top = offset
            self._slices.clear()
            self._changed()

    def trim(self, now: float) -> None:
        """Forget deletions that are older than the retention."""
        self._forget_ids(now)
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

    def _put(self, publication: Publication, key: str) -> None:
        former = self._keys.get(key)
        if former is not None:
            self._drop(former)
        self._add(publication)
        self._keys[key] = publication
        if publication.draft.deleted:
            self._deleted[publication.offset] = publication
            self._deleted_bytes += publication.size

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

    def whole(self, after: int, limit_bytes: int) -> Slice | None:
        """Return all that changed after the offset; None where that is more than the limit and one publication.

        A thousand readers at the same place cost one look at what changed.
        """
        if (found := self._slices.get((after, limit_bytes))) is not None:
            return found
        if after <= self._too_much.get(limit_bytes, -1):
            return None
        if not self._fits(after, limit_bytes):
            self._too_much[limit_bytes] = after  # and so it is after all offsets below
            return None
        return self.slice(after, limit_bytes)

    def begin(self, after: int) -> Pass:
        """Return what a pass after the offset has to tell, oldest change first."""
        found = self._passes.get(after)
        if found is None:
            if len(self._passes) >= _CACHED_PASSES:
                self._passes.clear()
            found = self._passes[after] = Pass(after, self.top, [str(each.draft.key) for each in self._after(after)])
        return found

    def part(self, of: Pass, told: int, limit_bytes: int) -> Part:
        """Return what comes after so many keys of a pass, each with the value it has now, about ``limit_bytes`` of it;
        the last part moves the position.
        """
        found = self._slices.get((of, told, limit_bytes))
        if not isinstance(found, Part):
            found = self._collect_part(of, told, limit_bytes)
            self._cache((of, told, limit_bytes), found)
        return found

    def value(self, key: str) -> Publication | None:
        """Return the current value of a key."""
        found = self._keys.get(key)
        return None if found is None or found.draft.deleted else found

    def values(self) -> list[Publication]:
        """Return the current value of each key, oldest change first."""
        return [each for each in self._publications.values() if not each.draft.deleted]

    def _collect(self, after: int, limit_bytes: int) -> Slice:
        """Return a whole pass, whatever its size."""
        return Slice(self._after(after), self.top, at_frame(self.room, self.position))

    def _collect_part(self, of: Pass, told: int, limit_bytes: int) -> Part:
        publications = []
        while told < len(of.keys) and limit_bytes > 0:
            found = self._keys.get(of.keys[told])
            told += 1
            if found is not None:  # else its deletion is forgotten
                publications.append(found)
                limit_bytes -= found.size + 1
        if told < len(of.keys):
            return Part(told, publications, of.after, None)
        return Part(told, publications, of.top, at_frame(self.room, Position(self.epoch, of.top)))

    def _fits(self, after: int, limit_bytes: int) -> bool:
        for count, publication in enumerate(reversed(self._publications.values())):
            if publication.offset <= after:
                break
            limit_bytes -= publication.size + 1
            if limit_bytes < 0 and count:
                return False
        return True

    def _add(self, publication: Publication) -> None:
        super()._add(publication)
        self._changed()

    def _changed(self) -> None:
        self._passes.clear()
        self._too_much.clear()

    def _after(self, offset: int) -> list[Publication]:
        changed = takewhile(lambda each: each.offset > offset, reversed(self._publications.values()))
        return list(changed)[::-1]


def new_log(room: str, epoch: str, retention: Retention) -> Log:
    """Return an empty log, a state room's where the retention has keys."""
    return StateLog(room, epoch, retention) if retention.keys else Log(room, epoch, retention)
