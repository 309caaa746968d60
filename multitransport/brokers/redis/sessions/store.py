"""The SessionStore whose records are in Redis."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Collection, Sequence

from multitransport.brokers.base import Attached, LastWord, Reclaimed
from multitransport.brokers.redis.connections.line import Commands, tell_of_failure
from multitransport.brokers.redis.rooms.broker import RedisBroker
from multitransport.brokers.redis.sessions.adopting import Adopting
from multitransport.brokers.redis.sessions.attaching import Attaching
from multitransport.brokers.redis.sessions.ending import Ending
from multitransport.brokers.redis.sessions.fencing import Fencing
from multitransport.brokers.redis.sessions.finding import Finding
from multitransport.brokers.redis.sessions.holding import Holding
from multitransport.brokers.redis.sessions.lease import Lease, LeaseLost
from multitransport.brokers.redis.sessions.mirrors import UNCHANGED
from multitransport.brokers.redis.sessions.records import Records, encode_room, field
from multitransport.brokers.redis.sessions.speaking import Speaking
from multitransport.brokers.redis.sessions.waiting import Waiting
from multitransport.brokers.redis.timing import milliseconds
from multitransport.core.session import SessionRecord
from multitransport.errors import BrokerUnavailable
from multitransport.protocol.binary import Frame
from multitransport.protocol.position import Position

__all__ = ["RedisSessionStore"]

logger = logging.getLogger("multitransport")

_ABANDONED_LEASES = 4


class RedisSessionStore:
    """A SessionStore over the connection of a RedisBroker, which is started before it and stopped after it.

    ``refused`` counts records that are not of this deployment and version: they are as if they were not there.
    """

    def __init__(self, broker: RedisBroker, secret_keys: Sequence[str]) -> None:
        """``secret_keys`` are the application's, oldest first: the last one signs, all verify."""
        self._broker = broker
        self._timing = timing = broker.timing
        self._told_lost: Callable[[], None] = _ignore
        self._began = False
        keys, records = broker.keys, Records(secret_keys)
        self._keys = keys
        self._lease = lease = Lease(broker.node, self._line, keys, timing, lost=self._lost, renewed=self._renewed)
        self._fencing = fencing = Fencing(self._line, lease, timing)
        self._speaking = speaking = Speaking(keys, records, fencing, lease, timing)
        self._finding = finding = Finding(keys, records, fencing, speaking)
        self._attaching = Attaching(keys, records, fencing, lease, speaking, finding, timing)
        self._adopting = Adopting(keys, fencing, lease, speaking, timing)
        self._holding = Holding(keys, fencing, lease, speaking)
        self._ending = Ending(speaking)
        self._waiting = Waiting(speaking, timing.publish_seconds, self._ready, self._why)

    @property
    def node(self) -> str:
        """See SessionStore."""
        return self._lease.node

    @property
    def until(self) -> int:
        """When this node's lease ends or ended, in milliseconds of Redis; 0 before its first one. Redis must take
        nothing of this node that arrives later.
        """
        return self._lease.until

    @property
    def fault(self) -> str | None:
        """See SessionStore."""
        return self._lease.fault if self._began else "not started"

    @property
    def refused(self) -> int:
        """How many records were not of this deployment and version."""
        return self._speaking.refused

    async def start(self, lost: Callable[[], None]) -> None:
        """See SessionStore. Redis need not be there yet; ``fault`` tells."""
        self._told_lost = lost
        self._began = True
        for work in (self._lease.run(), self._speaking.run()):
            self._speaking.begin(work).add_done_callback(tell_of_failure)

    async def stop(self) -> None:
        """See SessionStore."""
        if self._began:
            self._began = False
            await self._speaking.stop()
            await self._lease.end()

    async def nodes(self) -> list[str]:
        """See SessionStore. Raises BrokerUnavailable."""
        return await self._waiting.within(self._lease.living(self._fencing.call))

    # Finding

    async def find(self, session_id: str) -> SessionRecord | None:
        """See SessionStore. Raises BrokerUnavailable also where Redis lost what its nodes may put back yet."""
        found = await self._waiting.within(self._finding.find(session_id))
        if found is None:
            await self._waiting.within(self._lease.checked())
            if not self._lease.is_regained:
                raise BrokerUnavailable("Redis began anew, and what it lost is being put back")
        return found

    async def of_user(self, user_id: str) -> list[str]:
        """See SessionStore."""
        return await self._waiting.within(self._finding.of_user(user_id))

    async def owner(self, session_id: str) -> str | None:
        """See SessionStore. Raises BrokerUnavailable."""
        found = await self._waiting.within(self._finding.owner(session_id))
        if found is None:
            return None
        node, term = found
        if (mirror := self._speaking.own(session_id)) is not None:
            if term < mirror.term:  # Redis has lost the last moves, and this node puts them back
                return mirror.node
            mirror.record.node = node
        return node

    async def last_word(self, session_id: str) -> LastWord | None:
        """See SessionStore. Raises BrokerUnavailable."""
        return await self._waiting.within(self._finding.last_word(session_id))

    async def expired(self) -> list[str]:
        """See SessionStore."""
        if self.fault is not None:
            return []
        now, speaking = self._lease.now, self._speaking
        due = [session_id for session_id, expires in speaking.expires.items() if expires <= now]
        for session_id in due:
            del speaking.expires[session_id]
        return [session_id for session_id in due if speaking.own(session_id) is not None]

    # Speaking for a session

    async def create(self, record: SessionRecord, seconds: float) -> SessionRecord:
        """See SessionStore."""
        return await self._waiting.within(self._attaching.create(record, milliseconds(seconds)))

    async def attach(
        self, session_id: str, attach: int, secret_hash: bytes | None = None, credential: bytes = b""
    ) -> Attached:
        """See SessionStore."""
        return await self._waiting.surely(
            session_id,
            lambda: self._attaching.attach(session_id, attach, secret_hash, credential),
            lambda: self._abandon(session_id, attach),
        )

    async def adopt(self, seconds: float) -> list[SessionRecord]:
        """See SessionStore."""
        return await self._adopting.adopt(milliseconds(seconds))

    async def take(self, session_id: str, former: str, seconds: float) -> SessionRecord | None:
        """See SessionStore."""
        return await self._waiting.surely(
            session_id,
            lambda: self._adopting.take(session_id, former, milliseconds(seconds)),
            lambda: self._abandon(session_id, None),
        )

    # Frames

    async def claim(
        self, session_id: str, attach: int, seqs: list[int], window: int, beside: Collection[int] = ()
    ) -> int:
        """See SessionStore."""
        return await self._holding.claim(session_id, attach, seqs, window, beside)

    async def reclaim(self, session_id: str, seqs: Collection[int], *, moved: bool = False) -> dict[int, Reclaimed]:
        """See SessionStore."""
        return await self._holding.reclaim(session_id, seqs, moved=moved)

    async def commit(self, session_id: str, seq: int, outcome: Frame | None, max_bytes: int) -> bool:
        """See SessionStore."""
        return await self._holding.commit(session_id, seq, outcome, max_bytes)

    async def gone(self, nodes: Collection[str], unheard: Collection[str] = ()) -> set[str]:
        """See SessionStore."""
        return await self._holding.gone(nodes, unheard)

    async def settle(self, session_id: str, gone: Collection[str] = ()) -> SessionRecord | None:
        """See SessionStore."""
        return await self._holding.settle(session_id, gone)

    async def give_back(self, session_id: str, seqs: Collection[int], *, begun: bool = False) -> str | None:
        """See SessionStore."""
        return await self._holding.give_back(session_id, seqs, begun=begun)

    async def finish(self, session_id: str) -> str | None:
        """See SessionStore."""
        return await self._holding.finish(session_id)

    async def acknowledge(self, session_id: str, through: int) -> None:
        """See SessionStore. Redis hears of it with the next step of the session."""
        if (mirror := self._speaking.mirrors.get(session_id)) is not None:
            mirror.record.inbox.acknowledge(through)

    async def join(self, session_id: str, room: str, position: Position, *, unasked: bool = False) -> None:
        """See SessionStore."""
        changed: list[str | int | bytes] = [field("r", room), encode_room(position, unasked=unasked)]
        mirror = self._speaking.mirrors.get(session_id)
        if mirror is not None and await self._speaking.write_in_turn(mirror, changed=changed):
            record = mirror.record
            record.rooms[room] = position
            if unasked:
                record.unasked = {room, *(record.unasked or ())}
            elif record.unasked:
                record.unasked.discard(room)

    async def leave(self, session_id: str, room: str) -> None:
        """See SessionStore."""
        mirror = self._speaking.mirrors.get(session_id)
        if mirror is not None and await self._speaking.write_in_turn(mirror, gone=[field("r", room)]):
            mirror.record.rooms.pop(room, None)
            if mirror.record.unasked:
                mirror.record.unasked.discard(room)

    async def save(self, session_id: str) -> None:
        """See SessionStore."""
        mirror = self._speaking.mirrors.get(session_id)
        if mirror is None or mirror.changes() == UNCHANGED:
            return
        if (changes := await self._speaking.write_in_turn(mirror)) and changes.faults:
            faults = "; ".join(f"{name}: {fault}" for name, fault in changes.faults.items())
            raise TypeError(f"a session cannot keep {faults}")

    async def detach(self, session_id: str, attach: int, seconds: float) -> None:
        """See SessionStore."""
        mirror = self._speaking.own(session_id)
        if mirror is not None and mirror.record.attach == attach:
            await self._speaking.write_in_turn(mirror, detaching=(attach, milliseconds(seconds)))

    # Ends

    async def end(self, session_id: str, word: LastWord | None = None, seconds: float = 0.0) -> bool:
        """See SessionStore."""
        return await self._ending.end(session_id, word, milliseconds(seconds))

    async def remove(self, session_id: str) -> None:
        """See SessionStore."""
        await self._ending.remove(session_id)

    def _why(self) -> str | None:
        return self._broker.line.fault or self.fault

    async def _ready(self, session_id: str) -> None:
        await self._line().ready(self._keys.session(session_id))
        with contextlib.suppress(LeaseLost):  # the step itself finds that out
            await self._lease.held(self.node)

    async def _abandon(self, session_id: str, attach: int | None) -> None:
        """Find out whether this node speaks for the session, which nobody waits for: then let it expire."""
        mirror = self._speaking.own(session_id)
        if mirror is None:
            kept = await self._finding.read(session_id)
            if kept is None or kept.record.node != self.node:
                return
            mirror = self._speaking.take_up(session_id, kept)
            mirror.former = kept.former
        await self._holding.settled(mirror)
        if attach is not None and mirror.record.attach == attach:
            await self.detach(session_id, attach, _ABANDONED_LEASES * self._timing.lease_seconds)

    def _line(self) -> Commands:
        return self._broker.line

    def _lost(self) -> None:
        logger.error("this node was late for so long that another one ended its lease: it is node %s now", self.node)
        self._speaking.drop_all()
        self._told_lost()

    def _renewed(self, anew: bool) -> None:
        self._speaking.renewed(anew)


def _ignore() -> None:
    """Stand in for a node before one has started."""
