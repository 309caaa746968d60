"""What a program asked for and what may come of it."""

from __future__ import annotations

from collections.abc import Callable

from multitransport.client.events import Outcome
from multitransport.errors import Failed, OutcomeUnknown, Refused
from tests.property.record import Record

__all__ = ["Outcomes"]


class Outcomes:
    """``open`` has the tickets without an outcome: what each is for, and in which room."""

    def __init__(self, record: Record, new: str, first: int) -> None:
        self.open: dict[int, tuple[str, str | None]] = {}
        self.forgotten: set[int] = set()
        """Tickets that were under way when the session had ended."""
        self._record = record
        self._new = new
        self._last = first
        self._hasty: set[int] = set()
        """What may find that the room is left already."""

    def ticket(self, kind: str | None, room: str | None = None) -> int:
        """Return a new one; None where a joined room is the outcome."""
        self._last += 1
        if kind is not None:
            self.open[self._last] = (kind, room)
            if room is not None and self._record.removed[self._new, room]:
                self._hasty.add(self._last)
        return self._last

    def hasten(self, room: str) -> None:
        """The room is being left."""
        self._hasty.update(ticket for ticket, (_, where) in self.open.items() if where == room)

    def take(self, outcome: Outcome) -> None:
        """See that it fits."""
        ticket = outcome.ticket
        if ticket == 0:
            return  # of what the session does by itself
        kind, _ = self.open.pop(ticket)
        ran = ticket in self._record.ran[self._new]
        if isinstance(outcome.error, OutcomeUnknown):
            assert kind == "big" or ticket in self.forgotten
            return
        if ticket in self._hasty and _refused(outcome, "not_joined"):
            assert not ran
            return
        fits, runs = _FITS[kind]
        assert fits(outcome), f"{kind}: {outcome}"
        assert ran is runs, f"{kind}: {outcome}, ran: {ran}"


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
    "leave": (_done, False),
    "presence": (_done, False),
    "rate": (_done, False),
    "refuse": (lambda outcome: _refused(outcome, "not_today"), True),
    "fail": (lambda outcome: isinstance(outcome.error, Failed), True),
}
"""By what was asked for: which outcomes fit, and whether it must have run."""
