"""One session's claimed frames, run one after another, each to its outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw

from multitransport.brokers.base import SessionStore, TooManyRooms
from multitransport.core.log import Log, Recovery
from multitransport.core.publication import Draft
from multitransport.core.session import State
from multitransport.errors import BrokerUnavailable, Refuse, RoomFull
from multitransport.node.attachment import Close
from multitransport.node.checks import Checks
from multitransport.node.declarations import Call
from multitransport.node.hub import Hub
from multitransport.node.moves import Moves
from multitransport.node.payload import decode_json
from multitransport.node.presence import Presence
from multitransport.node.queue import Queue
from multitransport.node.repeats import Repeats
from multitransport.node.rooms import PRESENCE, SESSION_INBOX, USER_INBOX, Room, RoomTable, rooms_of_application
from multitransport.node.session import Job, JoinRequest, Repeat, Session
from multitransport.node.settings import Settings
from multitransport.protocol.binary import Frame, encode_data
from multitransport.protocol.codec import Malformed
from multitransport.protocol.codes import CloseCode, ErrorCode
from multitransport.protocol.frames import (
    Answer,
    AnswerError,
    Bye,
    Join,
    JoinOptions,
    Leave,
    Publish,
    Send,
    encode,
)
from multitransport.protocol.frames import Presence as ShowPresence
from multitransport.protocol.position import Position

__all__ = ["Dispatch", "joined_frame"]


class Entry(NamedTuple):
    """A room is joined: what to tell, and where to begin to read."""

    room: str
    frame: bytes
    log: Log
    offset: int
    max_rate: float | None = None


class Dispatch:
    """Does a session's jobs. ``end`` ends a session that says bye."""

    def __init__(
        self,
        checks: Checks,
        rooms: RoomTable,
        hub: Hub,
        store: SessionStore,
        presence: Presence,
        moves: Moves,
        settings: Settings,
        end: Callable[[Session, str], None],
    ) -> None:
        self._checks = checks
        self._rooms = rooms
        self._hub = hub
        self._store = store
        self._presence = presence
        self._moves = moves
        self._settings = settings
        self._end = end
        self._queue = queue = Queue(moves, checks, self._do, self._give_up)
        self.repeats = Repeats(store, moves, checks, queue, do=self._do, conclude=self.conclude)
        self.take_answer: Callable[[Session, Answer | AnswerError], Coroutine[Any, Any, None]]
        """Takes an answer to a question of the server's."""

    def submit(self, client: Session, job: Job) -> None:
        """Have the job run after those before it. The window and the last hello's rooms bound how many there are."""
        self._queue.submit(client, job)

    async def _give_up(self, client: Session, seqs: list[int]) -> None:
        await self.repeats.give_up(client, seqs)

    async def _do(self, client: Session, job: Job) -> None:
        match job:
            case Send() if self._checks.runs_beside(job):
                client.run_beside(self._run(client, job))
            case Send() | Join() | Leave() | Publish() | ShowPresence() | Malformed():
                await self._run(client, job)
            case JoinRequest():
                await self._named_in_hello(client, job)
                await self._moves.save(client)
            case Answer() | AnswerError():
                await self.take_answer(client, job)
            case Repeat():
                await self.repeats.again(client, job)
            case Bye():
                if client.tasks:
                    await asyncio.wait(client.tasks)  # a client that does not come back is not waited for: it expires
                self._end(client, "bye")

    async def _run(self, client: Session, frame: Join | Leave | Send | Publish | ShowPresence | Malformed) -> None:
        """Carry a frame out, record its outcome, then tell it: in this order, so that what was told is never done
        again.
        """
        seq = frame.seq
        assert seq is not None
        if client.record.inbox.is_done(seq) or seq in self._moves.held_elsewhere(client.record, seq):
            client.in_hand -= {seq}
            return  # this node was taken for gone before it came to it
        entries: list[Entry] | None = None
        outcome: Frame | None = None
        try:
            match frame:
                case Send():
                    reply = await self._checks.handle(client, frame.event, frame.data)
                    if reply is not None:
                        outcome = self._reply(seq, reply, frame.event)
                case Join():
                    entries = await self._enter(client, frame.room, frame.options, seq)
                    outcome = entries[0].frame
                case Leave():
                    outcome = await self._leave(client, frame.room, seq)
                case Publish():
                    await self._publish(client, frame)
                case ShowPresence():
                    await self._show(client, frame)
                case Malformed():
                    raise Refuse(frame.code, frame.message)
        except Refuse as refuse:
            outcome = encode(("error", seq, refuse.code, refuse.message))
        except Exception as error:  # noqa: BLE001 - a frame that was claimed must end, whatever is wrong here
            failure = self._checks.failure(error, "the server")
            outcome = encode(("error", seq, failure.code, failure.message))
        if not await self.conclude(client, seq, outcome):
            return
        attachment = client.attachment
        if attachment is None:
            return
        if outcome is not None:
            attachment.put(seq, outcome)
        attachment.acknowledge()
        if entries:
            await self._begin(client, entries, told=True)

    async def conclude(self, client: Session, seq: int, outcome: Frame | None) -> bool:
        """Record the outcome of a frame; False where it is not to be told."""
        noted = await self._store.commit(client.session_id, seq, outcome, self._settings.max_outcome_bytes)
        client.in_hand -= {seq}
        # The store has said who speaks for it; what the other node says of that may be lost, or late.
        self._moves.is_mine(client)
        if noted or client.state is State.ENDED:
            self._moves.progressed(client)
            return True
        # This node was taken for gone, and the word of another one counts.
        await self._moves.settle(client)
        return False

    def _reply(self, seq: int, reply: Any, event: str) -> Frame:
        try:
            return encode_data(("reply", seq), reply, {})
        except (TypeError, ValueError, RecursionError, msgspec.MsgspecError) as error:
            raise self._checks.failure(error, f"the reply of {event!r}") from None

    async def _enter(self, client: Session, name: str, options: JoinOptions, seq: int | None) -> list[Entry]:
        """Check and record a room. Raises Refuse."""
        return await self._open(client, await self._checked(client, name), options, seq)

    async def _checked(self, client: Session, name: str) -> Room:
        """Return a room the session may join. Raises Refuse."""
        room = self._rooms.resolve(name)
        self._must_have_place(client, name)
        client.joining = name
        await self._checks.join(client, room)
        if client.joining is None:
            raise Refuse(ErrorCode.REMOVED, "the server took the session out of the room")
        return room

    def _must_have_place(self, client: Session, name: str) -> None:
        most = self._settings.max_session_rooms
        if name not in client.record.rooms and rooms_of_application(client.record.rooms) >= most:
            raise Refuse(ErrorCode.TOO_MANY_ROOMS, f"a session may be in {most} rooms")

    async def _open(
        self, client: Session, room: Room, options: JoinOptions, seq: int | None, *, unasked: bool = False
    ) -> list[Entry]:
        """Open a room that the session may be in, and its presence. Raises Refuse."""
        declared = room.declaration
        history = declared.history if options.history is None else min(options.history, declared.history)
        known = room.name in client.record.rooms
        entries = [await self._entry(client, room.name, seq, options, history, unasked=unasked)]
        if declared.presence and not known:
            try:
                entries.append(await self._entry(client, f"{PRESENCE}{room.name}", None, JoinOptions(), 0))
            except Refuse:
                await self._store.leave(client.session_id, room.name)
                raise
        return entries

    async def _entry(
        self,
        client: Session,
        name: str,
        seq: int | None,
        options: JoinOptions,
        history: int,
        *,
        unasked: bool = False,
    ) -> Entry:
        try:
            log, recovery = await self._hub.open(name, self._rooms.retention(name), options.position, history)
        except TooManyRooms:
            raise Refuse(ErrorCode.TOO_MANY_ROOMS, "the server keeps as many rooms as it may") from None
        except BrokerUnavailable as error:
            raise self._checks.failure(error, f"joining {name!r}") from None
        start = Position(log.epoch, recovery.offset)
        await self._store.join(client.session_id, name, start, unasked=unasked)
        client.set_rate(name, options.max_rate)
        frame = joined_frame(seq, name, log, recovery, unasked=unasked)
        return Entry(name, frame, log, recovery.offset, options.max_rate)

    async def _begin(self, client: Session, entries: list[Entry], *, told: bool) -> None:
        """Let the transport read rooms just joined; ``told``: the first one's frame is on its way already."""
        attachment = client.attachment
        if attachment is not None:
            for entry in entries:
                if not told:
                    attachment.put(entry.room, entry.frame)
                told = False
                if not self._hub.join(attachment.reader, entry.log, entry.offset, entry.max_rate):
                    attachment.close(Close(CloseCode.UNAVAILABLE, "joining took too long", retry_after_seconds=0.0))
        for entry in entries:
            await self._presence.enter(client, entry.room)

    async def take_in(self, client: Session, name: str) -> None:
        """Join a session to a room by the server's will, if it is not in it. Raises Refuse."""
        if name in client.record.rooms or client.state is State.ENDED:
            return
        if name.startswith((SESSION_INBOX, USER_INBOX)):
            entries = [await self._entry(client, name, None, JoinOptions(), 0)]
        else:
            room = self._rooms.resolve(name)
            self._must_have_place(client, name)
            entries = await self._open(client, room, JoinOptions(), None, unasked=True)
        await self._begin(client, entries, told=False)

    async def take_out(self, client: Session, name: str) -> None:
        """Take a session out of a room by the server's will, and keep it out where its check is under way."""
        if client.joining == name:
            client.joining = None
        if name in client.record.rooms:
            await self.forget(client, name)
            if client.attachment is not None:
                frame = encode(("left", None, name, ErrorCode.REMOVED, "the server took the session out of the room"))
                # With a key of its own: who is put in again meanwhile hears both, since what it was there is over.
                client.attachment.put(f"@left {name}", frame)

    async def _named_in_hello(self, client: Session, wanted: JoinRequest) -> None:
        name = wanted.room
        if name in client.record.rooms:
            return  # an earlier hello asked for it too, and that job has told whichever transport is attached now
        try:
            if client.user_id is not None and name == f"{USER_INBOX}{client.user_id}":
                # It goes on where a former session of the user was.
                entries = [await self._entry(client, name, None, wanted.options, 0)]
            else:
                room = await self._checked(client, name)
                if wanted not in client.jobs:
                    return  # a hello has come meanwhile that does not name it
                entries = await self._open(client, room, wanted.options, None)
        except Refuse as refuse:
            if client.attachment is not None and wanted in client.jobs:
                client.attachment.put(name, encode(("left", None, name, refuse.code, refuse.message)))
            return
        await self._begin(client, entries, told=False)

    async def _leave(self, client: Session, name: str, seq: int) -> bytes:
        if name not in client.record.rooms or name.startswith("@"):
            raise Refuse(ErrorCode.NOT_JOINED, f"the session is not in {name!r}")
        with suppress(Refuse):
            await self._checks.around(client, Call("leave", name), partial(self.forget, client, name))
        if name in client.record.rooms:  # a client that leaves does so whatever a middleware makes of it
            await self.forget(client, name)
        return encode(("left", seq, name))

    async def forget(self, client: Session, name: str) -> None:
        """Take a session out of a room and its presence; its client is told by the caller."""
        presence = f"{PRESENCE}{name}"
        if client.attachment is not None:
            self._hub.leave(client.attachment.reader, presence)  # at once: it is not told of its own leave
        await self._drop(client, name)
        client.set_rate(name, None)
        await self._presence.leave(client, name)
        # Last: whoever has to end this session in the place of this node finds there where it may be shown.
        if name not in client.record.rooms:
            await self._drop(client, presence)

    async def _drop(self, client: Session, room: str) -> None:
        if client.attachment is not None:
            self._hub.leave(client.attachment.reader, room)
        await self._store.leave(client.session_id, room)

    async def _show(self, client: Session, frame: ShowPresence) -> None:
        meta = decode_json(frame.meta)
        change = partial(self._presence.change, client, frame.room, meta)
        await self._checks.around(client, Call("presence", frame.room, data=meta), change)

    async def _publish(self, client: Session, frame: Publish) -> None:
        room = self._rooms.resolve(frame.room)
        if frame.room not in client.record.rooms:
            raise Refuse(ErrorCode.NOT_JOINED, f"join {frame.room!r} before publishing to it")
        if (room.declaration.retention.keys > 0) != (frame.options.key is not None):
            raise Refuse(ErrorCode.INVALID, "a publication has a key in a state room, and only there")
        if frame.options.deleted and frame.options.key is None:
            raise Refuse(ErrorCode.INVALID, "what is deleted is a key of a state room")
        data = Raw(b"null") if frame.options.deleted else frame.data
        await self._checks.publish(client, room, frame.event, data, frame.options)
        if frame.room not in client.record.rooms:
            raise Refuse(ErrorCode.NOT_JOINED, f"the server has taken the session out of {frame.room!r}")
        draft = Draft(
            frame.event,
            bytes(data),
            not isinstance(data, Raw),
            key=frame.options.key,
            deleted=frame.options.deleted,
            source=client.session_id,
        )
        try:
            await self._hub.publish(frame.room, draft, room.declaration.retention)
        except RoomFull as error:
            raise Refuse(ErrorCode.TOO_MANY_KEYS, str(error)) from None
        except BrokerUnavailable as error:
            raise self._checks.failure(error, f"publishing to {frame.room!r}") from None


def joined_frame(seq: int | None, room: str, log: Log, recovery: Recovery, *, unasked: bool = False) -> bytes:
    """Return a ``joined`` frame."""
    options: dict[str, Any] = {"mode": log.mode, "recovered": recovery.recovered}
    if not recovery.recovered:
        options["lost"] = recovery.lost
    if unasked:
        options["unasked"] = True
    return encode(("joined", seq, room, Position(log.epoch, recovery.offset), options))
