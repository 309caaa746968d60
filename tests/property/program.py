"""A program that uses the real client's session and knows what it may expect: the model of the guarantees.

G1: publications come once and in order, or it is told. G2: frames run in order, once. G3: each has one outcome, which
fits what was done.
"""

from __future__ import annotations

from itertools import zip_longest

from multitransport.client.events import (
    Asked,
    CaughtUp,
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
from multitransport.client.presence import Presence
from multitransport.client.session import Session
from multitransport.protocol.position import Position
from tests.property.frames import Frames
from tests.property.outcomes import Outcomes
from tests.property.record import PRESENCE, STATE, TEAM, Record
from tests.property.rooms import LogView, View, view_of

__all__ = ["Program"]


class Program:
    """Asks the session for things and believes nothing it is told without comparing it with the record."""

    def __init__(self, record: Record, number: int, user: str | None) -> None:
        self.new = f"program-{number}-0123456789abcdefg"
        self.session = Session(self.new, user)
        self.record = record
        self.outcomes = Outcomes(record, self.new, number * 1_000_000)
        self.wanted: set[str] = set()
        self.views: dict[str, View] = {}
        self.past: dict[str, Position] = {}
        """How far it had read rooms that it was in before."""
        self.rates: dict[str, float | None] = {}
        self.meta: int | None = None
        self.said_late: int | None = None
        """What it was about to say of itself when it was taken out: it may be said where it was put in again."""
        self.presence = Presence()
        self.asks: list[tuple[str, int]] = []
        """What it was asked and has not answered."""
        self.carried: str | None = None
        self.parted = False
        self._asked: set[str] = set()
        self._flashed: set[int] = set()
        self._lefts: dict[str, int] = {}
        self._frames = Frames()

    # What it does

    def request(self, event: str) -> None:
        ticket = self.outcomes.ticket(event)
        self.session.request(ticket, event, ticket)

    def publish(self, room: str) -> None:
        ticket = self.outcomes.ticket("publish", room)
        self.session.publish(ticket, room, "n", ticket, key=f"k{ticket % 3}" if room == STATE else None)

    def join(self, room: str, *, back: bool = False, rate: float | None = None) -> None:
        """Join; ``back``: from where it had read before, if it was there."""
        have = self.past.get(room) if back and room != STATE else None
        self.rates[room] = rate if room == STATE else None
        self.session.join(self.outcomes.ticket(None), room, position=have, max_rate=self.rates[room])
        self.wanted.add(room)
        self.views[room] = view_of(self.record, self.new, room, have)

    def leave(self, room: str) -> None:
        # Where the join was not sent yet it will never be, and what was to be done there in between is refused.
        self.outcomes.hasten(room)
        position = self.session.position(room)
        if position is not None:
            self.past[room] = position
        self.session.leave(self.outcomes.ticket("leave"), room)
        self._forget(room)

    def set_rate(self, rate: float | None) -> None:
        """Ask for news of the state room so often at most."""
        self.session.set_max_rate(self.outcomes.ticket("rate", STATE), STATE, rate)
        self.rates[STATE] = rate

    def show(self, meta: int) -> None:
        """Say something of itself in the room with presence."""
        self.session.presence(self.outcomes.ticket("presence", TEAM), TEAM, meta)
        self.meta, self.said_late = meta, None

    def answer(self, number: int, *, refuse: bool) -> None:
        """Answer one of the questions."""
        ask, data = self.asks.pop(number % len(self.asks))
        if refuse:
            self.session.answer_error(ask, "no", "it will not say")
        else:
            self.session.answer(ask, data)

    def part(self) -> None:
        self.session.bye()
        self.parted = True

    # What it is told

    def receive(self, message: bytes, attach: int) -> Closed | None:
        """Take a message frame by frame, and return what closes the transport, or None. What follows that counts no
        more.
        """
        for frame in message.split(b"\n"):
            self._frames.see(frame, attach)
            sent = self.session._outbox.sent_tickets()
            effects = self.session.receive(frame, attach)
            if Welcomed(False) in effects:
                self._begun_anew(sent)
            for effect, following in zip_longest(effects, effects[1:]):
                self._take(effect, following)
                if isinstance(effect, Closed):
                    return effect
        return None

    def _take(self, effect: Effect, following: Effect | None) -> None:
        match effect:
            case Publication():
                self._publication(effect)
            case Joined():
                self._joined(effect, told=isinstance(following, Gap))
            case Gap(room):
                self.views[room].lost(effect, self._position(room))
                self._attend(effect)
            case CaughtUp(room):
                self.views[room].caught_up(effect, self._position(room))
                self._attend(effect)
            case Asked():
                self._ask(effect)
            case Outcome():
                self.outcomes.take(effect)
            case Left():
                self._left(effect)
            case Welcomed():
                self.carried = self.session.session_id
            case Pinged():
                self.session.ping(1.0)
            case _:
                pass

    def _position(self, room: str) -> Position:
        position = self.session.position(room)
        assert position is not None
        return position

    def _begun_anew(self, sent: set[int]) -> None:
        assert self.carried is None or self.carried in self.record.ended, "the session was lost though it had not ended"
        self.outcomes.forgotten |= sent

    def _publication(self, publication: Publication) -> None:
        if publication.position is not None:
            self.views[publication.room].published(publication, self.session.session_id)
            self._attend(publication)
            return
        number = publication.data
        room, exclude = self.record.flashed[number]
        assert publication.room == room
        assert exclude is None or exclude != self.session.session_id
        assert number not in self._flashed, f"{publication} is told again"
        self._flashed.add(number)

    def _attend(self, effect: Publication | Gap | CaughtUp) -> None:
        if effect.room == PRESENCE:
            self.presence.take(effect)

    def _joined(self, joined: Joined, *, told: bool) -> None:
        room = joined.room
        if joined.unasked:
            assert room.startswith("@") or (self.new, room) in self.record.placed, f"nobody put it in {room}"
            self.views[room] = view_of(self.record, self.new, room)
            if room == PRESENCE:
                self.presence = Presence()
            if not room.startswith("@"):
                self.wanted.add(room)
        self.views[room].joined(self._position(room), told=told)

    def _left(self, left: Left) -> None:
        room = left.room
        if room == PRESENCE:
            return  # a session that has ended leaves it behind
        self._lefts[room] = self._lefts.get(room, 0) + 1
        taken_out = self.record.removed[self.new, room] >= self._lefts[room]
        assert taken_out, f"nobody ended the membership of {room}: {left}"
        if ("presence", room) in self.outcomes.open.values():
            self.said_late = self.meta
        self._forget(room)

    def _forget(self, room: str) -> None:
        self.wanted.discard(room)
        self.rates.pop(room, None)
        del self.views[room]
        if room == TEAM:
            self.meta = None
            self.views.pop(PRESENCE, None)

    def _ask(self, asked: Asked) -> None:
        assert asked.id not in self._asked, "asked twice"
        self._asked.add(asked.id)
        self.asks.append((asked.id, asked.data))
        room = f"@session/{self.session.session_id}"
        view = self.views[room]
        assert isinstance(view, LogView)
        view.asked(asked.data, self._position(room))
