"""Making sessions, and taking them up where their clients come to."""

from __future__ import annotations

import asyncio
import secrets

from multitransport.brokers.base import Attached, StaleAttach
from multitransport.brokers.redis.keys import Keys
from multitransport.brokers.redis.scripts import Script
from multitransport.brokers.redis.sessions.fencing import Doubtful, Fencing, Gone, Moved
from multitransport.brokers.redis.sessions.finding import Finding
from multitransport.brokers.redis.sessions.lease import Lease, LeaseLost
from multitransport.brokers.redis.sessions.mirrors import Mirror
from multitransport.brokers.redis.sessions.records import Records
from multitransport.brokers.redis.sessions.speaking import Speaking
from multitransport.brokers.redis.timing import Timing
from multitransport.core.session import SessionRecord
from multitransport.errors import BrokerUnavailable

__all__ = ["Attaching"]

_CREATE = Script("session_create.lua", "session.lua")
_ATTACH = Script("session_attach.lua", "session.lua")


class Attaching:
    """What a hello does to a session's record. The lists that lead to a record are written before it, so that there is
    no record which they do not lead to.
    """

    def __init__(
        self,
        keys: Keys,
        records: Records,
        fencing: Fencing,
        lease: Lease,
        speaking: Speaking,
        finding: Finding,
        timing: Timing,
    ) -> None:
        self._keys = keys
        self._records = records
        self._fencing = fencing
        self._lease = lease
        self._speaking = speaking
        self._finding = finding
        self._timing = timing

    async def create(self, record: SessionRecord, expires_after: int) -> SessionRecord:
        """Keep a new record, or return the one that its client's ``new`` became already."""
        async with self._speaking.coming(record.session_id):
            return await self._create(record, expires_after)

    async def attach(self, session_id: str, attach: int, secret_hash: bytes | None, credential: bytes) -> Attached:
        """Raise a session's attach and speak for it. Raises StaleAttach."""
        try:
            async with self._speaking.coming(session_id):
                mirror = self._speaking.own(session_id)
                if mirror is not None:
                    async with mirror.turn:
                        if self._speaking.own(session_id) is mirror:
                            return await self._attach_own(mirror, attach, secret_hash, credential)
                async with self._speaking.resting(session_id):
                    return await self._attach_other(session_id, attach, secret_hash, credential)
        except (Gone, Moved, LeaseLost):
            raise StaleAttach from None

    async def _create(self, record: SessionRecord, expires_after: int) -> SessionRecord:
        node, session_id, key = self._lease.node, record.session_id, self._keys.session(record.session_id)
        record.node = node
        mirror = Mirror(node, record, self._lease.registry)
        await asyncio.gather(self._speaking.list_own(session_id), self._speaking.list_user(record))
        changes = mirror.changes()
        fields = self._records.encode(key, record)
        for pair in changes.changed.items():
            fields += pair
        arguments = expires_after, self._speaking.kept_for
        try:
            replication, expires = await self._fencing.run(node, _CREATE, [key], *arguments, *fields)
        except LeaseLost:
            raise BrokerUnavailable("this node has just lost its lease") from None
        mirror.took(changes)
        mirror.replication = replication.decode()
        mirror.registry = self._lease.registry
        # Only now: what is named is there, or is gone.
        instead = ""
        while (named := await self._speaking.name(record, session_id, instead)) != session_id:
            found = await self._finding.find(named)
            if found is not None and (found.new, found.user_id) == (record.new, record.user_id):
                await self._fencing.call(key, "DEL", key)
                await asyncio.gather(self._speaking.unlist(node, session_id), self._speaking.unlist_user(record))
                return found
            instead = named
        self._speaking.mirrors[session_id] = mirror
        self._speaking.expire(mirror, int(expires))
        return record

    async def _attach_own(self, mirror: Mirror, attach: int, secret_hash: bytes | None, credential: bytes) -> Attached:
        record = mirror.record
        sealed = b""
        if secret_hash is not None:
            key = self._keys.session(record.session_id)
            sealed = self._records.identity(key, record.new, record.user_id, secret_hash)
        arguments = (attach, _nonce(), self._speaking.kept_for, credential, sealed, 0, 0)
        former, fields = await self._speaking.step(mirror, _ATTACH, *arguments)
        if fields:
            return self._attached(record.session_id, former, fields)
        record.attach, record.credential = attach, credential
        mirror.values[b"h"] = credential
        if secret_hash is not None:
            record.secret_hash = secret_hash
        self._speaking.expire(mirror, None)
        former, mirror.former = mirror.former, ""
        return Attached(record, former or None)

    async def _attach_other(
        self, session_id: str, attach: int, secret_hash: bytes | None, credential: bytes
    ) -> Attached:
        node, key, sealed = self._lease.node, self._keys.session(session_id), b""
        if secret_hash is not None:
            kept = await self._finding.read(session_id)
            if kept is None:
                raise StaleAttach
            sealed = self._records.identity(key, kept.record.new, kept.record.user_id, secret_hash)
        await self._speaking.list_own(session_id)
        nonce = _nonce()
        patience_ends = asyncio.get_running_loop().time() + self._timing.vouch_seconds
        while True:
            impatient = int(asyncio.get_running_loop().time() >= patience_ends)
            arguments = (attach, nonce, self._speaking.kept_for, credential, sealed, impatient, 1)
            try:
                former, fields = await self._fencing.run(node, _ATTACH, [key], *arguments)
            except Doubtful:
                await asyncio.sleep(self._timing.vouch_seconds / 20)
                continue
            return self._attached(session_id, former, fields)

    def _attached(self, session_id: str, former: bytes, fields: list[bytes]) -> Attached:
        kept = self._speaking.decoded(session_id, fields)
        if kept is None:
            raise StaleAttach
        mirror = self._speaking.take_up(session_id, kept)
        node = former.decode(errors="replace")
        if not node or node == self._lease.node:
            return Attached(mirror.record, None)
        self._speaking.begin(self._speaking.unlist(node, session_id))
        return Attached(mirror.record, node)


def _nonce() -> str:
    """Tell an attach from another one: a repeat has that of the first."""
    return secrets.token_urlsafe(6)
