"""One transport carrying one session: what it has to write, without a queue."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from multitransport.core.heartbeat import Heartbeat
from multitransport.core.publication import Slice
from multitransport.core.reader import Gap, Reader
from multitransport.core.session import SessionRecord
from multitransport.core.wheel import Entry
from multitransport.node.turn import Turn
from multitransport.protocol.binary import Frame, text
from multitransport.protocol.codes import CloseCode
from multitransport.protocol.frames import encode

__all__ = ["Attachment", "Batch", "Close"]


def _nothing() -> None:
    """Stand in where there is no connection to abort."""


class Close(Exception):
    """Why a transport ends, or is refused before it begins. ``app_code`` is the code of an application's refusal,
    ``allow`` the methods that would do.
    """

    def __init__(
        self,
        code: int,
        reason: str = "",
        *,
        retry_after_seconds: float | None = None,
        app_code: str | None = None,
        allow: str | None = None,
    ) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason
        self.retry_after_seconds = retry_after_seconds
        self.app_code = app_code
        self.allow = allow

    @property
    def http_status(self) -> int:
        """The status of a response that says it."""
        return self.code.http_status if isinstance(self.code, CloseCode) else CloseCode.ENDED.http_status

    @property
    def frame(self) -> bytes:
        """The ``close`` frame."""
        options: dict[str, Any] = {}
        if self.retry_after_seconds is not None:
            options["retry_after"] = round(self.retry_after_seconds, 3)
        if self.app_code is not None:
            options["code"] = self.app_code
        return encode(("close", self.code, self.reason, *([options] if options else [])))


class Batch(msgspec.Struct, frozen=True):
    """What one write carries, in this order. After one with ``close`` comes nothing."""

    control: list[Frame]
    items: list[Slice | Gap]
    close: Close | None

    @property
    def frames(self) -> bytes:
        """All of it as one message."""
        parts = [*map(text, self.control), *(item.frames for item in self.items)]
        if self.close is not None:
            parts.append(self.close.frame)
        return b"\n".join(parts)


class Attachment:
    """Control frames by key, a reader of rooms, and someone who is told when either has news.

    A control frame replaces the one with the same key (a seq, a room, a kind), so there are never more than the
    window, the session's rooms and a few kinds: a client that does not read costs no more than that.
    """

    __slots__ = (
        "_abort_handle",
        "_acked",
        "_close_seconds",
        "_control",
        "_early",
        "_inbox",
        "_processed",
        "_turn",
        "_woken",
        "abort",
        "asked_again",
        "attach",
        "closing",
        "heartbeat",
        "news",
        "on_news",
        "reader",
        "session_id",
        "timer",
        "transport",
    )

    def __init__(
        self,
        record: SessionRecord,
        transport: str,
        attach: int,
        heartbeat: Heartbeat,
        turn: Turn,
        close_seconds: float,
    ) -> None:
        self.session_id = record.session_id
        self.transport = transport
        self.attach = attach
        self.heartbeat = heartbeat
        self.reader = Reader(self, whole=transport == "poll")
        self.asked_again = range(0)
        """The seqs that the client was asked to send again on this transport, where it has no outcome."""
        self.abort: Callable[[], None] = _nothing
        self.closing: Close | None = None
        self.news = False
        self.on_news: Callable[[], None] = _nothing
        self.timer: Entry[Callable[[], None]] | None = None
        self._turn = turn
        self._control: dict[int | str, Frame] = {}
        self._woken = False
        self._inbox = record.inbox
        self._acked = -1
        self._processed = record.inbox.processed
        self._early: set[int] | None = None
        """Outcomes above the first that is not processed which were put, or which the client had."""
        self._close_seconds = close_seconds
        self._abort_handle: asyncio.TimerHandle | None = None

    def wake(self) -> None:
        """There is news: tell ``on_news`` when what runs now is done, so that all it brings goes out in one write."""
        self.news = True
        if not self._woken:
            self._woken = True
            self._turn.flush(self.flush)

    def flush(self) -> None:
        """There is news: tell ``on_news`` now."""
        self._woken = False
        self.news = True
        self.on_news()

    def put(self, key: int | str, frame: Frame, *, news: bool = True) -> None:
        """Have a control frame written, in place of one with the same key, before publications that come later."""
        if isinstance(key, int):  # an outcome stays before the ``ack`` that covers it
            if key > self._processed + 1:
                self._early = {key, *(self._early or ())}
        else:
            self._control.pop(key, None)
        self._control[key] = frame
        if news:
            self.wake()

    def has_had(self, seqs: frozenset[int]) -> None:
        """Tell the outcomes of these no more: the client has them, though not yet all that comes before them."""
        if early := {seq for seq in seqs if seq > self._processed and self._inbox.is_done(seq)}:
            self._early = early | (self._early or set())

    def repeat(self, seq: int) -> None:
        """Have the outcome of a seq written again, if there is one yet, and ``ack``, though it may not have moved,
        behind whatever outcomes are there by then.
        """
        if (outcome := self._inbox.outcome(seq)) is not None:
            self.put(seq, outcome)
        self._control.pop("@ack", None)
        self._acked = -1
        self.wake()

    def acknowledge(self) -> None:
        """Let ``ack`` cover all that is processed, after the outcomes there are of it: also those that another node was
        the first to know. Where it is told already, that is no news.
        """
        if self._processed == self._inbox.processed:
            return
        for seq in range(self._processed + 1, self._inbox.processed + 1):
            if self._early and seq in self._early:
                self._early.remove(seq)
            elif seq not in self._control and (outcome := self._inbox.outcome(seq)) is not None:
                self.put(seq, outcome)
        self._processed = self._inbox.processed
        self.wake()

    def acked(self) -> bytes | None:
        """Return an ``ack`` frame if it moved since the last one."""
        if self._processed == self._acked:
            return None
        self._acked = self._processed
        return encode(("ack", self._processed))

    def close(self, close: Close) -> None:
        """Have ``close`` written, and nothing after it; abort where that takes too long."""
        if self.closing is None:
            self.closing = close
            self._abort_handle = asyncio.get_running_loop().call_later(self._close_seconds, self._give_up)
            self.wake()

    def ended(self) -> None:
        """The transport is gone: let go of its deadlines."""
        self.abort = self.on_news = _nothing
        for handle in (self.timer, self._abort_handle):
            if handle is not None:
                handle.cancel()

    def _give_up(self) -> None:
        self.abort()

    def take(self, limit_bytes: int) -> Batch | None:
        """Return what there is to write, None where there is nothing."""
        self.news = False
        items = self.reader.take(limit_bytes)
        for item in items:
            if isinstance(item, Gap) and item.disconnect:
                self.close(Close(CloseCode.SLOW, "the client fell behind in a room that disconnects for it"))
                items = []
                break
        control = self._control
        if not control and self.closing is None and self._processed == self._acked:
            return Batch([], items, None) if items else None
        frames: list[Frame] = list(control.values())
        control.clear()
        if (ack := self.acked()) is not None:
            frames.append(ack)
        return Batch(frames, items, self.closing)
