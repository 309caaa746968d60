"""What is published: entries of a log, encoded once, and runs of them as every reader at the same place gets them."""

from __future__ import annotations

from typing import Any

import msgspec

from multitransport.protocol import eventstream
from multitransport.protocol.binary import Frame, encode_data, messages, text
from multitransport.protocol.frames import encode
from multitransport.protocol.position import Position

__all__ = ["Draft", "Publication", "Slice", "at_frame", "publish_frame"]


class Draft(msgspec.Struct, frozen=True, gc=False):
    """A publication before it has an offset. ``data`` is JSON, or bytes that are told as such by ``binary``."""

    event: str
    data: bytes
    binary: bool = False
    key: str | None = None
    deleted: bool = False
    source: str | None = None
    """The session that published it."""
    exclude: str | None = None
    """The session that is not sent it."""
    ask: str | None = None
    """It is a request by the server, with this id."""
    id: str | None = None
    """A repeated publication with the same id is the same publication."""


class Publication(msgspec.Struct, frozen=True, gc=False):
    """One entry of a log, its ``pub`` frame encoded. The offset of a volatile one, which is in no log, is 0."""

    offset: int
    draft: Draft
    encoded: Frame
    at: float

    @property
    def event(self) -> str:
        """Its event."""
        return self.draft.event

    @property
    def data(self) -> bytes:
        """Its data, as JSON or as bytes."""
        return self.draft.data

    @property
    def frame(self) -> bytes:
        """Its frame as text."""
        return text(self.encoded)

    @property
    def size(self) -> int:
        """The bytes of its frame as text."""
        return len(self.encoded)


def publish_frame(room: str, offset: int | None, draft: Draft) -> Frame:
    """Return a ``pub`` frame."""
    options: dict[str, Any] = {}
    if draft.key is not None:
        options["key"] = draft.key
    if draft.deleted:
        options["deleted"] = True
    if draft.source is not None:
        options["from"] = draft.source
    if draft.ask is not None:
        options["ask"] = draft.ask
    data = draft.data if draft.binary else msgspec.Raw(draft.data)
    return encode_data(("pub", room, offset, draft.event), data, options)


def at_frame(room: str, position: Position) -> bytes:
    """Return the frame that moves a client to a position."""
    return encode(("at", room, position))


class Slice:
    """Consecutive publications, and a last frame ``tail`` if there is one. ``encoded`` caches a transport's form.

    Who has it has everything up to ``last``. That is 0, and moves nobody, where it is volatile.
    """

    __slots__ = ("_event", "encoded", "excluded", "frames", "last", "publications", "size", "tail")

    def __init__(self, publications: list[Publication], last: int, tail: bytes | None = None) -> None:
        self.publications = publications
        self.last = last
        self.tail = tail
        frames = [publication.frame for publication in publications]
        self.frames = b"\n".join(frames if tail is None else [*frames, tail])
        self.size = len(self.frames)
        self.excluded = {each.draft.exclude for each in publications if each.draft.exclude is not None}
        self.encoded: dict[str, Any] = {}
        self._event: bytes | None = None

    @property
    def event(self) -> bytes:
        """All of it as one Server-Sent Event."""
        if self._event is None:
            self._event = eventstream.encode_message(self.frames)
        return self._event

    def messages(self) -> list[str | bytes]:
        """Return all of it as WebSocket messages."""
        frames = [publication.encoded for publication in self.publications]
        return messages(frames if self.tail is None else [*frames, self.tail])

    def without(self, session_id: str, tail: bytes | None, since: int = -1) -> Slice:
        """Return it as the session gets it that some of it after ``since`` excludes; ``tail`` ends it where its last
        publication is left out.
        """
        kept = [each for each in self.publications if each.offset <= since or each.draft.exclude != session_id]
        if kept[-1:] == self.publications[-1:]:
            tail = None
        return Slice(kept, self.last, self.tail or tail)
