"""The frames of one session that want processing: each is claimed once, in order, and its outcome kept until
acknowledged.
"""

from __future__ import annotations

import msgspec

from multitransport.protocol.binary import Frame, text
from multitransport.protocol.codes import ErrorCode
from multitransport.protocol.frames import encode

__all__ = ["BrokenSequence", "Inbox"]


_JOINED = b'["joined",'
_PLACED = (_JOINED, b'["left",')
"""Outcomes that mean something only where they stand: what comes before a ``joined`` belongs to a former membership."""


class BrokenSequence(Exception):
    """The client's seqs jump or exceed the window."""


class Inbox(msgspec.Struct):
    """Part of a session's record. ``claimed`` is the highest seq taken, ``processed`` the end of the contiguous prefix
    that is done.

    ``outcomes`` holds the encoded outcomes above ``acked``, what the client says it has; at most a window of them.
    """

    claimed: int = 0
    processed: int = 0
    acked: int = 0
    outcomes: dict[int, Frame] = msgspec.field(default_factory=dict)
    kept_bytes: int = 0
    """The size of ``outcomes``, counted along: a client that acknowledges rarely has a window of them."""
    unkept: set[int] | None = None
    """Whose outcome was too large to keep: it was told once, if anybody was there to hear it."""
    early: set[int] | None = None
    """Done above ``processed``: what was claimed before it is still under way."""

    def claim(self, seqs: list[int], window: int) -> int:
        """Claim those that are new, in order, and return the highest claimed before: seqs up to it are repeats.

        Raises BrokenSequence, having claimed none, where one is neither a repeat nor the next, or the window is
        exceeded.
        """
        before = top = self.claimed
        for seq in seqs:
            if seq == top + 1:
                top = seq
            elif seq > top:
                raise BrokenSequence(f"seq {seq} follows {top}")
        if top > self.processed + window:
            raise BrokenSequence(f"more than {window} seqs without an answer")
        self.claimed = top
        # Who sends a seq has the answers of all that lie a window below it, so the outcomes kept are never more than a
        # window.
        self.acknowledge(top - window)
        return before

    def commit(self, seq: int, outcome: Frame | None, max_bytes: int) -> None:
        """Note that a claimed seq is done, and keep its outcome if it has one. What is done already stays as it is."""
        if self.is_done(seq):
            return
        if outcome is not None:
            size = self.kept_bytes + len(outcome)
            if size <= max_bytes:
                self.outcomes[seq] = outcome
                self.kept_bytes = size
            else:
                self.unkept = {seq, *(self.unkept or ())}
        if seq > self.processed + 1:
            self.early = {seq, *(self.early or ())}
            return
        self.processed = seq
        while self.early and self.processed + 1 in self.early:
            self.processed += 1
            self.early.remove(self.processed)

    def is_done(self, seq: int) -> bool:
        """Tell whether a claimed seq is processed."""
        return seq <= self.processed or seq in (self.early or ())

    def outcome(self, seq: int) -> Frame | None:
        """Return what there is to tell of a seq once more."""
        if self.unkept and seq in self.unkept:
            return encode(("error", seq, ErrorCode.OUTCOME_UNKNOWN, "the outcome was too large to keep"))
        return self.outcomes.get(seq)

    def to_repeat(self, had: frozenset[int] = frozenset()) -> dict[int, Frame]:
        """Return what there is to tell of all seqs the client has not acknowledged, in order, but for what it had."""
        seqs = sorted({*self.outcomes, *(self.unkept or ())} - had)
        return {seq: frame for seq in seqs if (frame := self.outcome(seq)) is not None}

    def joined(self, had: frozenset[int] = frozenset()) -> set[str]:
        """Return the rooms of which the client may not have heard yet that it has joined them, but for what it had."""
        frames = [text(outcome) for seq, outcome in self.outcomes.items() if seq not in had]
        return {str(msgspec.json.decode(frame)[2]) for frame in frames if frame.startswith(_JOINED)}

    def kept(self, had: frozenset[int] = frozenset()) -> tuple[dict[int, Frame], int]:
        """Return the outcomes that can be told beside the stream, but for those the client had, and up to where they
        are all there is to tell.

        What could not be kept is on the stream alone, and so is what has its place among a room's publications, and an
        ``ack`` that covers either.
        """
        placed = {seq for seq, outcome in self.outcomes.items() if text(outcome).startswith(_PLACED)}
        first = min(({*placed, *(self.unkept or ())} - had) | {self.processed + 1})
        return {seq: self.outcomes[seq] for seq in sorted(self.outcomes.keys() - placed - had)}, first - 1

    def acknowledge(self, through: int) -> None:
        """Forget the outcomes the client has, up to what is processed."""
        through = min(through, self.processed)
        while self.acked < through:
            self.acked += 1
            self.kept_bytes -= len(self.outcomes.pop(self.acked, b""))
            if self.unkept:
                self.unkept.discard(self.acked)
