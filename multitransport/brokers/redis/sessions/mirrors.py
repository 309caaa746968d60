"""What a node knows of a session's record, and which of it Redis has."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

from multitransport.brokers.redis.sessions.records import Kept, encode_value, field
from multitransport.core.inbox import Inbox
from multitransport.core.session import SessionRecord

__all__ = ["UNCHANGED", "Changes", "Mirror"]


class Changes(NamedTuple):
    """Fields of data, metas and credential that Redis does not have as they are, and what cannot be kept, by name."""

    gone: list[bytes]
    changed: dict[bytes, bytes]
    faults: dict[str, str]


UNCHANGED = Changes([], {}, {})


class Mirror:
    """A record of a session that this node speaks for, or did and holds frames of."""

    def __init__(self, node: str, record: SessionRecord, registry: str) -> None:
        self.node = node
        """The node as which this one speaks for the session: it has another id after it lost its lease."""
        self.record = record
        self.registry = registry
        """The registry of the nodes when Redis was last known to have the record."""
        self.replication = ""
        """The replication id under which Redis has it."""
        self.term = 1
        self.ended = ""
        """The claim of its end, where this node has made it."""
        self.expires: int | None = None
        self.former = ""
        """The node that spoke for the session before, where nobody was told yet."""
        self.turn = asyncio.Lock()
        """Held for each step: the next one begins where it ended, and so does a repeat."""
        self.values: dict[bytes, bytes] = {}
        self.logged: set[str] = set()
        """What was said in the log to be of a kind that cannot be kept."""

    @property
    def mine(self) -> bool:
        """Whether this node speaks for the session, as far as it knows: its record says which node does, and whoever
        hears that it is another one notes it there.
        """
        return self.record.node == self.node

    def changes(self) -> Changes:
        """Return what differs from what Redis has."""
        record = self.record
        wanted: dict[bytes, bytes] = {}
        faults: dict[str, str] = {}
        if record.credential or b"h" in self.values:
            wanted[b"h"] = record.credential
        for kind, what, values in (("d", "data", record.data), ("m", "metas", record.metas)):
            for name, value in (values or {}).items():
                try:
                    whole = field(kind, name)
                except AttributeError:
                    faults[f"{what}[{name!r}]"] = "its name is no text"
                    continue
                try:
                    wanted[whole] = encode_value(value)
                except TypeError as error:
                    faults[f"{what}[{name!r}]"] = str(error)
                    if whole in self.values:
                        wanted[whole] = self.values[whole]
        if wanted == self.values:
            return Changes([], {}, faults)
        gone = [name for name in self.values if name not in wanted]
        return Changes(gone, {name: each for name, each in wanted.items() if self.values.get(name) != each}, faults)

    def took(self, changes: Changes) -> None:
        """Note that Redis has the changes."""
        for name in changes.gone:
            self.values.pop(name, None)
        self.values.update(changes.changed)

    def refresh(self, kept: Kept, registry: str) -> None:
        """Become what Redis has, in place: others hold on to the record, its inbox and its data."""
        own, found = self.record, kept.record
        own.attach, own.secret_hash, own.credential = found.attach, found.secret_hash, found.credential
        own.node, own.unasked = found.node, found.unasked
        own.holders, own.beside = found.holders, found.beside
        own.rooms.clear()
        own.rooms.update(found.rooms)
        acked = own.inbox.acked
        for name in Inbox.__struct_fields__:
            setattr(own.inbox, name, getattr(found.inbox, name))
        own.inbox.acknowledge(acked)
        own.data = self._merged("d", own.data, found.data, kept)
        own.metas = self._merged("m", own.metas, found.metas, kept)
        self.values = kept.values
        self.term = kept.term
        self.replication = kept.replication
        self.registry = registry

    def _merged(
        self, kind: str, own: dict[str, Any] | None, found: dict[str, Any] | None, kept: Kept
    ) -> dict[str, Any] | None:
        """Bring in what others have changed; what was not changed stays the object that it is."""
        if own is None:
            return found
        found = found or {}
        for name in [each for each in own if each not in found and field(kind, each) in self.values]:
            del own[name]
        for name, value in found.items():
            whole = field(kind, name)
            if name not in own or self.values.get(whole) != kept.values[whole]:
                own[name] = value
        return own
