"""One session's claimed frames, run one after another, each to its outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from multitransport.brokers.base import SessionStore, TooManyRooms
from multitransport.core.log import Log, Recovery
from multitransport.core.session import State
from multitransport.errors import BrokerUnavailable, Refuse
from multitransport.node.checks import Checks
from multitransport.node.hub import Hub
from multitransport.node.rooms import RoomTable
from multitransport.node.session import Job, JoinRequest, Session
from multitransport.node.settings import Settings
from multitransport.protocol.codec import Malformed
from multitransport.protocol.codes import ErrorCode
from multitransport.protocol.frames import Bye, Join, Leave, Publish, Send, encode
from multitransport.protocol.position import Position

__all__ = ["Dispatch", "joined_frame"]


class Entry(NamedTuple):
    """A room passed its checks: what to tell, and where to begin to read."""

    frame: bytes
    log: Log
    offset: int


class Dispatch:
    """Runs a session's jobs in a task that lives only while there are some. ``end`` ends a session that says bye."""

    def __init__(
        self,
        checks: Checks,
        rooms: RoomTable,
        hub: Hub,
        store: SessionStore,
        settings: Settings,
        end: Callable[[Session, str], None],
    ) -> None:
        self._checks = checks
        self._rooms = rooms
        self._hub = hub
        self._store = store
        self._settings = settings
        self._end = end

    def submit(self, client: Session, job: Job) -> None:
        """Have the job run after those before it. The window and the last hello's rooms bound how many there are."""
        client.jobs.append(job)
        if client.worker is None:
            client.worker = asyncio.get_running_loop().create_task(self._work(client))

    async def _work(self, client: Session) -> None:
        try:
            while client.jobs and client.state is not State.ENDED:
                match client.jobs.pop(0):
                    case JoinRequest() as wanted:
                        await self._named_in_hello(client, wanted)
                    case Bye():
                        self._end(client, "bye")
                    case Join() | Leave() | Send() | Publish() | Malformed() as frame:
                        await self._run(client, frame)
        finally:
            client.worker = None

    async def _run(self, client: Session, frame: Join | Leave | Send | Publish | Malformed) -> None:
        """Carry a frame out, record its outcome, then tell it: in this order, so that what was told is never done
        again.
        """
        seq = frame.seq
        assert seq is not None
        entry: Entry | None = None
        outcome: bytes | None
        try:
            if isinstance(frame, Join):
                entry = await self._enter(client, frame.room, frame.options.position, frame.options.history, seq)
                outcome = entry.frame
            else:
                outcome = await self._outcome(client, frame, seq)
        except Refuse as refuse:
            outcome = encode(("error", seq, refuse.code, refuse.message))
        except Exception as error:  # noqa: BLE001 - a frame that was claimed must end, whatever is wrong here
            failure = self._checks.failure(error, "the server")
            outcome = encode(("error", seq, failure.code, failure.message))
        await self._store.commit(client.session_id, seq, outcome, self._settings.max_outcome_bytes)
        attachment = client.attachment
        if attachment is None:
            return
        if outcome is not None:
            attachment.put(seq, outcome)
        attachment.acknowledge()
        if entry is not None:
            self._hub.join(attachment.reader, entry.log, entry.offset)

    async def _outcome(self, client: Session, frame: Leave | Send | Publish | Malformed, seq: int) -> bytes | None:
        match frame:
            case Send():
                reply = await self._checks.handle(client, frame.event, frame.data)
                return None if reply is None else self._reply(seq, reply, frame.event)
            case Leave():
                return await self._leave(client, frame.room, seq)
            case Publish():
                await self._publish(client, frame)
                return None
            case Malformed():
                raise Refuse(frame.code, frame.message)

    def _reply(self, seq: int, reply: Any, event: str) -> bytes:
        try:
            return encode(("reply", seq, reply))
        except (TypeError, ValueError, RecursionError, msgspec.MsgspecError) as error:
            raise self._checks.failure(error, f"the reply of {event!r}") from None

    async def _enter(
        self, client: Session, name: str, position: Position | None, history: int | None, seq: int | None
    ) -> Entry:
        """Check and record a room. Raises Refuse."""
        room = self._rooms.resolve(name)
        if name not in client.record.rooms and len(client.record.rooms) >= self._settings.max_session_rooms:
            raise Refuse(ErrorCode.TOO_MANY_ROOMS, f"a session may be in {self._settings.max_session_rooms} rooms")
        await self._checks.join(client, room)
        declared = room.declaration
        wanted = declared.history if history is None else min(history, declared.history)
        try:
            log, recovery = await self._hub.open(name, declared.retention, position, wanted)
        except TooManyRooms:
            raise Refuse(ErrorCode.TOO_MANY_ROOMS, "the server keeps as many rooms as it may") from None
        except BrokerUnavailable as error:
            raise self._checks.failure(error, f"joining {name!r}") from None
        start = Position(log.epoch, recovery.offset)
        await self._store.join(client.session_id, name, start)
        return Entry(joined_frame(seq, name, start, recovery), log, recovery.offset)

    async def _named_in_hello(self, client: Session, wanted: JoinRequest) -> None:
        name = wanted.room
        if name in client.record.rooms:
            return  # an earlier hello asked for it too, and that job has told whichever transport is attached now
        try:
            entry = await self._enter(client, name, wanted.position, wanted.history, None)
        except Refuse as refuse:
            if client.attachment is not None:
                client.attachment.put(name, encode(("left", None, name, refuse.code, refuse.message)))
            return
        if client.attachment is not None:
            client.attachment.put(name, entry.frame)
            self._hub.join(client.attachment.reader, entry.log, entry.offset)

    async def _leave(self, client: Session, name: str, seq: int) -> bytes:
        if name not in client.record.rooms:
            raise Refuse(ErrorCode.NOT_JOINED, f"the session is not in {name!r}")
        if client.attachment is not None:
            self._hub.leave(client.attachment.reader, name)
        await self._store.leave(client.session_id, name)
        return encode(("left", seq, name))

    async def _publish(self, client: Session, frame: Publish) -> None:
        room = self._rooms.resolve(frame.room)
        if frame.room not in client.record.rooms:
            raise Refuse(ErrorCode.NOT_JOINED, f"join {frame.room!r} before publishing to it")
        await self._checks.publish(client, room, frame.event, frame.data)
        try:
            await self._hub.publish(
                frame.room, frame.event, bytes(frame.data), room.declaration.retention, client.session_id
            )
        except BrokerUnavailable as error:
            raise self._checks.failure(error, f"publishing to {frame.room!r}") from None


def joined_frame(seq: int | None, room: str, start: Position, recovery: Recovery) -> bytes:
    """Return a ``joined`` frame."""
    options: dict[str, Any] = {"mode": "log", "recovered": recovery.recovered}
    if not recovery.recovered:
        options["lost"] = recovery.lost
    return encode(("joined", seq, room, start, options))
