"""A session as the application sees it (its parameters are called ``client``), with what the node keeps of it while it
runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from types import MappingProxyType
from typing import Any, Protocol, TypeVar

from werkzeug.datastructures import Headers

from multitransport.core.session import SessionRecord, State
from multitransport.node.attachment import Attachment
from multitransport.node.request import Request
from multitransport.protocol.codec import Malformed
from multitransport.protocol.frames import ClientFrame, JoinOptions

__all__ = ["Job", "JoinRequest", "Repeat", "Session"]


T = TypeVar("T")

_NOTHING: Mapping[str, Any] = MappingProxyType({})

_POLLS, _STREAMS = b"p", b"s"
"""What a record's credential begins with: any node has to know whether the next poll need not be checked."""


class JoinRequest:
    """A room a hello asks for that is not in the session's record."""

    __slots__ = ("options", "room")

    def __init__(self, room: str, options: JoinOptions) -> None:
        self.room = room
        self.options = options


class Repeat:
    """A frame that another node holds or that is lost: its client has sent it again."""

    __slots__ = ("frame", "seq")

    def __init__(self, frame: ClientFrame | Malformed, seq: int) -> None:
        self.frame = frame
        self.seq = seq


class Verbs(Protocol):
    """What a session can be told to do."""

    async def request(self, client: Session, event: str, data: Any, timeout: float) -> Any:
        """Ask its client."""
        ...

    async def change_presence(self, client: Session, room: str, meta: Any) -> None:
        """Change what others see of it."""
        ...


Job = ClientFrame | Malformed | JoinRequest | Repeat


class Session:
    """One client, whatever carries it. Its handlers, checks and callbacks get it as their first argument."""

    __slots__ = (
        "_before",
        "_verbs",
        "admissions",
        "attachment",
        "away_since",
        "doing",
        "gates",
        "giving",
        "http",
        "in_hand",
        "jobs",
        "joining",
        "lost",
        "missed",
        "news",
        "rates",
        "record",
        "repeating",
        "resumed",
        "settled",
        "state",
        "taking",
        "tasks",
        "told_at",
        "worker",
    )

    def __init__(self, record: SessionRecord, request: Request, verbs: Verbs) -> None:
        self.record = record
        self.http = request
        self._verbs = verbs
        self.resumed = False
        self.settled = False
        """The connect check is over: who it is stays as it is."""
        self.state = State.UNCONFIRMED
        self.attachment: Attachment | None = None
        self.away_since: float | None = None
        self.missed = False
        """A timer will see whether it is away for too long to be shown as present."""
        self.news: asyncio.Event | None = None
        """Set when something has changed of what comes before its jobs elsewhere; there while that is waited for."""
        self.lost: tuple[tuple[int, int], float] | None = None
        """Which are the first and the last that are lost before a job, and since when it waits for the client to send
        them again.
        """
        self.giving: asyncio.Future[Any] | None = None
        """Done when what was not begun here has been given back: nothing that follows it begins before."""
        self.jobs: list[Job] = []
        self.doing: Job | None = None
        """The one that is being done, the first."""
        self.in_hand: frozenset[int] = frozenset()
        """The seqs this node has claimed and not concluded; kept where the store is elsewhere."""
        self.repeating: frozenset[int] = frozenset()
        """What was sent again of frames that nothing waits for, and waits for their holders itself."""
        self.joining: str | None = None
        """The room whose check runs, or did last, unless the server has taken it out of there meanwhile."""
        self.worker: asyncio.Task[None] | None = None
        self.tasks: set[asyncio.Task[None]] | None = None
        """Concurrent handlers under way."""
        self.taking: set[asyncio.Future[Any]] | None = None
        """Under way: messages whose frames may have been claimed already, frames being given back; kept where the store
        is elsewhere.
        """
        self.admissions = 1
        """How often the connect check has let it in."""
        self.gates: frozenset[Callable[..., Any]] = frozenset()
        """Connect checks of namespaces it has passed since then."""
        self.rates: Mapping[str, float] = _NOTHING
        """How often it wants to hear of rooms at most, by room."""
        self.told_at: Mapping[str, float] = _NOTHING
        """While it is detached, when it was told last in rooms that it wants to hear of only so often."""
        self._before: dict[str, Any] | None = None

    def __repr__(self) -> str:
        return f"<Session {self.session_id} user={self.user_id!r} {self.state.value}>"

    def stand_in_for(self, client: Session) -> None:
        """Be what the connect check is given in the place of a session that may be resumed: with a copy of its data, so
        that a check that refuses changes nothing.
        """
        self.resumed = True
        if client.record.data is not None:
            self._before = client.record.data.copy()
            self.record.data = client.record.data.copy()

    def resume_as(self, candidate: Session) -> None:
        """Take over what the connect check made of the request that resumes it."""
        self.http = candidate.http
        self.record.credential = candidate.record.credential
        self.admissions += candidate.admissions
        self.gates = candidate.gates
        self.resumed = True
        if candidate.record.data is not None:
            _merge(self.data, candidate._before or {}, candidate.record.data)

    def set_rate(self, room: str, max_rate: float | None) -> None:
        """Note how often it wants to hear of a room at most; None lifts the bound."""
        if max_rate is not None:
            self.rates = {**self.rates, room: max_rate}
        elif room in self.rates:
            self.rates = {name: rate for name, rate in self.rates.items() if name != room}

    @property
    def moved(self) -> bool:
        """Whether another node speaks for it."""
        return self.state is State.MOVED

    @property
    def under_way(self) -> list[asyncio.Task[None]]:
        """What is being carried out for it."""
        return [task for task in (self.worker, *(self.tasks or ())) if task is not None]

    def run_beside(self, work: Coroutine[Any, Any, None]) -> None:
        """Have something done for it that its frames do not wait for."""
        if self.tasks is None:
            self.tasks = set()
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def note_taking(self, work: asyncio.Future[T]) -> asyncio.Future[T]:
        """Have who lets go of it wait for this."""
        if self.taking is None:
            self.taking = set()
        self.taking.add(work)
        work.add_done_callback(self.taking.discard)
        return work

    def stir(self) -> None:
        """Have who waits for news look again."""
        news, self.news = self.news, None
        if news is not None:
            news.set()

    def drop_jobs(self, *kinds: type) -> list[Job]:
        """Drop jobs that are not begun, those of some kinds or all, and return them."""
        kept: list[Job] = []
        dropped: list[Job] = []
        for job in self.jobs:
            stays = job is self.doing or (kinds and not isinstance(job, kinds))
            (kept if stays else dropped).append(job)
        self.jobs[:] = kept
        self.stir()
        return dropped

    @property
    def may_wait(self) -> bool:
        """Whether it is here and goes on."""
        return self.state not in (State.MOVED, State.ENDED)

    def is_sent_again(self, seq: int) -> bool:
        """Tell whether a frame that another node holds, or nobody, has been sent again and waits here."""
        return seq in self.repeating or any(isinstance(job, Repeat) and job.seq == seq for job in self.jobs)

    @property
    def session_id(self) -> str:
        """The session's public id."""
        return self.record.session_id

    @property
    def user_id(self) -> str | None:
        """Who it is, as the connect check said; None for an anonymous session."""
        return self.record.user_id

    @user_id.setter
    def user_id(self, user_id: str | None) -> None:
        if self.settled:
            raise AttributeError("user_id can only be set in the connect check")
        if user_id is not None and not isinstance(user_id, str):
            raise TypeError(f"user_id is a string, not {user_id!r}; say str(…)")
        if user_id == "":
            raise ValueError("user_id is not empty: all visitors without a name would be one user; say None")
        self.record.user_id = user_id

    @property
    def data(self) -> dict[str, Any]:
        """Anything the application wants to keep with the session; where there are several nodes, what MessagePack can
        say, kept when a check, handler or callback is over.
        """
        if self.record.data is None:
            self.record.data = {}
        return self.record.data

    @property
    def metas(self) -> Mapping[str, Any]:
        """What it says of itself, by room."""
        return self.record.metas or _NOTHING

    @metas.setter
    def metas(self, metas: Mapping[str, Any]) -> None:
        self.record.metas = dict(metas) if metas else None

    @property
    def polling(self) -> bool:
        """Whether it is carried by polls; between two of them too."""
        return self.record.credential.startswith(_POLLS)

    def has_shown(self, credential: bytes) -> bool:
        """Whether the connect check has seen this credential last."""
        return self.record.credential[1:] == credential

    def note_credential(self, credential: bytes, *, polling: bool) -> None:
        """Note what the connect check has seen, and whether polls carry the session."""
        self.record.credential = (_POLLS if polling else _STREAMS) + credential

    @property
    def rooms(self) -> frozenset[str]:
        """The rooms it is in."""
        return frozenset(room for room in self.record.rooms if not room.startswith("@"))

    @property
    def transport(self) -> str | None:
        """What carries it now: ``websocket``, ``sse``, ``poll``; None while it is detached."""
        return None if self.attachment is None else self.attachment.transport

    @property
    def headers(self) -> Headers:
        """The headers of the request that carries it, or did last."""
        return self.http.headers

    @property
    def cookies(self) -> Mapping[str, str]:
        """The cookies of the request that carries it, or did last."""
        return self.http.cookies

    @property
    def remote_addr(self) -> str | None:
        """The client's address, as the server saw it."""
        return self.http.remote_addr

    async def request(self, event: str, data: Any = None, *, timeout: float = 10.0) -> Any:
        """Ask the client and return its answer. The question waits in the session's inbox while it is detached.

        Raises RequestError: TimedOut, OutcomeUnknown where the session ended, else what the client says.
        """
        return await self._verbs.request(self, event, data, timeout)

    async def presence(self, room: str, meta: Any) -> None:
        """Change what others see of the session in a room with presence."""
        await self._verbs.change_presence(self, room, meta)


def _merge(data: dict[str, Any], before: dict[str, Any], after: dict[str, Any]) -> None:
    """Change in data what was changed from before to after, and leave what others have changed meanwhile."""
    for name in before.keys() - after.keys():
        data.pop(name, None)
    data.update({name: value for name, value in after.items() if name not in before or before[name] is not value})
