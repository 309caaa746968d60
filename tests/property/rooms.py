"""What a program has been told of a room, compared with the record."""

from __future__ import annotations

from multitransport.client.events import CaughtUp, Gap, Publication
from multitransport.core.log import Log
from multitransport.protocol.position import Position
from tests.property.record import LOSSY, STATE, Entry, Record

__all__ = ["LogView", "StateView", "View", "view_of"]


class View:
    """One membership. ``have`` is the position up to which everything was told, or said to be lost.

    Who begins ``anew`` in a state room is told all its values, those too that exclude it.
    """

    anew = False

    def __init__(self, record: Record, new: str, room: str, have: Position | None = None) -> None:
        self.record = record
        self.new = new
        self.room = room
        self.have = have

    def joined(self, position: Position, *, told: bool) -> None:
        """It is joined at this position; ``told``: a loss is told next."""
        raise NotImplementedError

    def lost(self, gap: Gap, position: Position) -> None:
        raise NotImplementedError

    def published(self, publication: Publication, session: str | None) -> None:
        """Take a publication that was told to this session."""
        assert publication.position is not None
        entry = self.record.at(self.room, publication.position)
        assert publication.data == entry.data
        assert (publication.key, publication.deleted) == (entry.key, entry.deleted)
        assert self.anew or session is None or entry.exclude != session, f"{publication} was not for {session}"

    def caught_up(self, effect: CaughtUp, position: Position) -> None:
        raise NotImplementedError

    def complete(self, log: Log) -> None:
        """Everything there is has been told."""
        raise NotImplementedError

    def excluded(self, entry: Entry) -> bool:
        return self.record.excludes(entry, self.new)


class LogView(View):
    """Publications come once and in order, or it is told; those for others are left out."""

    def joined(self, position: Position, *, told: bool) -> None:
        if self.have is None:
            starts = self.record.starts[self.new, self.room]
            # Once a session has ended, a hello repeated late begins another, and a newcomer starts where that one did.
            ended = self.record.has_ended(self.new)
            known = told or ended or self.room.startswith("@")
            assert known or position.offset in starts, f"{position} is none of {starts}"
            self.have = position
        elif not told:
            self._pass_over(position)

    def lost(self, gap: Gap, position: Position) -> None:
        assert self.have is not None
        fresh = position.epoch != self.have.epoch
        kept = self.room != LOSSY and not fresh
        assert not kept or self.record.has_ended(self.new), f"{gap}, but everything is kept"
        if not fresh:
            assert gap.lost is not None
            assert len(self._missing(position)) <= gap.lost
        self.have = position

    def published(self, publication: Publication, session: str | None) -> None:
        super().published(publication, session)
        position = publication.position
        assert position is not None
        self._pass_over(Position(position.epoch, position.offset - 1))
        self.have = position

    def asked(self, data: object, position: Position) -> None:
        """Take a question, which was published there."""
        self._pass_over(Position(position.epoch, position.offset - 1))
        assert self.record.at(self.room, position).data == data
        self.have = position

    def caught_up(self, effect: CaughtUp, position: Position) -> None:
        raise AssertionError(f"{effect}, but {self.room} keeps no state")

    def complete(self, log: Log) -> None:
        self._pass_over(log.position)

    def _pass_over(self, position: Position) -> None:
        """What lies before this position was for others."""
        have = self.have
        assert have is not None
        assert position.epoch == have.epoch
        assert position.offset >= have.offset, f"{position} follows {have}"
        missing = self._missing(position)
        assert not missing, f"{position} follows {have}, without {missing}"
        self.have = position

    def _missing(self, position: Position) -> list[Entry]:
        assert self.have is not None
        said = self.record.said[self.room, position.epoch]
        return [entry for entry in said[self.have.offset : position.offset] if not self.excluded(entry)]


class StateView(View):
    """The newest of each key is told, and never an older one after it."""

    def __init__(self, record: Record, new: str, room: str, have: Position | None = None) -> None:
        super().__init__(record, new, room, have)
        self._offsets: dict[str, int] = {}
        self._values: dict[str, object] = {}

    def joined(self, position: Position, *, told: bool) -> None:
        self.have = position
        self.anew = self.anew or not position.offset

    def lost(self, gap: Gap, position: Position) -> None:
        self.anew = True
        self._offsets.clear()
        self._values.clear()

    def published(self, publication: Publication, session: str | None) -> None:
        super().published(publication, session)
        key, position = publication.key, publication.position
        assert key is not None
        assert position is not None
        assert position.offset > self._offsets.get(key, 0), f"{publication} is older than what is known"
        self._offsets[key] = position.offset
        if publication.deleted:
            self._values.pop(key, None)
        else:
            self._values[key] = publication.data

    def caught_up(self, effect: CaughtUp, position: Position) -> None:
        for key, (offset, entry) in self.record.newest(self.room, position).items():
            if self._offsets.get(key, 0) > offset or self.excluded(entry):
                continue
            if entry.deleted:
                assert key not in self._values, f"nobody told of the end of {key}"
            else:
                assert self._values.get(key) == entry.data, f"{key} is at {offset}"
        self.have = position
        self.anew = False

    def complete(self, log: Log) -> None:
        assert self.have == log.position or self.have is None
        self.caught_up(CaughtUp(self.room), log.position)


def view_of(record: Record, new: str, room: str, have: Position | None = None) -> View:
    """Return an empty view of a room."""
    keyed = room == STATE or room.startswith("@presence/")
    return (StateView if keyed else LogView)(record, new, room, have)
