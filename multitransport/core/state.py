"""The log of a state room: the newest publication of each key, and which keys were deleted lately."""

from __future__ import annotations

from multitransport.core.log import Log, Recovery, Retention
from multitransport.core.publication import Draft, Publication, Slice, at_frame
from multitransport.errors import RoomFull
from multitransport.protocol.position import Position

__all__ = ["StateLog", "new_log"]


class StateLog(Log):
    """Offsets are those of all that was ever published; what a newer publication of its key replaced is gone.

    Up to ``base`` deletions are forgotten: a reader from before has to begin anew.
    """

    __slots__ = ("_deleted", "_keys")

    mode = "state"

    def __init__(self, room: str, epoch: str, retention: Retention) -> None:
        super().__init__(room, epoch, retention)
        self._keys: dict[str, Publication] = {}
        self._deleted: dict[int, Publication] = {}

    def append(self, draft: Draft, now: float) -> Publication:
        """Put a publication in the place of the one with its key, and return it.

        Raises RoomFull where there are as many keys, or bytes, as the retention allows; ValueError without a key.
        """
        if draft.key is None:
            raise ValueError(f"{self.room!r} is a state room: a publication needs a key")
        if (known := self._known(draft)) is not None:
            return known
        self.trim(now)
        publication = self._publication(self.top + 1, draft, now)
        if not draft.deleted:
            self._make_room(publication.size, self._keys.get(draft.key))
        return self._put(publication, draft.key)

    def take(self, offset: int, draft: Draft, at: float) -> Publication:
        """Put the publication that was given this offset, above ``top``, in the place of the one with its key."""
        assert draft.key is not None
        return self._put(self._publication(offset, draft, at), draft.key)

    def begin(self, position: Position) -> None:
        """Hold nothing, and go on after this position; deletions up to it are forgotten."""
        super().begin(position)
        self._keys.clear()
        self._deleted.clear()

    def forget_through(self, offset: int) -> None:
        """Forget the deletions up to this offset."""
        for publication in [each for each in self._deleted.values() if each.offset <= offset]:
            self._forget(publication)
        self.base = max(self.base, offset)

    def skip_to(self, offset: int) -> None:
        """Go on after this offset: what was published before it was replaced, or is a deletion that is forgotten."""
        self.top = max(self.top, offset)

    def _put(self, publication: Publication, key: str) -> Publication:
        former = self._keys.get(key)
        if former is not None:
            self._drop(former)
        self._add(publication)
        self._keys[key] = publication
        if publication.draft.deleted:
            self._deleted[publication.offset] = publication
        return publication

    def trim(self, now: float) -> None:
        """Forget deletions that are older than the retention."""
        while self._deleted:
            oldest = next(iter(self._deleted.values()))
            if now - oldest.at <= self.retention.seconds:
                break
            self._forget(oldest)

    def _make_room(self, size: int, former: Publication | None) -> None:
        """Forget deletions early where keys or bytes run out. Raises RoomFull where that is not enough."""
        grown = size - (0 if former is None else former.size)
        while True:
            fits = former is not None or len(self._keys) < self.retention.keys
            if fits and self.size + grown <= self.retention.bytes:
                return
            oldest = next((each for each in self._deleted.values() if each is not former), None)
            if oldest is None:
                bound = f"{self.retention.bytes} bytes" if fits else f"{self.retention.keys} keys"
                raise RoomFull(f"{self.room!r} holds {bound}, as much as it may")
            self._forget(oldest)

    def _forget(self, deleted: Publication) -> None:
        assert deleted.draft.key is not None
        self._drop(deleted)
        del self._keys[deleted.draft.key]
        self.base = deleted.offset

    def _drop(self, publication: Publication) -> None:
        super()._drop(publication)
        self._deleted.pop(publication.offset, None)

    def newest(self, count: int) -> Recovery:
        """Return where a newcomer starts: it gets every current value."""
        return Recovery(0, True, None)

    def recover(self, position: Position) -> Recovery:
        """Return where a reader with this position goes on; one from before a forgotten deletion begins anew."""
        if position.epoch != self.epoch or position.offset > self.top or 0 < position.offset < self.base:
            return Recovery(0, False, None)
        return Recovery(position.offset, True, None)

    def keys_after(self, offset: int) -> list[str]:
        """Return the keys changed after the offset, oldest change first."""
        keys: list[str] = []
        for publication in reversed(self._publications.values()):
            if publication.offset <= offset:
                break
            assert publication.draft.key is not None
            keys.append(publication.draft.key)
        keys.reverse()
        return keys

    def current(self, keys: list[str]) -> list[Publication]:
        """Return the newest publications of these keys; of what is forgotten, none."""
        return [self._keys[key] for key in keys if key in self._keys]

    def values(self) -> list[Publication]:
        """Return the current value of each key, oldest change first."""
        return [each for each in self._publications.values() if not each.draft.deleted]

    def _collect(self, after: int, limit_bytes: int) -> Slice:
        """Return a whole pass, whatever its size: ``Cursor`` splits what is too large for one batch."""
        return Slice(self.current(self.keys_after(after)), self.top, self.at_top())

    def at_top(self) -> bytes:
        """Return the frame that ends a pass which fixes the top now."""
        return at_frame(self.room, self.position)


def new_log(room: str, epoch: str, retention: Retention) -> Log:
    """Return an empty log, a state room's where the retention has keys."""
    return StateLog(room, epoch, retention) if retention.keys else Log(room, epoch, retention)
