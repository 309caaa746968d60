"""A program that uses the real client's session and knows what it may expect: the model of the guarantees.

G1: publications come once and in order, or it is told. G2: frames run in order, once. G3: each has one outcome, which
fits what was done.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import zip_longest

from multitransport.client.events import (
    Closed,
    Effect,
    Gap,
    Joined,
    Left,
    Outcome,
    Pinged,
    Publication,
    Welcomed,
)
from multitransport.client.session import Session
from multitransport.errors import Failed, OutcomeUnknown, Refused
from multitransport.protocol.position import Position

__all__ = ["KEPT", "LOSSY", "Program", "Record"]

KEPT = ("kept/a", "kept/b", "kept/slow")
"""Rooms whose retention keeps everything: nothing of them may ever be lost."""

LOSSY = "lossy/a"
"""A room that keeps a few."""


@dataclass
class Record:
    """What really happened on the server."""

    said: dict[str, list[int]] = field(default_factory=lambda: {room: [] for room in (*KEPT, LOSSY)})
    """What was published, by room."""
    starts: dict[str, int] = field(default_factory=dict)
    """Where a newcomer begins that was let into the room last."""
    ran: list[int] = field(default_factory=list)
    """The tickets that were run."""
    ended: set[str] = field(default_factory=set)
    """The sessions whose end was announced."""


class Program:
    """Asks the session for things and believes nothing it is told without comparing it with the record."""

    def __init__(self, record: Record) -> None:
        self.session = Session("program-0123456789abcdefg")
        self.record = record
        self.tickets = 0
        self.open: dict[int, str] = {}
        self.forgotten: set[int] = set()
        """Tickets that were under way when the session had ended."""
        self.wanted: set[str] = set()
        self.have: dict[str, Position] = {}
        self.carried: str | None = None
        self.parted = False

    # What it does

    def request(self, event: str) -> None:
        self.session.request(self._ticket(event), event, self.tickets)

    def publish(self, room: str) -> None:
        self.session.publish(self._ticket(f"publish {room}"), room, "n", self.tickets)

    def join(self, room: str) -> None:
        self.tickets += 1
        self.session.join(self.tickets, room)
        self.wanted.add(room)
        self.have.pop(room, None)

    def leave(self, room: str) -> None:
        # Where the join was not sent yet it will never be, and what was to be published in between is refused.
        self.open = {ticket: "hasty" if kind == f"publish {room}" else kind for ticket, kind in self.open.items()}
        self.session.leave(self._ticket("leave"), room)
        self.wanted.discard(room)
        self.have.pop(room, None)

    def part(self) -> None:
        self.session.bye()
        self.parted = True

    def _ticket(self, kind: str) -> int:
        self.tickets += 1
        self.open[self.tickets] = kind
        return self.tickets

    # What it is told

    def receive(self, message: bytes, attach: int) -> list[Closed]:
        """Take a message frame by frame, and return what closes the transport."""
        closed = []
        for frame in message.split(b"\n"):
            sent = self.session._outbox.sent_tickets()
            effects = self.session.receive(frame, attach)
            if Welcomed(False) in effects:
                self._begun_anew(sent)
            for effect, following in zip_longest(effects, effects[1:]):
                self._take(effect, following)
                if isinstance(effect, Closed):
                    closed.append(effect)
        return closed

    def _take(self, effect: Effect, following: Effect | None) -> None:
        match effect:
            case Publication():
                self._publication(effect)
            case Joined(room):
                self._joined(room, told=isinstance(following, Gap))
            case Gap():
                self._gap(effect)
            case Outcome():
                self._outcome(effect)
            case Left(room):
                raise AssertionError(f"nobody ended the membership of {room}")
            case Welcomed():
                self.carried = self.session.session_id
            case Pinged():
                self.session.ping(1.0)
            case _:
                pass

    def _begun_anew(self, sent: set[int]) -> None:
        assert self.carried is None or self.carried in self.record.ended, "the session was lost though it had not ended"
        self.forgotten |= sent

    def _publication(self, publication: Publication) -> None:
        room, position = publication.room, publication.position
        have = self.have[room]
        assert position == Position(have.epoch, have.offset + 1), f"{publication} follows {have}"
        assert publication.data == self.record.said[room][position.offset - 1]
        self.have[room] = position

    def _joined(self, room: str, *, told: bool) -> None:
        position = self.session.position(room)
        assert position is not None
        # Once a session has ended, a hello repeated late begins another, and a newcomer starts where that one stood.
        start = position.offset if self.record.ended else self.record.starts[room]
        have = self.have.setdefault(room, Position(position.epoch, start))
        assert told or position == have, "the position moved and nobody said so"

    def _gap(self, gap: Gap) -> None:
        room, position = gap.room, self.session.position(gap.room)
        assert room == LOSSY, f"{gap}, but everything is kept"
        assert position is not None
        assert gap.lost is not None
        assert position.offset - self.have[room].offset <= gap.lost
        self.have[room] = position

    def _outcome(self, outcome: Outcome) -> None:
        kind = self.open.pop(outcome.ticket)
        ran = outcome.ticket in self.record.ran
        if isinstance(outcome.error, OutcomeUnknown):
            assert kind == "big" or outcome.ticket in self.forgotten
            return
        fits, runs = _FITS[kind.partition(" ")[0]]
        assert fits(outcome), f"{kind}: {outcome}"
        assert ran is (runs if outcome.error is None or kind != "hasty" else False), f"{kind}: {outcome}, ran: {ran}"


def _replied(outcome: Outcome) -> bool:
    return outcome.error is None and outcome.data == outcome.ticket


def _done(outcome: Outcome) -> bool:
    return outcome.error is None and outcome.data is None


def _refused(outcome: Outcome, code: str) -> bool:
    return isinstance(outcome.error, Refused) and outcome.error.code == code


_FITS: dict[str, tuple[Callable[[Outcome], bool], bool]] = {
    "echo": (_replied, True),
    "slow": (_replied, True),
    "big": (lambda outcome: outcome.error is None and len(outcome.data) == 3000, True),
    "quiet": (_done, True),
    "publish": (_done, True),
    "hasty": (lambda outcome: _done(outcome) or _refused(outcome, "not_joined"), True),
    "leave": (_done, False),
    "refuse": (lambda outcome: _refused(outcome, "not_today"), True),
    "fail": (lambda outcome: isinstance(outcome.error, Failed), True),
}
"""By what was asked for: which outcomes fit, and whether it must have run."""
