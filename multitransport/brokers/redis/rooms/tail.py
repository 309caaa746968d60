"""The end of one room's log on this node, kept in step with Redis."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from multitransport.brokers.redis.rooms.announcements import Entry, Published
from multitransport.core.log import Log, Retention
from multitransport.core.publication import Draft
from multitransport.core.state import StateLog, new_log
from multitransport.protocol.position import Position

__all__ = ["Snapshot", "Tail"]


class Snapshot(msgspec.Struct, frozen=True):
    """A room as Redis has it. The entries are the last ones, without a hole, or all values of a state room.

    ``whole`` is False where Redis began anew since a node vouched for its log; with ``all`` there are no older entries.
    Up to ``base`` a state room has forgotten its deletions.
    """

    epoch: str
    top: int
    last_id: str
    whole: bool
    all: bool
    base: int
    entries: list[Entry]


class Tail:
    """A log that follows announcements, and says when it cannot.

    ``last_id`` is the id of the publication at the log's top; that offset with another id is another log.
    """

    def __init__(self, room: str, retention: Retention, clock: Callable[[], float], max_held_bytes: int) -> None:
        self.log: Log = new_log(room, "", retention)
        self.last_id = ""
        self._confirmed = (Position("", 0), "")
        self.complete = False
        """The log reaches back as far as Redis does."""
        self._clock = clock
        self._held: list[tuple[Published, Draft, int]] | None = []
        self._held_bytes = 0
        self._max_held_bytes = max_held_bytes
        self.overrun = False
        """Something was announced that could not be held."""

    @property
    def live(self) -> bool:
        """Whether announcements go into the log as they come."""
        return self._held is None

    @property
    def newest(self) -> tuple[int, str]:
        """The last offset of this epoch that the node knows, and its id: read, or confirmed to its publisher."""
        position, entry_id = self._confirmed
        ahead = position.epoch == self.log.epoch and position.offset > self.log.top
        return (position.offset, entry_id) if ahead else (self.log.top, self.last_id)

    def confirmed(self, position: Position, entry_id: str) -> None:
        """Note what Redis told a publisher of this node."""
        self._confirmed = position, entry_id

    def hold(self) -> None:
        """Hold announcements until ``release``."""
        if self._held is None:
            self._held = []

    def announced(self, published: Published, draft: Draft, size: int) -> bool:
        """Take an announcement; False where the log has to be read first. It is then held."""
        if self._held is None:
            if self._follows(published, draft):
                return True
            self.hold()
        assert self._held is not None
        self._held_bytes += size
        if self._held_bytes > self._max_held_bytes:
            self.overrun = True
        else:
            self._held.append((published, draft, size))
        return False

    def release(self) -> bool:
        """Take what was held; False where the log has to be read again."""
        held, self._held, self._held_bytes = self._held or [], None, 0
        if self.overrun:
            self.overrun = False
            self._held = []
            return False
        other = False
        for n, (published, draft, _) in enumerate(held):
            if published.epoch != self.log.epoch:
                # Of before the epoch that was read, or of one that came after it: another read will tell.
                other = True
            elif not self._follows(published, draft):
                self._held = held[n:]
                self._held_bytes = sum(size for _, _, size in self._held)
                return False
        if other:
            self._held = []
        return not other

    def _follows(self, published: Published, draft: Draft) -> bool:
        """Add what comes next, pass over what is there; False for all else."""
        log = self.log
        if published.epoch != log.epoch or published.offset > log.top + 1:
            return False
        if published.offset <= log.top:
            return self._agrees(published.offset, published.id) is not False
        if isinstance(log, StateLog):
            if draft.deleted and draft.key not in log:
                log.skip_to(published.offset)  # Redis does not keep it either
            else:
                log.take(published.offset, draft, self._clock())
            log.forget_through(published.base)
        else:
            log.take(published.offset, draft, self._clock())
        log.trim(self._clock())
        self.last_id = published.id
        return True

    def _agrees(self, offset: int, entry_id: str) -> bool | None:
        """Whether the publication at this offset is that one; None where nobody knows any more."""
        if offset == self.log.top:
            return entry_id == self.last_id
        known = self.log.get(offset)
        return None if known is None else known.draft.id == entry_id

    def judge(self, snapshot: Snapshot, top: int, last_id: str) -> bool | None:
        """Say whether a snapshot of the same epoch continues what was known when it was asked for, up to ``top`` with
        that last id; None where neither has what the other could be compared with.
        """
        if snapshot.top < top:
            return False
        if snapshot.top == top:
            return snapshot.last_id == last_id if top else None
        verdict: bool | None = None
        for entry in snapshot.entries:
            if entry.offset > max(self.log.top, top):
                break
            agrees = self._agrees(entry.offset, entry.draft.id or "")
            if entry.offset == top:
                agrees = verdict = entry.draft.id == last_id
            elif agrees is None and isinstance(self.log, StateLog) and entry.offset <= self.log.top:
                # It had every value there was; only what is deleted may have been forgotten.
                agrees = entry.draft.deleted
            if agrees is False:
                return False
        return verdict

    def load(self, snapshot: Snapshot) -> None:
        """Bring the log to where the snapshot is; what it has beyond that stays."""
        same = snapshot.epoch == self.log.epoch
        self.complete = snapshot.all or (same and self.complete)
        if same and snapshot.top < self.log.top:
            self._load_older(snapshot)
        elif isinstance(self.log, StateLog):
            self._load_state(self.log, snapshot)
        elif same:
            self._load_older(snapshot)
            self._load_newer(snapshot)
        else:
            self._load_other(snapshot)
        if snapshot.top == self.log.top:
            self.last_id = snapshot.last_id
        self.log.trim(self._clock())

    def _load_state(self, log: StateLog, snapshot: Snapshot) -> None:
        if snapshot.epoch == log.epoch and snapshot.top == log.top:
            log.forget_through(snapshot.base)
            return
        log.restart(Position(snapshot.epoch, snapshot.base))
        self._take(snapshot.entries)
        log.skip_to(snapshot.top)

    def _load_older(self, snapshot: Snapshot) -> None:
        older = [entry for entry in snapshot.entries if entry.offset <= self.log.base]
        if isinstance(self.log, StateLog) or not older or older[-1].offset != self.log.base:
            return
        for entry in reversed(older):
            self.log.prepend(entry.draft, self._clock() - entry.age_seconds)

    def _load_newer(self, snapshot: Snapshot) -> None:
        newer = [entry for entry in snapshot.entries if entry.offset > self.log.top]
        first = newer[0].offset if newer else snapshot.top + 1
        if first > self.log.top + 1:
            # Redis itself no longer has what is in between.
            self.log.restart(Position(snapshot.epoch, first - 1))
        self._take(newer)

    def _load_other(self, snapshot: Snapshot) -> None:
        """Go on, in another epoch, after the last publication that both have: a reader misses none of the new ones."""
        base = snapshot.entries[0].offset - 1 if snapshot.entries else snapshot.top
        start = base
        for entry in snapshot.entries:
            known = self.log.get(entry.offset)
            if known is None or known.draft.id != entry.draft.id:
                break
            start = entry.offset
        self.log.restart(Position(snapshot.epoch, start))
        self._take([entry for entry in snapshot.entries if entry.offset > start])
        self.complete = snapshot.all and start == base

    def _take(self, entries: list[Entry]) -> None:
        for entry in entries:
            self.log.take(entry.offset, entry.draft, self._clock() - entry.age_seconds)
