"""A real node behind its real transports, two programs with the real client's sessions, and a network between them that
loses, delays and repeats.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from multitransport.brokers.backends import memory_backend
from multitransport.brokers.memory import MemoryBroker
from multitransport.core.log import Log
from multitransport.errors import OutcomeUnknown, Refuse, Refused, TimedOut
from multitransport.node.declarations import Declarations
from multitransport.node.node import Node
from multitransport.node.session import Session
from multitransport.node.settings import Settings
from multitransport.node.verbs import draft_of
from multitransport.transports.app import TransportApp
from tests.bare_host import BareHost
from tests.property.line import COME_BACK, Network
from tests.property.program import Program
from tests.property.record import KEPT, LOSSY, STATE, Record

__all__ = ["World"]

SETTINGS = Settings(
    ping_seconds=5.0,
    grace_seconds=3.0,
    hello_seconds=10.0,
    resume_seconds=20.0,
    poll_seconds=5.0,
    stalled_seconds=6.0,
    presence_seconds=4.0,
    max_outcome_bytes=2000,
    window=8,
    batch_bytes=150,
)

FOREVER = 1e9

_HISTORY = {**dict.fromkeys(KEPT, 2), LOSSY: 3}
_LOSSY_COUNT = 4


class World:
    """Everything there is. Make it in a running loop."""

    def __init__(self, users: list[str | None]) -> None:
        self.record = Record()
        self.programs = [Program(self.record, number, user) for number, user in enumerate(users)]
        self.gate = asyncio.Event()
        backend = memory_backend(
            asyncio.get_running_loop().time,
            max_rooms=SETTINGS.max_rooms,
            max_sessions=SETTINGS.max_sessions,
            room_idle_seconds=SETTINGS.room_idle_seconds,
        )
        self.node = Node(self._declarations(), BareHost(), SETTINGS, secret_keys=["key"], backend=backend)
        self.network = Network(TransportApp(self.node, "/realtime"))
        self.asks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Begin to serve, and to take note."""
        await self.node.start()
        self.record.follow(self.node)

    def session_of(self, program: Program) -> Session | None:
        """Return the session the server has for a program."""
        found = [session for session in self.node.sessions.values() if session.record.new == program.new]
        assert len(found) <= 1
        return found[0] if found else None

    def log(self, room: str) -> Log:
        """Return a room's log."""
        broker = self.node.hub._broker
        assert isinstance(broker, MemoryBroker)
        return broker._logs[room]

    # What the server does by itself

    async def publish(
        self, room: str, number: int, *, key: str | None = None, deleted: bool = False, exclude: str | None = None
    ) -> None:
        """Publish, and where it is kept do it again as one does who does not know whether it was taken."""
        draft = draft_of("n", number, key=key, deleted=deleted, exclude=exclude, id=f"{number}")
        position = await self.node.verbs.publish(room, draft, volatile=False)
        if room in KEPT:
            assert await self.node.verbs.publish(room, draft, volatile=False) == position

    async def flash(self, room: str, number: int, exclude: str | None) -> None:
        """Publish what is not kept."""
        self.record.flashed[number] = room, exclude
        await self.node.verbs.publish(room, draft_of("n", number, exclude=exclude), volatile=True)

    async def put_in(self, program: Program, room: str) -> None:
        """Join a program's session to a room."""
        if (session := self.session_of(program)) is not None:
            self.record.placed.add((program.new, room))
            self._may_start(session, room)
            await self.node.verbs.join(room, None, session.session_id)

    async def take_out(self, program: Program, room: str) -> None:
        """Take a program's session out of a room."""
        session = self.session_of(program)
        if session is not None and room in session.rooms:
            self.record.removed[program.new, room] += 1
            program.outcomes.hasten(room)
            await self.node.verbs.leave(room, None, session.session_id)

    async def disconnect(self, program: Program) -> None:
        """End a program's session."""
        if (session := self.session_of(program)) is not None:
            await self.node.verbs.disconnect(None, session.session_id, COME_BACK, "come back")

    async def ask(self, program: Program, number: int) -> None:
        """Ask a program something."""
        if (session := self.session_of(program)) is not None:
            task = asyncio.get_running_loop().create_task(self._ask(session, number))
            self.asks.add(task)

    async def _ask(self, session: Session, number: int) -> None:
        with contextlib.suppress(TimedOut, OutcomeUnknown):
            try:
                assert await session.request("q", number, timeout=12.0) == number
            except Refused as refused:
                if refused.code != "no":
                    raise

    # What it offers

    def _declarations(self) -> Declarations:
        declared = Declarations()

        def check(family: str) -> Callable[..., Awaitable[None]]:
            async def let_in(client: Session, name: str) -> None:
                if name == "slow":
                    await self.gate.wait()
                self._may_start(client, f"{family}/{name}")

            return let_in

        def taken(family: str) -> Callable[..., Awaitable[None]]:
            async def on_publish(client: Session, event: str, data: int, name: str) -> None:
                self.record.ran[client.record.new].append(data)

            return on_publish

        kept: dict[str, Any] = {"history": 2, "retention_seconds": FOREVER}
        declared.room("kept/<name>", on_publish=taken("kept"), **kept)(check("kept"))
        declared.room("team/<name>", on_publish=taken("team"), presence=True, **kept)(check("team"))
        declared.room("lossy/<name>", history=3, retention_count=_LOSSY_COUNT, retention_seconds=FOREVER)(
            check("lossy")
        )
        declared.room("state/<name>", mode="state", retention_seconds=6.0, on_publish=taken("state"))(check("state"))

        def handler(event: str) -> Callable[..., Awaitable[Any]]:
            async def handle(client: Session, data: int) -> Any:
                self.record.ran[client.record.new].append(data)
                return await self._handle(event, data)

            return handle

        for event in ("echo", "quiet", "refuse", "fail", "big", "slow"):
            declared.on(event)(handler(event))

        async def connected(client: Session, auth: str | None) -> None:
            client.user_id = auth
            self.record.owners[client.session_id] = client.record.new

        async def ended(client: Session, reason: str) -> None:
            self.record.ended.add(client.session_id)

        declared.on_connect(connected)
        declared.on_disconnect(ended)
        return declared

    def _may_start(self, client: Session, room: str) -> None:
        """Note where a newcomer begins now."""
        if room != STATE:
            said = sum(len(entries) for (name, _), entries in self.record.said.items() if name == room)
            base = said - _LOSSY_COUNT if room == LOSSY else 0
            self.record.starts[client.record.new, room].add(max(said - _HISTORY[room], base, 0))

    async def _handle(self, event: str, data: int) -> Any:
        match event:
            case "quiet":
                return None
            case "refuse":
                raise Refuse("not_today")
            case "fail":
                raise RuntimeError("on purpose")
            case "big":
                return "x" * 3000
            case "slow":
                await self.gate.wait()
        return data
