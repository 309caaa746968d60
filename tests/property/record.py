"""What really happened on the server, whatever was told of it."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from multitransport.core.log import Retention
from multitransport.core.members import Shown, member_id
from multitransport.core.publication import Draft
from multitransport.node.node import Node
from multitransport.protocol.position import Position

__all__ = ["KEPT", "LOSSY", "PRESENCE", "ROOMS", "STATE", "TEAM", "Entry", "Record"]

TEAM = "team/a"
"""A room with presence."""

KEPT = ("kept/a", "kept/slow", TEAM)
"""Rooms whose retention keeps everything: nothing of them may ever be lost."""

LOSSY = "lossy/a"
"""A room that keeps a few."""

STATE = "state/a"
"""A room that keeps the newest of each key."""

ROOMS = (*KEPT, LOSSY, STATE)

PRESENCE = f"@presence/{TEAM}"


class Entry(NamedTuple):
    """A publication."""

    data: Any
    exclude: str | None
    key: str | None
    deleted: bool


@dataclass
class Record:
    """Programs are known by the ``new`` of their hellos."""

    said: defaultdict[tuple[str, str], list[Entry]] = field(default_factory=lambda: defaultdict(list))
    """What was published, by room and epoch."""
    flashed: dict[int, tuple[str, str | None]] = field(default_factory=dict)
    """What was published and not kept: its room, and who was excluded."""
    starts: defaultdict[tuple[str, str], set[int]] = field(default_factory=lambda: defaultdict(set))
    """Where a program may begin that joins a room as a newcomer."""
    ran: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    """The tickets that were run, by program."""
    owners: dict[str, str] = field(default_factory=dict)
    """The program of each session."""
    ended: set[str] = field(default_factory=set)
    """The sessions whose end was announced."""
    removed: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How often the server took a program out of a room."""
    placed: set[tuple[str, str]] = field(default_factory=set)
    """Which programs the server put into which rooms."""
    present: dict[str, set[str]] = field(default_factory=dict)
    """The sessions of each member in the room with presence, as it was told of them."""
    shown: dict[str, Shown] = field(default_factory=dict)
    """What is said of each session there."""

    def has_ended(self, new: str) -> bool:
        """Whether a session of this program has ended."""
        return any(self.owners[session] == new for session in self.ended)

    def excludes(self, entry: Entry, new: str) -> bool:
        """Whether this was not for this program, or for one of its sessions."""
        return entry.exclude is not None and self.owners.get(entry.exclude) == new

    def at(self, room: str, position: Position) -> Entry:
        """Return what was published there."""
        return self.said[room, position.epoch][position.offset - 1]

    def newest(self, room: str, position: Position) -> dict[str, tuple[int, Entry]]:
        """Return the newest publication of each key up to a position, with its offset."""
        said = self.said[room, position.epoch][: position.offset]
        return {entry.key: (offset, entry) for offset, entry in enumerate(said, 1) if entry.key is not None}

    def follow(self, node: Node) -> None:
        """Note what is published in any room, as it is."""
        broker = node.hub._broker
        publish = broker.publish

        async def note(room: str, draft: Draft, retention: Retention, to: str | None = None) -> Position:
            position = await publish(room, draft, retention, to)
            said = self.said[room, position.epoch]
            if position.offset > len(said):  # else it was published before
                assert position.offset == len(said) + 1
                said.append(Entry(msgspec.json.decode(draft.data), draft.exclude, draft.key, draft.deleted))
                if room == PRESENCE:
                    self._attend(node, draft)
            return position

        setattr(broker, "publish", note)  # noqa: B010 - nothing of what is published passes it by

    def _attend(self, node: Node, draft: Draft) -> None:
        """See that what is said of a session is news, that who comes is there, and that who leaves had a reason."""
        session = draft.key
        assert session is not None
        former = next((name for name, sessions in self.present.items() if session in sessions), None)
        client = node.sessions.get(session)
        if not draft.deleted:
            shown = msgspec.json.decode(draft.data, type=Shown)
            assert former in (None, member_id(session, shown.user))
            assert self.shown.get(session) != shown, f"{session} is shown twice as it is"
            assert client is not None, f"{session} has ended and is shown to come"
            self.shown[session] = shown
            self.present.setdefault(member_id(session, shown.user), set()).add(session)
            return
        if former is None:
            return  # said to be gone once more, of which no log keeps anything and nobody is told
        del self.shown[session]
        self.present[former].remove(session)
        if not self.present[former]:
            del self.present[former]
        if client is not None and TEAM in client.record.rooms:
            assert client.away_since is not None, f"{session} is shown to leave, and is there"
            away_seconds = node._loop.time() - client.away_since
            assert away_seconds >= node.settings.presence_seconds, f"a cut of {away_seconds} s is shown"
