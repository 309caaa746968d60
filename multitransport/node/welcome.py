"""What a client is told first, and the rooms it goes on to read."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

from multitransport.brokers.base import SessionStore, TooManyRooms
from multitransport.core.log import Log, Recovery
from multitransport.errors import BrokerUnavailable, Refuse
from multitransport.node.attachment import Attachment, Close
from multitransport.node.checks import Checks
from multitransport.node.dispatch import Dispatch, joined_frame
from multitransport.node.hub import Hub
from multitransport.node.presence import Presence
from multitransport.node.rooms import PRESENCE, USER_INBOX, RoomTable
from multitransport.node.session import JoinRequest, Session
from multitransport.node.settings import Settings
from multitransport.protocol.codes import CloseCode, ErrorCode
from multitransport.protocol.frames import HelloOptions, JoinOptions, encode
from multitransport.protocol.position import Position

__all__ = ["Attached", "Welcome"]

logger = logging.getLogger("multitransport")

VERSION = 1

_SOON_SECONDS = 0.2
"""How long a poll is held whose client has something to send again with the next."""


class Attached(NamedTuple):
    """A session whose hello was taken, on the transport that carries it from now on, which has its welcome to come."""

    client: Session
    attachment: Attachment
    hello: HelloOptions
    token: str
    resumed: bool
    quiet: bool
    """It polls on, and is not told what it knows already."""


class Welcome:
    """Tells clients what they need to go on. ``own`` runs what ends with the node."""

    def __init__(
        self,
        *,
        settings: Settings,
        store: SessionStore,
        checks: Checks,
        rooms: RoomTable,
        hub: Hub,
        dispatch: Dispatch,
        presence: Presence,
        own: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self._settings = settings
        self._store = store
        self._checks = checks
        self._rooms = rooms
        self._hub = hub
        self._dispatch = dispatch
        self._presence = presence
        self._own = own

    async def tell(self, attached: Attached) -> None:
        """Lay out what the client is told first."""
        client, attachment, hello, token, resumed, quiet = attached
        settings = self._settings
        inbox = client.record.inbox
        await self._store.acknowledge(client.session_id, hello.acked)
        held = client.record.held_elsewhere(self._store.node)
        if told := [seq for seq, each in held.items() if not each and (seq <= hello.acked or seq in hello.had)]:
            self._own(self._dispatch.repeats.forget(client, told))
        # What a node held that is gone only the client can send again. On a stream it does so once, in good time; it
        # polls so often that it need not while that node lives.
        polls = attachment.transport == "poll"
        to_send = [seq for seq in held if not polls or _is_missing(client, held, seq)]
        first = min({*to_send, inbox.claimed + 1} - {*told})
        attachment.asked_again = range(first, inbox.claimed + 1)
        options = {
            "v": VERSION,
            "session": client.session_id,
            "token": token,
            "resumed": resumed,
            "seq": first - 1,
            "window": settings.window,
            "ping": settings.ping_seconds,
            "grace": settings.grace_seconds,
            "resume": settings.resume_seconds,
            "max_message": settings.max_message_bytes,
            "transport": attachment.transport,
        }
        # Without its token a client that polls could neither send nor wait for the answer of the next one.
        attachment.put("@welcome", encode(("welcome", options)), news=token != hello.token)
        attachment.has_had(hello.had)
        for seq, outcome in inbox.to_repeat(hello.had).items():
            attachment.put(seq, outcome)
        if polls and attachment.asked_again:
            self._end_soon(attachment)
        for room in inbox.joined(hello.had) - client.record.rooms.keys() - hello.rooms.keys():
            # It hears only now that it has joined, and must hear that it is out again.
            attachment.put(room, _removed_frame(room))
        if (ack := attachment.acked()) is not None:
            # A client that polls may wait for nothing else.
            attachment.put("@ack", ack, news=inbox.processed > hello.acked)
        read_on = await self._rejoin_all(client, attachment, hello, quiet=quiet)
        self._have_joined(client, attachment, hello, read_on, knows=token == hello.token)
        # Not awaited: where many come and go at once the others are told with a delay, and the welcome is not.
        if any(room.startswith(PRESENCE) for room in client.record.rooms):
            self._own(self._presence.refresh(client))

    def _have_joined(
        self, client: Session, attachment: Attachment, hello: HelloOptions, read_on: frozenset[str], *, knows: bool
    ) -> None:
        """See to the rooms a hello names that are not in the record; ``knows``: its client had this session before."""
        # What an earlier hello asked for and still waits keeps its place before the frames that rely on it, or is no
        # longer wanted.
        client.jobs[:] = [job for job in client.jobs if not isinstance(job, JoinRequest) or job.room in hello.rooms]
        waiting = {job.room: job for job in client.jobs if isinstance(job, JoinRequest)}
        for room, wanted in hello.rooms.items():
            if room in read_on or room in client.record.rooms:
                continue
            if room in waiting:
                waiting[room].options = wanted
            elif knows and wanted.position is not None and not room.startswith(USER_INBOX):
                # Its client knows this session and had joined, so the server has taken the session out since.
                attachment.put(room, _removed_frame(room))
            else:
                self._dispatch.submit(client, JoinRequest(room, wanted))

    async def _rejoin_all(
        self, client: Session, attachment: Attachment, hello: HelloOptions, *, quiet: bool
    ) -> frozenset[str]:
        """Go on reading the rooms of the record, and return which they were."""
        rooms = client.record.rooms.copy()
        told_at, client.told_at = client.told_at, {}
        for room, joined_at in rooms.items():
            if room not in client.record.rooms:
                continue  # its check has refused the room whose presence this is, or it was left meanwhile
            asked = hello.rooms.get(room)
            if asked is None:
                asked = JoinOptions(max_rate=client.rates.get(room))
            known = asked.position is not None
            given = JoinOptions(asked.position or joined_at, max_rate=asked.max_rate)
            client.set_rate(room, asked.max_rate)
            last = told_at.get(room, -math.inf)
            await self.rejoin(client, attachment, room, given, told_at=last, known=known, quiet=quiet and known)
        return frozenset(rooms)

    async def tell_changes(self, client: Session, rooms: frozenset[str], outcomes: frozenset[int]) -> None:
        """Tell a client what other nodes have done for it since its record named these rooms and outcomes."""
        attachment, record = client.attachment, client.record
        if any(room.startswith(PRESENCE) for room in record.rooms):
            self._own(self._presence.refresh(client))
        if attachment is None:
            return
        told = {seq: outcome for seq, outcome in record.inbox.outcomes.items() if seq not in outcomes}
        for seq in sorted(told):
            attachment.put(seq, told[seq])
        attachment.acknowledge()
        held = record.held_elsewhere(self._store.node)
        if missing := [seq for seq in held if _is_missing(client, held, seq)]:
            if attachment.transport == "poll":
                self._end_soon(attachment)
            elif any(seq not in attachment.asked_again for seq in missing):
                attachment.close(
                    Close(CloseCode.GOING_AWAY, "something was lost: send it again", retry_after_seconds=0.1)
                )
        for room in rooms - record.rooms.keys():
            self._hub.leave(attachment.reader, room)
            attachment.put(room, _removed_frame(room))
        heard = record.inbox.joined()
        new = {room: JoinOptions(joined_at) for room, joined_at in record.rooms.items() if room not in rooms}
        for room, options in new.items():  # meanwhile there may be others, of which the next change tells
            known = room in heard
            await self.rejoin(client, attachment, room, options, told_at=-math.inf, known=known, quiet=known)

    def _end_soon(self, attachment: Attachment) -> None:
        """End a poll whose client has something to send again with the next one, but not at once: it would poll as fast
        as it can, and its polls overtake what it sends.
        """
        asyncio.get_running_loop().call_later(_SOON_SECONDS, attachment.wake)

    async def rejoin(
        self,
        client: Session,
        attachment: Attachment,
        name: str,
        options: JoinOptions,
        *,
        told_at: float,
        known: bool,
        quiet: bool,
    ) -> None:
        """Go on reading a room of the record; ``known``: the client has heard that it is joined."""
        found = await self._reopen(client, name, options.position)
        overtaken = client.attachment is not attachment or name in attachment.reader.cursors
        if overtaken or name not in client.record.rooms:
            return  # by another hello, or a job that has joined or left it; the client has been told
        if found is None:
            attachment.close(self._come_back())  # it stays in the room, and asks again
            return
        if isinstance(found, Refuse):
            attachment.put(name, encode(("left", None, name, found.code, found.message)))
            if not name.startswith("@"):  # the server's own stay in the record: the next hello may find them readable
                await self._dispatch.forget(client, name)
            return
        log, recovery = found
        if not (quiet and recovery.recovered):
            unasked = name in (client.record.unasked or ())
            frame = joined_frame(None, name, log, recovery, unasked=unasked)
            attachment.put(name, frame, news=not (known and recovery.recovered))
        if not self._hub.join(attachment.reader, log, recovery.offset, options.max_rate, told_at):
            attachment.close(self._come_back())

    def _come_back(self) -> Close:
        return Close(
            CloseCode.UNAVAILABLE, "a room cannot be read now", retry_after_seconds=self._settings.retry_seconds
        )

    async def _reopen(
        self, client: Session, name: str, position: Position | None
    ) -> tuple[Log, Recovery] | Refuse | None:
        """Return a room of the record, or why the session may not stay in it; None where it cannot be read now."""
        try:
            if not name.startswith("@"):
                await self._checks.stay(client, self._rooms.resolve(name))
            return await self._hub.open(name, self._rooms.retention(name), position, 0)
        except Refuse as refuse:
            return refuse
        except TooManyRooms:
            return Refuse(ErrorCode.FAILED, "the room is gone")
        except BrokerUnavailable as error:
            logger.warning("%s cannot go on in %r yet: %s", client.session_id, name, error)
            return None


def _removed_frame(room: str) -> bytes:
    return encode(("left", None, room, ErrorCode.REMOVED, "no longer in the room"))


def _is_missing(client: Session, held: dict[int, str | None], seq: int) -> bool:
    """Tell whether nobody has a frame but the client."""
    return not held[seq] and not client.is_sent_again(seq)
