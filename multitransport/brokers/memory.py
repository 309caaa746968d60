"""Rooms and sessions of a single process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

from multitransport.brokers.base import Attached, LastWord, Reclaimed, StaleAttach, TooManyRooms
from multitransport.core.log import Log, Retention
from multitransport.core.publication import Draft
from multitransport.core.session import SessionRecord
from multitransport.core.state import new_log
from multitransport.protocol.binary import Frame
from multitransport.protocol.codes import is_final
from multitransport.protocol.position import Position

__all__ = ["MemoryBroker", "MemorySessionStore"]

_SWEEP_SLICE = 500


def _ignore(*_: object) -> None:
    """Stand in for a node before one has started."""


class MemoryBroker:
    """A Broker whose logs are dicts of this process; the log it keeps is the one readers read."""

    fault = None

    def __init__(
        self, *, clock: Callable[[], float], new_epoch: Callable[[], str], max_rooms: int, idle_seconds: float
    ) -> None:
        self._clock = clock
        self._new_epoch = new_epoch
        self._max_rooms = max_rooms
        self._idle_seconds = idle_seconds
        self._logs: dict[str, Log] = {}
        self._used_at: dict[str, float] = {}
        self._subscribed: set[str] = set()
        self._advanced: Callable[[str], None] = _ignore
        self._flashed: Callable[[str, Draft], None] = _ignore

    async def start(self, advanced: Callable[[str], None], flashed: Callable[[str, Draft], None]) -> None:
        """See Broker."""
        self._advanced = advanced
        self._flashed = flashed

    async def stop(self) -> None:
        """See Broker."""
        self._advanced = _ignore
        self._flashed = _ignore

    async def publish(self, room: str, draft: Draft, retention: Retention, to: str | None = None) -> Position:
        """See Broker."""
        log = self._log(room, retention)
        offset = log.append(draft, self._clock()).offset
        self._advanced(room)
        return Position(log.epoch, offset)

    async def flash(self, room: str, draft: Draft, to: str | None = None) -> None:
        """See Broker."""
        self._flashed(room, draft)

    async def subscribe(self, room: str, retention: Retention, after: Position | None = None, history: int = 0) -> Log:
        """See Broker."""
        log = self._log(room, retention)
        self._subscribed.add(room)
        log.trim(self._clock())
        return log

    def look(self, room: str) -> None:
        """See Broker. There is nobody else to be told."""

    async def unsubscribe(self, room: str) -> None:
        """See Broker."""
        self._subscribed.discard(room)
        self._used_at[room] = self._clock()

    async def forget(self, room: str) -> None:
        """See Broker."""
        self._logs.pop(room, None)
        self._used_at.pop(room, None)
        self._subscribed.discard(room)

    async def sweep(self) -> None:
        """See Broker. Yields to others every few hundred rooms."""
        now = self._clock()
        for count, (room, log) in enumerate(list(self._logs.items()), 1):
            log.trim(now)
            if not len(log) and room not in self._subscribed and now - self._used_at[room] > self._idle_seconds:
                del self._logs[room], self._used_at[room]
            if count % _SWEEP_SLICE == 0:
                await asyncio.sleep(0)

    def _log(self, room: str, retention: Retention) -> Log:
        log = self._logs.get(room)
        if log is None:
            if len(self._logs) >= self._max_rooms and not self._evict():
                raise TooManyRooms(f"this process keeps {self._max_rooms} rooms already")
            log = self._logs[room] = new_log(room, self._new_epoch(), retention)
        self._used_at[room] = self._clock()
        return log

    def _evict(self) -> bool:
        """Forget a room that nobody reads and that holds nothing; False where there is none."""
        for room, log in self._logs.items():
            if not len(log) and room not in self._subscribed:
                del self._logs[room], self._used_at[room]
                return True
        return False


class MemorySessionStore:
    """A SessionStore of this process, which is the only node."""

    node = ""
    fault = None

    def __init__(self, *, clock: Callable[[], float], max_words: int = 100_000) -> None:
        """Of the last words of sessions that are gone the latest ``max_words`` are kept."""
        self._clock = clock
        self._max_words = max_words
        self._records: dict[str, SessionRecord] = {}
        self._by_new: dict[tuple[str, str | None], str] = {}
        self._by_user: dict[str, dict[str, None]] = {}
        self._expires_at: dict[str, float] = {}
        self._words: dict[str, tuple[LastWord, float]] = {}

    async def start(self, lost: Callable[[], None]) -> None:
        """See SessionStore."""

    async def stop(self) -> None:
        """See SessionStore."""

    async def nodes(self) -> list[str]:
        """See SessionStore."""
        return [self.node]

    async def create(self, record: SessionRecord, seconds: float) -> SessionRecord:
        """See SessionStore."""
        session_id = self._by_new.setdefault((record.new, record.user_id), record.session_id)
        kept = self._records.setdefault(session_id, record)
        if kept is record:
            self._expires_at[session_id] = self._clock() + seconds
            if record.user_id is not None:
                self._by_user.setdefault(record.user_id, {})[session_id] = None
        return kept

    async def find(self, session_id: str) -> SessionRecord | None:
        """See SessionStore."""
        return self._records.get(session_id)

    async def of_user(self, user_id: str) -> list[str]:
        """See SessionStore."""
        return list(self._by_user.get(user_id, ()))

    async def attach(
        self, session_id: str, attach: int, secret_hash: bytes | None = None, credential: bytes = b""
    ) -> Attached:
        """See SessionStore."""
        record = self._records.get(session_id)
        if record is None or attach <= record.attach:
            raise StaleAttach
        record.attach = attach
        record.credential = credential
        if secret_hash is not None:
            record.secret_hash = secret_hash
        self._expires_at.pop(session_id, None)
        return Attached(record, None)

    async def claim(
        self, session_id: str, attach: int, seqs: list[int], window: int, beside: Collection[int] = ()
    ) -> int:
        """See SessionStore."""
        record = self._records.get(session_id)
        if record is None or attach != record.attach:
            raise StaleAttach
        return record.inbox.claim(seqs, window)

    async def reclaim(self, session_id: str, seqs: Collection[int], *, moved: bool = False) -> dict[int, Reclaimed]:
        """See SessionStore. Nothing is lost but with the whole process."""
        return {}

    async def commit(self, session_id: str, seq: int, outcome: Frame | None, max_bytes: int) -> bool:
        """See SessionStore."""
        record = self._records.get(session_id)
        if record is None or record.inbox.is_done(seq):
            return False
        record.inbox.commit(seq, outcome, max_bytes)
        return True

    async def acknowledge(self, session_id: str, through: int) -> None:
        """See SessionStore."""
        if (record := self._records.get(session_id)) is not None:
            record.inbox.acknowledge(through)

    async def join(self, session_id: str, room: str, position: Position, *, unasked: bool = False) -> None:
        """See SessionStore."""
        if (record := self._records.get(session_id)) is not None:
            record.rooms[room] = position
            if unasked:
                record.unasked = {room, *(record.unasked or ())}
            elif record.unasked:
                record.unasked.discard(room)

    async def leave(self, session_id: str, room: str) -> None:
        """See SessionStore."""
        if (record := self._records.get(session_id)) is not None:
            record.rooms.pop(room, None)
            if record.unasked:
                record.unasked.discard(room)

    async def save(self, session_id: str) -> None:
        """See SessionStore. Here any data can be kept."""

    async def detach(self, session_id: str, attach: int, seconds: float) -> None:
        """See SessionStore."""
        record = self._records.get(session_id)
        if record is not None and record.attach == attach:
            self._expires_at[session_id] = self._clock() + seconds

    async def expired(self) -> list[str]:
        """See SessionStore."""
        now = self._clock()
        self._forget_words(now)
        due = [session_id for session_id, expires_at in self._expires_at.items() if expires_at <= now]
        for session_id in due:
            del self._expires_at[session_id]
        return due

    async def adopt(self, seconds: float) -> list[SessionRecord]:
        """See SessionStore. There is nobody to adopt from."""
        return []

    async def take(self, session_id: str, former: str, seconds: float) -> SessionRecord | None:
        """See SessionStore. There is nobody to take from."""
        return None

    async def gone(self, nodes: Collection[str], unheard: Collection[str] = ()) -> set[str]:
        """See SessionStore."""
        return set(nodes) - {self.node}

    async def settle(self, session_id: str, gone: Collection[str] = ()) -> SessionRecord | None:
        """See SessionStore."""
        return self._records.get(session_id)

    async def give_back(self, session_id: str, seqs: Collection[int], *, begun: bool = False) -> str | None:
        """See SessionStore. They are lost with this process."""
        return await self.owner(session_id)

    async def finish(self, session_id: str) -> str | None:
        """See SessionStore."""
        return await self.owner(session_id)

    async def owner(self, session_id: str) -> str | None:
        """See SessionStore."""
        return self.node if session_id in self._records else None

    async def end(self, session_id: str, word: LastWord | None = None, seconds: float = 0.0) -> bool:
        """See SessionStore. Nobody could follow an ender that dies: the record is forgotten at once."""
        record = self._records.pop(session_id, None)
        if record is None:
            return False
        self._expires_at.pop(session_id, None)
        self._by_new.pop((record.new, record.user_id), None)
        if record.user_id is not None:
            own = self._by_user[record.user_id]
            del own[session_id]
            if not own:
                del self._by_user[record.user_id]
        if word is not None:
            self._words[session_id] = word, self._clock() + seconds
            while len(self._words) > self._max_words:
                del self._words[next(iter(self._words))]
        return True

    async def remove(self, session_id: str) -> None:
        """See SessionStore."""

    async def last_word(self, session_id: str) -> LastWord | None:
        """See SessionStore."""
        word, until = self._words.get(session_id, (None, 0.0))
        if word is None or until <= self._clock():
            return None
        if not is_final(word.code):
            del self._words[session_id]
        return word

    def _forget_words(self, now: float) -> None:
        """Forget what it is too late for to come back; where some are kept longer than later ones, by the bound."""
        while self._words:
            oldest = next(iter(self._words))
            if self._words[oldest][1] > now:
                break
            del self._words[oldest]
