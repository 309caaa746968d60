"""Frames that are sent again: another node holds them, or did and is gone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from multitransport.brokers.base import Reclaimed, SessionStore
from multitransport.errors import BrokerUnavailable
from multitransport.node.checks import Checks
from multitransport.node.moves import Moves
from multitransport.node.queue import Queue
from multitransport.node.session import Job, Repeat, Session
from multitransport.protocol.codec import Malformed
from multitransport.protocol.codes import ErrorCode
from multitransport.protocol.frames import ClientFrame, Publish, Send, encode

__all__ = ["Repeats"]


class Repeats:
    """Has them done once: where a node lives that holds one it is waited for, and what nobody holds this node does, in
    its place among the others. ``do`` does a job, ``conclude`` records an outcome and tells whether it counts.
    """

    def __init__(
        self,
        store: SessionStore,
        moves: Moves,
        checks: Checks,
        queue: Queue,
        *,
        do: Callable[[Session, Job], Coroutine[Any, Any, None]],
        conclude: Callable[[Session, int, bytes | None], Awaitable[bool]],
    ) -> None:
        self._store = store
        self._moves = moves
        self._checks = checks
        self._queue = queue
        self._do = do
        self._conclude = conclude

    async def reclaim(self, client: Session, frames: list[ClientFrame | Malformed]) -> dict[int, Reclaimed]:
        """Hold those that nobody holds; all at once, since their client may be elsewhere in a moment."""
        if not client.record.holders:
            return {}
        held = self._moves.held_elsewhere(client.record)
        free = [seq for frame in frames if not held.get(seq := getattr(frame, "seq", None) or 0, True)]
        return await self._store.reclaim(client.session_id, free) if free else {}

    async def give_back(self, client: Session, reclaimed: dict[int, Reclaimed]) -> None:
        """Have nobody hold again what this node reclaimed and does not take."""
        for became in set(reclaimed.values()):
            seqs = [seq for seq, each in reclaimed.items() if each == became]
            await self._store.give_back(client.session_id, seqs, begun=became == "lost")
        client.stir()

    def take(self, client: Session, frame: ClientFrame | Malformed, seq: int, found: Reclaimed | None) -> bool:
        """See to a frame that was taken before, here or elsewhere; ``found`` is what became of it where this node has
        reclaimed it. False where it is done, or this node does it already.
        """
        if found is not None:
            self._carry_out(client, frame, seq, found)
        elif seq not in self._moves.held_elsewhere(client.record, seq):
            return False
        elif not client.is_sent_again(seq):
            if self._checks.runs_beside(frame):
                client.repeating |= {seq}
                client.run_beside(self._wait_beside(client, Repeat(frame, seq)))
            else:
                self._queue.submit_again(client, Repeat(frame, seq), seq)
        return True

    async def again(self, client: Session, repeat: Repeat) -> None:
        """Carry out what was waited for where nobody holds it any more, else tell what came of it."""
        frame, seq = repeat.frame, repeat.seq
        if not client.record.inbox.is_done(seq):
            for each, found in (await self._store.reclaim(client.session_id, [seq])).items():
                self._carry_out(client, frame, each, found)
        elif client.attachment is not None:
            client.attachment.repeat(seq)
            client.attachment.acknowledge()

    async def give_up(self, client: Session, seqs: list[int]) -> None:
        """Conclude those of these that nobody holds, though the client may still have them: what it sends too late is
        not carried out after what follows it.
        """
        found = frozenset(await self._store.reclaim(client.session_id, seqs, moved=True))
        client.in_hand |= found
        try:
            for seq in sorted(found):
                await self._conclude_unknown(client, seq, "this was lost with its server, and came again too late")
        except BrokerUnavailable:
            left = client.in_hand & found
            client.in_hand -= left
            await self._store.give_back(client.session_id, sorted(left), begun=True)
            raise

    async def forget(self, client: Session, seqs: list[int]) -> None:
        """Conclude what is lost and the client has the outcomes of: the store has lost that they were told."""
        for seq in await self._store.reclaim(client.session_id, seqs):
            await self._conclude(client, seq, None)
        if client.attachment is not None:
            client.attachment.acknowledge()

    async def _wait_beside(self, client: Session, repeat: Repeat) -> None:
        """Wait for who holds a frame that nothing waits for, and carry it out where that is gone."""
        try:
            while self._moves.held_elsewhere(client.record).get(repeat.seq) and client.may_wait:
                await self._moves.news(client)
            if client.may_wait:
                await self.again(client, repeat)
        finally:
            client.repeating -= {repeat.seq}

    def _carry_out(self, client: Session, frame: ClientFrame | Malformed, seq: int, found: Reclaimed) -> None:
        """Carry out what a node has given back, or had claimed that is gone where that can do no harm; else say that
        nobody knows.
        """
        client.in_hand |= {seq}
        if found == "lost" and not self._is_harmless(frame):
            client.run_beside(self._conclude_unknown(client, seq, "the server that began this is gone"))
        elif self._checks.runs_beside(frame):
            client.run_beside(self._do(client, frame))
        else:
            self._queue.submit_again(client, frame, seq)

    def _is_harmless(self, frame: ClientFrame | Malformed) -> bool:
        """Tell whether a frame may be carried out though it may have been before."""
        if isinstance(frame, Send):
            return self._checks.is_repeatable(frame.event)
        return not isinstance(frame, Publish)

    async def _conclude_unknown(self, client: Session, seq: int, why: str) -> None:
        outcome = encode(("error", seq, ErrorCode.OUTCOME_UNKNOWN, why))
        if await self._conclude(client, seq, outcome) and client.attachment is not None:
            client.attachment.put(seq, outcome)
            client.attachment.acknowledge()
