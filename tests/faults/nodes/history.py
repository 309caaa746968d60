"""What visitors were given and told, and what is wrong with it: pure, so that it can be tested itself."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from multitransport.client import Gap, Publication
from multitransport.protocol.position import Position

__all__ = ["Reading", "Said", "complaints_of_members", "complaints_of_readings", "complaints_of_requests", "gaps"]


@dataclass(slots=True)
class Reading:
    """What one visitor was given of one room, in order, from the position at which it joined."""

    visitor: str
    room: str
    start: Position
    items: list[Publication | Gap] = field(default_factory=list)

    @property
    def end(self) -> Position:
        """The last position it was given."""
        return next((item.position for item in reversed(self.items) if item.position is not None), self.start)


class Said(NamedTuple):
    """A publication that whoever published it knows to be taken; ``position`` where it was told that too."""

    room: str
    serial: Any
    position: Position | None


class Run(NamedTuple):
    """Offsets above ``start``, up to and with ``end``, that followed each other."""

    epoch: str
    start: int
    end: int


def serial_of(publication: Publication) -> Any:
    """Return what tells a publication from all others."""
    return publication.data["serial"]


def gaps(readings: Iterable[Reading]) -> list[Gap]:
    """Return every loss that anybody was told of."""
    return [item for reading in readings for item in reading.items if isinstance(item, Gap)]


def runs_of(reading: Reading) -> tuple[list[Run], list[str]]:
    """Part a reading at the losses it was told of; return also where it was wrong without a word."""
    runs, wrong = [], []
    epoch, first = reading.start
    last = first
    for item in reading.items:
        assert item.position is not None
        found = item.position
        if isinstance(item, Gap):
            runs.append(Run(epoch, first, last))
            epoch, first, last = found.epoch, found.offset, found.offset
        elif found != (epoch, last + 1):
            kind = "a repeat" if found.epoch == epoch and found.offset <= last else "a silent loss"
            wrong.append(f"{reading.visitor} in {reading.room}: {kind}, {found} after {(epoch, last)}")
            if found.epoch != epoch or found.offset > last:
                runs.append(Run(epoch, first, last))
                epoch, first, last = found.epoch, found.offset - 1, found.offset
        else:
            last = found.offset
    return [*runs, Run(epoch, first, last)], wrong


def complaints_of_readings(
    readings: Sequence[Reading], said: Sequence[Said], *, lossless: bool, leavers: Collection[str] = ()
) -> list[str]:
    """Return what is wrong: an offset that meant two things, a repeat, a loss in silence.

    ``lossless``: nobody may have been told of a loss either. ``leavers`` are visitors that may miss the end.
    """
    wrong, meaning, places = [], dict[tuple[str, Position], Any](), defaultdict[tuple[str, Any], set[Position]](set)

    def means(room: str, position: Position, serial: Any, who: str) -> None:
        if meaning.setdefault((room, position), serial) != serial:
            wrong.append(f"{position} of {room} means {meaning[room, position]!r}, and {serial!r} to {who}")
        places[room, serial].add(position)

    for each in said:
        if each.position is not None:
            means(each.room, each.position, each.serial, "its publisher")
    for reading in readings:
        for item in reading.items:
            if isinstance(item, Publication) and item.position is not None:
                means(reading.room, item.position, serial_of(item), reading.visitor)
    for (room, serial), found in places.items():
        if len({position.epoch for position in found}) < len(found) or (lossless and len(found) > 1):
            wrong.append(f"{serial!r} appears more than once in {room}: {sorted(found)}")
    by_room = defaultdict[str, list[Said]](list)
    for each in said:
        by_room[each.room].append(each)
    for reading in readings:
        runs, silent = runs_of(reading)
        wrong += silent
        if lossless:
            wrong += [f"{reading.visitor} in {reading.room} was told of a loss: {gap}" for gap in gaps([reading])]
        if reading.visitor not in leavers:
            wrong += _missing(reading, runs, by_room[reading.room], places)
    return wrong


def _missing(
    reading: Reading, runs: list[Run], said: list[Said], places: Mapping[tuple[str, Any], set[Position]]
) -> list[str]:
    """Return what was published, not given to this reader, and not within a loss it was told of."""
    given = {serial_of(item) for item in reading.items if isinstance(item, Publication)}
    wrong = []
    for each in said:
        if each.serial in given:
            continue
        known = [each.position] if each.position is not None else sorted(places.get((reading.room, each.serial), ()))
        told = len(runs) > 1 if not known else any(_was_told(position, runs, reading.start) for position in known)
        if not told:
            wrong.append(f"{reading.visitor} in {reading.room} was never given {each.serial!r}, {known}, nor told")
    return wrong


def _was_told(position: Position, runs: list[Run], start: Position) -> bool:
    """Tell whether a publication at this position is in a loss that the reader was told of, or before it came."""
    if position.epoch == start.epoch and position.offset <= start.offset:
        return True
    own = [run for run in runs if run.epoch == position.epoch]
    if not own:
        return len(runs) > 1
    if any(run.start < position.offset <= run.end for run in own):
        return False
    # Above the last run of an epoch, unless that is what the reader is in now: it was moved on from there.
    return position.offset <= own[-1].start or own[-1] is not runs[-1]


def complaints_of_requests(
    outcomes: Mapping[str, str | None],
    ran: Sequence[str],
    *,
    unknown_allowed: bool,
    repeatable: Collection[str] = (),
) -> list[str]:
    """Return what is wrong with requests, by id (``visitor:number``): each had one outcome, and ran as often as that
    says, after those before it. ``unknown_allowed``: nodes have died, and those that are ``repeatable`` may have run
    again.
    """
    wrong = []
    times = Counter(ran)
    for name, outcome in outcomes.items():
        count = times[name]
        if outcome == "reply":
            fits = count == 1 or (count > 1 and unknown_allowed and name in repeatable)
        elif outcome == "outcome_unknown":
            fits = count <= 1 and unknown_allowed and name not in repeatable
        else:
            fits = False
        if not fits:
            wrong.append(f"request {name}: {outcome or 'no outcome'}, and it ran {count} times")
    wrong += [f"request {name} ran and was never made" for name in times.keys() - outcomes.keys()]
    newest: dict[str, int] = {}
    for name in ran:
        visitor, number = name.rsplit(":", 1)
        if int(number) < newest.get(visitor, 0):
            wrong.append(f"request {name} ran after {newest[visitor]} of the same visitor")
        newest[visitor] = max(newest.get(visitor, 0), int(number))
    return wrong


def complaints_of_members(
    changes: Sequence[tuple[str, str]],
    ended: Sequence[str],
    *,
    stayed: Collection[str],
    gone: Collection[str],
    forgotten: bool = False,
) -> list[str]:
    """Return what is wrong with what an observer saw: ``changes`` are kinds with session ids, ``ended`` the sessions
    whose end was called back. All were in the room, and seen there, when ``changes`` began. ``forgotten``: Redis may
    have lost who is there, and shown somebody only again when that was said again.
    """
    seen = Counter(changes)
    wrong = []
    for session in stayed:
        joined, left = seen["joined", session], seen["left", session]
        if joined != left or (left and not forgotten):
            wrong.append(f"{session}, who stayed, was shown as having left {left} times, and joined {joined} times")
        if session in ended:
            wrong.append(f"{session} stayed, and its end was called back")
    for session in gone:
        joined, left = seen["joined", session], seen["left", session]
        if left != joined + 1 or (joined and not forgotten):
            wrong.append(f"{session} never came back, and was shown as having left {left} times, joined {joined} times")
        if (count := list(ended).count(session)) != 1:
            wrong.append(f"{session} never came back, and its end was called back {count} times")
    return wrong
