"""What a broker and a session store promise. Every implementation passes the contract tests of
``multitransport.testing``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from multitransport.core.log import Log, Retention
from multitransport.core.publication import Draft
from multitransport.core.session import SessionRecord
from multitransport.errors import BrokerUnavailable
from multitransport.protocol.binary import Frame
from multitransport.protocol.position import Position

__all__ = ["Broker", "SessionStore", "StaleAttach", "TooManyRooms"]


class TooManyRooms(BrokerUnavailable):
    """The broker keeps as many rooms as it may."""


class StaleAttach(Exception):
    """A higher attach of this session is known, or the session is gone: the caller no longer speaks for it."""


class Broker(Protocol):
    """Rooms' logs, and their fan-out to nodes.

    - ``publish`` gives each publication of a room the next offset, and returns only once it is in the log.
    - A log handed out by ``subscribe`` grows by itself, without holes and in order, until ``unsubscribe``; after each
      growth ``advanced`` is called with the room's name, in the node's event loop.
    - The epoch of a room changes if and only if offsets may mean something else than before.
    """

    async def start(self, advanced: Callable[[str], None], flashed: Callable[[str, Draft], None]) -> None:
        """Begin to serve a node; ``advanced(room)`` and ``flashed(room, volatile)`` must be cheap and not raise."""
        ...

    async def stop(self) -> None:
        """End everything ``start`` began."""
        ...

    async def publish(self, room: str, draft: Draft, retention: Retention) -> Position:
        """Append a publication and return its position; one with an id that is remembered is the first with that id.

        Raises BrokerUnavailable where it is not known to have been taken, RoomFull.
        """
        ...

    async def flash(self, room: str, draft: Draft) -> None:
        """Tell every node's readers of a room something that no log keeps. Raises BrokerUnavailable."""
        ...

    async def subscribe(self, room: str, retention: Retention, after: Position | None = None, history: int = 0) -> Log:
        """Return the room's live log, reaching back to ``after`` (or ``history`` publications) as far as the broker
        still has them.

        Raises BrokerUnavailable, TooManyRooms.
        """
        ...

    async def unsubscribe(self, room: str) -> None:
        """Let go of a room's live log."""
        ...

    async def forget(self, room: str) -> None:
        """Drop a room's log; where the room comes back it has a new epoch."""
        ...

    async def sweep(self) -> None:
        """Drop what no retention keeps any more; called every now and then."""
        ...


class SessionStore(Protocol):
    """Sessions' records. Each method is atomic; a session that is not there is told, never made anew."""

    async def create(self, record: SessionRecord, expires_at: float) -> SessionRecord:
        """Keep the record, until it expires or is attached, unless one with the same ``new`` and ``user_id`` exists.

        Return the one that is kept.
        """
        ...

    async def find(self, session_id: str) -> SessionRecord | None:
        """Return the record."""
        ...

    async def count(self) -> int:
        """Return how many records there are."""
        ...

    async def attach(self, session_id: str, attach: int, secret_hash: bytes | None = None) -> None:
        """Raise the session's attach, stop its expiry and, where a hash is given, change its secret.

        Raises StaleAttach, having changed nothing, where ``attach`` is not above the highest known.
        """
        ...

    async def claim(self, session_id: str, attach: int, seqs: list[int], window: int) -> int:
        """Claim the seqs of one message for this attach, all or none, as ``Inbox.claim`` does.

        Raises StaleAttach where ``attach`` is not the highest known, BrokenSequence.
        """
        ...

    async def commit(self, session_id: str, seq: int, outcome: Frame | None, max_bytes: int) -> None:
        """Note a claimed seq as processed and keep its outcome, as ``Inbox.commit`` does."""
        ...

    async def acknowledge(self, session_id: str, through: int) -> None:
        """Forget the outcomes the client has."""
        ...

    async def join(self, session_id: str, room: str, position: Position, *, unasked: bool = False) -> None:
        """Note a joined room, with the position at which it was joined; ``unasked``: by the server's will alone."""
        ...

    async def leave(self, session_id: str, room: str) -> None:
        """Forget a room."""
        ...

    async def detach(self, session_id: str, attach: int, expires_at: float) -> None:
        """Let the session expire at this time, unless a higher attach is known."""
        ...

    async def expired(self, now: float) -> list[SessionRecord]:
        """Remove and return the records whose time has run out."""
        ...

    async def remove(self, session_id: str) -> SessionRecord | None:
        """Remove and return a record."""
        ...
