"""What a broker and a session store promise. Every implementation passes the contract tests of
``multitransport.testing``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import Any, Literal, NamedTuple, Protocol

from multitransport.core.log import Log, Retention
from multitransport.core.publication import Draft
from multitransport.core.session import SessionRecord
from multitransport.errors import BrokerUnavailable
from multitransport.protocol.binary import Frame
from multitransport.protocol.position import Position

__all__ = [
    "Attached",
    "Backend",
    "Broker",
    "Bus",
    "LastWord",
    "NodeUnreachable",
    "Reclaimed",
    "SessionStore",
    "StaleAttach",
    "TooManyRooms",
]


class TooManyRooms(BrokerUnavailable):
    """The broker keeps as many rooms as it may."""


class StaleAttach(Exception):
    """A higher attach of this session is known, or the session is gone: the caller no longer speaks for it."""


class NodeUnreachable(Exception):
    """Another node did not answer: it is gone, frozen, or cut off."""


class LastWord(NamedTuple):
    """The close code and reason a session was ended with."""

    code: int
    reason: str


class Broker(Protocol):
    """Rooms' logs, and their fan-out to nodes.

    - ``publish`` gives each publication of a room the next offset, and returns only once it is in the log.
    - A log handed out by ``subscribe`` grows by itself, without holes and in order, until ``unsubscribe``; after each
      growth ``advanced`` is called with the room's name, in the node's event loop.
    - The epoch of a room changes if and only if offsets may mean something else than before.
    """

    @property
    def fault(self) -> str | None:
        """Why publications are not taken or not heard of now; None where they are."""
        ...

    async def start(self, advanced: Callable[[str], None], flashed: Callable[[str, Draft], None]) -> None:
        """Begin to serve a node; ``advanced(room)`` and ``flashed(room, volatile)`` must be cheap and not raise."""
        ...

    async def stop(self) -> None:
        """End everything ``start`` began."""
        ...

    async def publish(self, room: str, draft: Draft, retention: Retention, to: str | None = None) -> Position:
        """Append a publication and return its position; one with an id that is remembered is the first with that id.

        ``to``: nobody but that node reads the room, the inbox of one of its sessions.

        Raises BrokerUnavailable where it is not known to have been taken, RoomFull.
        """
        ...

    async def flash(self, room: str, draft: Draft, to: str | None = None) -> None:
        """Tell every node's readers of a room something that no log keeps. Raises BrokerUnavailable."""
        ...

    async def subscribe(self, room: str, retention: Retention, after: Position | None = None, history: int = 0) -> Log:
        """Return the room's live log, reaching back to ``after`` (or ``history`` publications) as far as the broker
        still has them.

        Raises BrokerUnavailable, TooManyRooms.
        """
        ...

    def look(self, room: str) -> None:
        """Something was published ``to`` a node that is not the one to be told any more: see what there is."""
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


Reclaimed = Literal["lost", "unbegun"]
"""What had become of a frame: whether it was begun nobody knows, or it was given back."""


class Attached(NamedTuple):
    """A session this node speaks for from now on, and the other node that did until now, if one did."""

    record: SessionRecord
    former: str | None


class SessionStore(Protocol):
    """Sessions' records. Each method is atomic; a session that is not there is told, never made anew.

    At any time one node speaks for a session: the one that made, attached or adopted it last. The record that it was
    given is then a mirror: it is changed in place, when the store has taken the change. Only that node claims; one that
    spoke for the session before may still ``join``, ``leave`` and ``save`` while it is among the record's ``holders``,
    and ``commit`` what it holds. A node whose lease another one has ended may do nothing more.

    Methods on sessions of this node wait for a store that is away, as long as it takes: repeating them does no harm.
    Raises BrokerUnavailable, by ``create``, ``find``, ``attach``, ``take``, ``of_user``, where it gives no answer in
    time.
    """

    @property
    def node(self) -> str:
        """This node's id; it has another one after it lost its lease."""
        ...

    @property
    def fault(self) -> str | None:
        """Why this node may not speak for sessions now; None where it may."""
        ...

    async def start(self, lost: Callable[[], None]) -> None:
        """Begin to serve a node. ``lost`` is called when its lease has been ended: no session is this node's any more,
        and whatever is under way for one must be stopped at once.
        """
        ...

    async def stop(self) -> None:
        """Give up the lease: whoever adopts what this node has left need not wait for its end."""
        ...

    async def nodes(self) -> list[str]:
        """Return the nodes that live, this one included."""
        ...

    async def create(self, record: SessionRecord, seconds: float) -> SessionRecord:
        """Keep the record, until it is attached or that time is over, unless one with the same ``new`` and ``user_id``
        exists.

        Return the one that is kept.
        """
        ...

    async def find(self, session_id: str) -> SessionRecord | None:
        """Return the record, for reading only; that of an own session without asking further."""
        ...

    async def of_user(self, user_id: str) -> list[str]:
        """Return the ids of a user's sessions, whichever node speaks for them."""
        ...

    async def attach(
        self, session_id: str, attach: int, secret_hash: bytes | None = None, credential: bytes = b""
    ) -> Attached:
        """Raise the session's attach, have this node speak for it, stop its expiry, note the credential and, where a
        hash is given, change its secret.

        Raises StaleAttach, having changed nothing, where ``attach`` is not above the highest known, or the session is
        gone or ending.
        """
        ...

    async def claim(
        self, session_id: str, attach: int, seqs: list[int], window: int, beside: Collection[int] = ()
    ) -> int:
        """Claim the seqs of one message for this attach, all or none, as ``Inbox.claim`` does; nothing has to wait for
        those ``beside``. This node holds them from now on.

        Raises StaleAttach where ``attach`` is not the highest known or the session is another node's, BrokenSequence.
        """
        ...

    async def reclaim(self, session_id: str, seqs: Collection[int], *, moved: bool = False) -> dict[int, Reclaimed]:
        """Hold those of these frames that are lost, or were given back ``unbegun``, and return which are what; the
        others another node holds, or they are done. Of an own session, or with ``moved`` of one that was.
        """
        ...

    async def commit(self, session_id: str, seq: int, outcome: Frame | None, max_bytes: int) -> bool:
        """Note a seq that this node holds as processed and keep its outcome, as ``Inbox.commit`` does, and with it what
        has changed of the record's data. What is processed already stays as it is.

        False where this outcome is not to be told: there is another one, or this node does not hold it any more.
        """
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

    async def save(self, session_id: str) -> None:
        """Keep what has changed of the record's ``data``, ``metas`` and ``credential`` since the store saw it last.

        Raises TypeError for data that cannot be kept, naming it; the rest of it is kept.
        """
        ...

    async def detach(self, session_id: str, attach: int, seconds: float) -> None:
        """Let the session expire after this time, unless a higher attach is known or it is another node's."""
        ...

    async def expired(self) -> list[str]:
        """Return the sessions of this node whose time has run out, each once; ending them is the caller's."""
        ...

    async def adopt(self, seconds: float) -> list[SessionRecord]:
        """Speak from now on for some of the sessions that nodes without a lease have left, or that are this node's
        without its knowing: those that were attached expire after this time. Return their records, none where there
        are no more.
        """
        ...

    async def take(self, session_id: str, former: str, seconds: float) -> SessionRecord | None:
        """Speak for a session whose node does not answer, as ``adopt`` does; None where it is no longer that node's.

        The former one may be this node, where that does not know it.
        """
        ...

    async def gone(self, nodes: Collection[str], unheard: Collection[str] = ()) -> set[str]:
        """Return which of these nodes carry out nothing any more: their leases were ended, or are late; by how much
        less where they are ``unheard``, since they heard nothing of what they were told.
        """
        ...

    async def settle(self, session_id: str, gone: Collection[str] = ()) -> SessionRecord | None:
        """Return the record of any session as the store has it after others were at work on it; a mirror is brought
        there. What the nodes hold that are ``gone`` is lost from now on.
        """
        ...

    async def give_back(self, session_id: str, seqs: Collection[int], *, begun: bool = False) -> str | None:
        """Hold these frames no more, which nobody has begun, or which may have been ``begun`` and are lost; return
        which node speaks for the session.
        """
        ...

    async def finish(self, session_id: str) -> str | None:
        """Hold no frame any more of a session that this node spoke for before, so that what it has not done is lost;
        return which node speaks for it now.
        """
        ...

    async def owner(self, session_id: str) -> str | None:
        """Return the node that speaks for a session; None where the session is gone."""
        ...

    async def end(self, session_id: str, word: LastWord | None = None, seconds: float = 0.0) -> bool:
        """Claim the end of a session of this node: it cannot be attached or found any more; keep for that time what its
        client has to hear of it. False where it is another node's, or ended. One that claimed it and died is followed
        by whoever adopts the session.
        """
        ...

    async def remove(self, session_id: str) -> None:
        """Forget a session whose end was claimed, the last step of it."""
        ...

    async def last_word(self, session_id: str) -> LastWord | None:
        """Return what the client of a session that is gone has to hear; each time where it is final, else once."""
        ...


class Bus(Protocol):
    """Messages between nodes: data of JSON, and bytes. A single process needs none."""

    async def start(self, handle: Callable[[Any], Awaitable[Any]], missed: Callable[[], None]) -> None:
        """Begin to answer what other nodes ask or tell: what ``handle`` returns is the answer. ``missed`` is called
        where messages may have been lost on the way here.
        """
        ...

    async def stop(self) -> None:
        """End everything ``start`` began."""
        ...

    async def tell(self, node: str, message: Any) -> bool:
        """Send a message that needs no answer. What does not arrive is lost; False where nobody listened."""
        ...

    async def ask(self, node: str, message: Any, seconds: float) -> Any:
        """Send a message and return the answer. Raises NodeUnreachable: at once where nobody listens, else when the
        time is over.
        """
        ...


class Backend(NamedTuple):
    """Where a node keeps what it shares with others. They are started in the order broker, bus, store, and stopped in
    the other.
    """

    broker: Broker
    store: SessionStore
    bus: Bus | None
