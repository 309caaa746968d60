"""The client's frames that want processing: numbered when first sent, kept until answered, repeated after a cut."""

from __future__ import annotations

from base64 import b64encode
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from multitransport.client.limits import MAX_UNSENT_BYTES, MAX_UNSENT_FRAMES
from multitransport.client.messages import binary_message, encode
from multitransport.errors import QueueFull

__all__ = ["Outbox", "Pending"]

_RESERVED = 8
"""One in so many places of the window is kept for urgent frames."""


@dataclass(slots=True, eq=False)
class Pending:
    """A frame without an outcome. ``kind`` and ``body`` are the parts around the seq: ``["kind",`` seq ``,body]``.

    Where the frame's data is bytes they are in ``data``, and ``body`` is what stands before them. ``seq`` is 0 until it
    is sent for the first time, ``attach`` is that of the transport it was last given to. An ``urgent`` one does not
    wait behind others: what they wait for may depend on it. ``again`` tells a join of a room the session is in. ``of``
    is the membership that a change of presence is for.
    """

    ticket: int
    kind: str
    body: bytes
    room: str | None = None
    data: bytes | None = None
    options: dict[str, Any] = field(default_factory=dict)
    urgent: bool = False
    again: bool = False
    of: object = None
    seq: int = 0
    attach: int = 0
    size: int = 0

    def text_size(self) -> int:
        """Return about how many bytes it takes as text."""
        return len(self.body) + (0 if self.data is None else len(self.data) * 4 // 3 + 4)

    def encode(self) -> bytes:
        """Return it as text."""
        if self.data is None:
            return b'["%b",%d,%b]' % (self.kind.encode(), self.seq, self.body)
        options = encode({**self.options, "b64": True})
        return b'["%b",%d,%b,"%b",%b]' % (self.kind.encode(), self.seq, self.body, b64encode(self.data), options)

    def encode_binary(self) -> bytes:
        """Return one with bytes as a binary message."""
        assert self.data is not None
        head = b'["%b",%d,%b,null,%b]' % (self.kind.encode(), self.seq, self.body, encode(self.options))
        return binary_message(head, self.data)


class Outbox:
    """Keeps the frames in order. ``window`` is how many may be numbered and without an outcome."""

    def __init__(self) -> None:
        self.window = 1
        self._next_seq = 1
        self._queue: deque[Pending] = deque()
        self._numbered: dict[int, Pending] = {}
        self._unnumbered = 0
        self._bytes = 0

    @property
    def received(self) -> int:
        """The highest seq up to which every outcome has been received."""
        return next(iter(self._numbered), self._next_seq) - 1

    def received_beyond(self) -> list[int]:
        """Return the seqs above ``received`` whose outcomes have been received, too."""
        return [seq for seq in range(self.received + 1, self._next_seq) if seq not in self._numbered]

    def add(self, pending: Pending) -> None:
        """Keep a new frame. Raises QueueFull."""
        count = len(self._numbered) + self._unnumbered
        pending.size = pending.text_size()
        if count >= MAX_UNSENT_FRAMES or self._bytes + pending.size > MAX_UNSENT_BYTES:
            raise QueueFull(f"{count} frames of {self._bytes} bytes are waiting for their outcome")
        self._bytes += pending.size
        self._unnumbered += 1
        if pending.urgent:
            ahead = sum(1 for each in self._queue if each.seq or each.urgent)
            self._queue.insert(ahead, pending)
        else:
            self._queue.append(pending)

    def withdraw(self, ticket: int) -> Pending | None:
        """Take back a frame that was never sent; None where it was, or is done."""
        for pending in self._queue:
            if pending.ticket == ticket and not pending.seq:
                self._queue.remove(pending)
                self._unnumbered -= 1
                self._bytes -= pending.size
                return pending
        return None

    def sent_tickets(self) -> set[int]:
        """Return the tickets of the frames that were sent."""
        return {pending.ticket for pending in self._numbered.values()}

    def leaving(self) -> set[str | None]:
        """Return the rooms of the leaves without an outcome, sent or not."""
        return {pending.room for pending in (*self._numbered.values(), *self._queue) if pending.kind == "leave"}

    def next(self, attach: int, most_bytes: int, *, without_bytes: bool = False) -> Pending | None:
        """Return the next frame to give to the transport with this attach, numbered.

        None where there is none, where it is larger, where its data is bytes and that is not wanted, or where the
        window is full.
        """
        while self._queue:
            pending = self._queue[0]
            if pending.size > most_bytes or (without_bytes and pending.data is not None):
                return None
            if not pending.seq:
                window = self.window if pending.urgent else self.window - self.window // _RESERVED
                if self._next_seq > self.received + window:
                    return None
                pending.seq = self._next_seq
                self._next_seq += 1
                self._unnumbered -= 1
                self._numbered[pending.seq] = pending
            self._queue.popleft()
            if pending.seq in self._numbered:
                pending.attach = attach
                return pending
        return None

    def answered(self, seq: int) -> Pending | None:
        """Note the outcome of one seq; None where it is a repeat."""
        pending = self._numbered.pop(seq, None)
        if pending is not None:
            self._bytes -= pending.size
        return pending

    def acknowledged(self, through: int) -> list[Pending]:
        """Note that every seq up to this one is processed, and return those that had no other outcome."""
        covered = []
        for seq in self._numbered:
            if seq > through:
                break
            covered.append(seq)
        return [pending for seq in covered if (pending := self.answered(seq)) is not None]

    def repeat_above(self, seq: int, attach: int) -> None:
        """Put back in front what older transports had of the frames above this seq, the highest the server has."""
        if self._numbered:
            queued = {pending.seq for pending in self._queue if pending.seq}
            lost = [p for p in self._numbered.values() if p.seq > seq and p.attach < attach and p.seq not in queued]
            self._queue.extendleft(reversed(lost))

    def restart(self) -> list[Pending]:
        """Begin a new session: number from 1, and return the frames that only the former session knew, or that meant
        something only there.
        """
        urgent = [pending for pending in self._queue if pending.urgent and not pending.seq]
        lost = [*self._numbered.values(), *urgent]
        self._queue = deque(pending for pending in self._queue if not (pending.seq or pending.urgent))
        self._bytes -= sum(pending.size for pending in lost)
        self._unnumbered -= len(urgent)
        self._numbered.clear()
        self._next_seq = 1
        return lost

    def put_back(self, frames: list[Pending]) -> None:
        """Send frames that the former session knew, or new ones, before all others."""
        for pending in reversed(frames):
            pending.seq = pending.attach = 0
            pending.size = pending.text_size()
            self._bytes += pending.size
            self._unnumbered += 1
            self._queue.appendleft(pending)
