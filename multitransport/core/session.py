"""The states of a session and every transition between them."""

from __future__ import annotations

import enum
from typing import Any

import msgspec

from multitransport.core.inbox import Inbox
from multitransport.protocol.position import Position

__all__ = ["TRANSITIONS", "Event", "SessionRecord", "State", "next_state"]


class State(enum.Enum):
    """Where a session is in its life."""

    UNCONFIRMED = "unconfirmed"
    """Made, but its client has not shown that it knows."""
    ATTACHED = "attached"
    DETACHED = "detached"
    """Without a transport; it ends when its time runs out."""
    MOVED = "moved"
    """Another node speaks for it; what was begun here goes on to its end."""
    ENDED = "ended"


class Event(enum.Enum):
    """What happens to a session."""

    ATTACH = "attach"
    """A transport takes it up, by a hello with its token."""
    SIGN_OF_LIFE = "sign of life"
    """The client says anything after the welcome."""
    DETACH = "detach"
    """Its transport is gone."""
    MOVE = "move"
    """Its client has come to another node."""
    END = "end"
    """Bye, its time ran out, or the application's will."""


TRANSITIONS: dict[State, dict[Event, State]] = {
    State.UNCONFIRMED: {
        Event.ATTACH: State.ATTACHED,
        Event.SIGN_OF_LIFE: State.ATTACHED,
        # Its time to confirm goes on: a lost first answer leaves no ghost.
        Event.DETACH: State.UNCONFIRMED,
        Event.MOVE: State.MOVED,
        Event.END: State.ENDED,
    },
    State.ATTACHED: {
        Event.ATTACH: State.ATTACHED,
        Event.SIGN_OF_LIFE: State.ATTACHED,
        Event.DETACH: State.DETACHED,
        Event.MOVE: State.MOVED,
        Event.END: State.ENDED,
    },
    State.DETACHED: {
        Event.ATTACH: State.ATTACHED,
        # A send that outlives its stream; the client is alive but still has no transport.
        Event.SIGN_OF_LIFE: State.DETACHED,
        Event.MOVE: State.MOVED,
        Event.END: State.ENDED,
    },
    State.MOVED: {
        # Its client is back before what was begun here is over.
        Event.ATTACH: State.ATTACHED,
        Event.END: State.ENDED,
    },
    State.ENDED: {},
}


def next_state(state: State, event: Event) -> State:
    """Return the state that follows. Raises ValueError for what cannot happen."""
    try:
        return TRANSITIONS[state][event]
    except KeyError:
        raise ValueError(f"{event.value} cannot happen to a session that is {state.value}") from None


class SessionRecord(msgspec.Struct):
    """What any node needs to go on with a session; a SessionStore keeps it."""

    session_id: str
    new: str
    secret_hash: bytes
    user_id: str | None
    attach: int
    rooms: dict[str, Position] = msgspec.field(default_factory=dict)
    """The position at which each room was joined."""
    inbox: Inbox = msgspec.field(default_factory=Inbox)
    unasked: set[str] | None = None
    """Which of the rooms the server put it in, though its client did not ask."""
    credential: bytes = b""
    """A hash of the credentials that its connect check has seen last."""
    data: dict[str, Any] | None = None
    """What the application keeps with the session."""
    metas: dict[str, Any] | None = None
    """What it says of itself, by room with presence."""
    node: str = ""
    """The node that speaks for it."""
    holders: dict[int, str | None] | None = None
    """Which node carries out each frame that is claimed and not done: '' where that one is gone, and the frame is lost
    with it; None where it has given it back before it began. What the node of this object has claimed itself since
    need not be there.
    """
    beside: set[int] | None = None
    """Those of them that nothing has to wait for."""
    follows: str = ""
    """The other node that holds the first of them, as the last commit found out."""
    ending: bool = False
    """Whether a node that is gone had claimed its end: it has to be ended again."""

    def held_elsewhere(self, node: str, through: int | None = None) -> dict[int, str | None]:
        """Return the holders of frames up to a seq, or all, that are not done and that this node does not hold. Those
        without a node only the client can send again.
        """
        return {
            seq: holder
            for seq, holder in (self.holders or {}).items()
            if holder != node and (through is None or seq <= through) and not self.inbox.is_done(seq)
        }
