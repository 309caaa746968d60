"""Which transport to try next: pure, told only how the last attempt ended."""

from __future__ import annotations

import enum
from collections.abc import Sequence

import msgspec

from multitransport.client.events import Closed
from multitransport.client.limits import STABLE_SECONDS, UPGRADE_BASE_SECONDS, UPGRADE_CAP_SECONDS, YOUNG_DEATHS
from multitransport.protocol.codes import CloseCode, is_final

__all__ = ["Ended", "Fallback", "Stage", "Step"]


class Stage(enum.IntEnum):
    """How far an attempt came. Only an answered ping shows that a transport works in both directions."""

    NOTHING = 0
    WELCOMED = 1
    CONFIRMED = 2


class Ended(msgspec.Struct, frozen=True):
    """How an attempt ended.

    ``seconds`` is how long it was confirmed, ``network`` says that there was no connection at all, ``newest`` that no
    other transport was tried since.
    """

    stage: Stage
    reason: str
    seconds: float = 0.0
    closed: Closed | None = None
    network: bool = False
    newest: bool = True


class Step(enum.Enum):
    """What to do after an attempt."""

    AT_ONCE = "try again at once"
    AFTER_BACKOFF = "try again after a pause"
    RENEW = "try again with a session of its own"
    STOP = "stop"


class Fallback:
    """Prefers transports in the order given, and moves on only from one that is to blame for its end."""

    def __init__(self, transports: Sequence[str]) -> None:
        self.transports = tuple(transports)
        self._index = 0
        self._tried = 0
        self._young_deaths = 0
        self._upgrades = 0

    @property
    def choice(self) -> str:
        """The transport to try now."""
        return self.transports[self._index]

    def use(self, transports: Sequence[str], choice: str) -> None:
        """From now on prefer these, in this order, and begin with one of them."""
        self.transports = tuple(transports)
        self._index = self.transports.index(choice)
        self._tried = self._young_deaths = 0

    @property
    def upgrade_seconds(self) -> float:
        """How long to stay on a lesser transport before a better one is tried."""
        return min(UPGRADE_CAP_SECONDS, UPGRADE_BASE_SECONDS * 2.0 ** min(self._upgrades, 32))

    def upgrading(self) -> None:
        """Take note that a better one is being tried."""
        self._upgrades += 1

    def after(self, ended: Ended) -> Step:
        """Take in how an attempt on ``choice`` ended and say what comes next."""
        code = None if ended.closed is None else ended.closed.code
        if code == CloseCode.TRANSPORT_NOT_ALLOWED:
            return self._without_choice()
        if code == CloseCode.SUPERSEDED:
            # By another of this client's transports, or by somebody who has a copy of it.
            return Step.RENEW if ended.newest else Step.AFTER_BACKOFF
        if code is not None and is_final(code):
            return Step.STOP
        if ended.seconds >= STABLE_SECONDS:
            self._tried = self._young_deaths = 0
            if self._index == 0:
                self._upgrades = 0
            return Step.AFTER_BACKOFF
        if ended.network or code in _NOT_BLAMED:
            return Step.AFTER_BACKOFF
        if ended.stage is Stage.CONFIRMED:
            self._young_deaths += 1
            return self._move_on() if self._young_deaths >= YOUNG_DEATHS else Step.AFTER_BACKOFF
        return self._move_on()

    def _move_on(self) -> Step:
        self._young_deaths = 0
        self._tried += 1
        self._index = (self._index + 1) % len(self.transports)
        if self._tried < len(self.transports):
            return Step.AT_ONCE
        self._tried = 0
        return Step.AFTER_BACKOFF

    def _without_choice(self) -> Step:
        if len(self.transports) == 1:
            return Step.STOP
        refused = self.choice
        self.transports = tuple(name for name in self.transports if name != refused)
        self._index %= len(self.transports)
        return Step.AT_ONCE


_NOT_BLAMED = frozenset(
    {
        CloseCode.GOING_AWAY,
        CloseCode.INTERNAL,
        CloseCode.TOO_MANY_SESSIONS,
        CloseCode.STALE_ATTACH,
        CloseCode.SESSION_LOST,
    }
)
