"""A real node behind its real transports, a program with the real client's session, and a network between them that
loses, delays and repeats.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from multitransport.brokers.memory import MemoryBroker
from multitransport.client.events import Closed
from multitransport.client.messages import read_close
from multitransport.client.stream import EventStreamDecoder
from multitransport.core.log import Log
from multitransport.errors import Refuse
from multitransport.node.declarations import Declarations
from multitransport.node.node import Node
from multitransport.node.session import Session
from multitransport.node.settings import Settings
from multitransport.protocol.codes import CloseCode
from multitransport.transports.app import TransportApp
from tests.bare_host import BareHost
from tests.property.program import Program, Record
from tests.property.wire import Wire

__all__ = ["Line", "World"]

SETTINGS = Settings(
    ping_seconds=5.0,
    grace_seconds=3.0,
    hello_seconds=10.0,
    resume_seconds=20.0,
    poll_seconds=5.0,
    stalled_seconds=6.0,
    max_outcome_bytes=2000,
    window=8,
    batch_bytes=150,
)

FOREVER = 1e9

_HARMLESS = {
    CloseCode.PING_TIMEOUT,
    CloseCode.SESSION_LOST,
    CloseCode.STALLED,
    CloseCode.STALE_ATTACH,
    CloseCode.TOO_SLOW,
    CloseCode.SUPERSEDED,
}


class World:
    """Everything there is. Make it in a running loop."""

    def __init__(self) -> None:
        self.record = Record()
        self.program = Program(self.record)
        self.gate = asyncio.Event()
        self.node = Node(self._declarations(), BareHost(), SETTINGS, secret_keys=["key"])
        self.app = TransportApp(self.node, "/realtime")
        self.wires: list[Wire] = []
        self.lines: list[Line] = []
        self.bodies: deque[tuple[str, bytes]] = deque(maxlen=6)
        """Of the latest requests: where they went, and what they said."""

    def open(self, kind: str) -> Line:
        """Have the client open a transport."""
        line = Line(self, kind)
        self.lines.append(line)
        return line

    def wire(self, path: str, body: bytes | None) -> Wire:
        """Have something under way to the server."""
        wire = Wire(self.app, path, body)
        if body is not None:
            self.bodies.append((path, body))
        self.wires.append(wire)
        return wire

    async def publish(self, room: str, number: int) -> None:
        """Publish from the server."""
        self.record.said[room].append(number)
        position = await self.node.publish(room, "n", number)
        assert position is not None
        assert position.offset == len(self.record.said[room])

    def log(self, room: str) -> Log:
        """Return a room's log."""
        broker = self.node.hub._broker
        assert isinstance(broker, MemoryBroker)
        return broker._logs[room]

    def _declarations(self) -> Declarations:
        declared = Declarations()
        record = self.record

        def let_in(family: str, count: int, history: int) -> Callable[..., Awaitable[None]]:
            async def check(client: Session, name: str) -> None:
                if name == "slow":
                    await self.gate.wait()
                said = len(record.said[f"{family}/{name}"])
                record.starts[f"{family}/{name}"] = max(said - history, said - count, 0)

            return check

        async def on_publish(client: Session, event: str, data: int, name: str) -> None:
            record.ran.append(data)
            record.said[f"kept/{name}"].append(data)

        declared.room("kept/<name>", history=2, on_publish=on_publish, retention_seconds=FOREVER)(
            let_in("kept", 1000, 2)
        )
        declared.room("lossy/<name>", history=3, retention_count=4, retention_seconds=FOREVER)(let_in("lossy", 4, 3))

        def handler(event: str) -> Callable[..., Awaitable[Any]]:
            async def handle(client: Session, data: int) -> Any:
                record.ran.append(data)
                return await self._handle(event, data)

            return handle

        for event in ("echo", "quiet", "refuse", "fail", "big", "slow"):
            declared.on(event)(handler(event))

        async def ended(client: Session, reason: str) -> None:
            record.ended.add(client.session_id)

        declared.on_disconnect(ended)
        return declared

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


class Line:
    """One transport as the client has it: what it was given, what it awaits, and whether it goes on."""

    def __init__(self, world: World, kind: str) -> None:
        self.kind = kind
        self.closed: Closed | None = None
        self.wires: list[Wire] = []
        self._world = world
        self._program = world.program
        self._body = b""
        self._decoder = EventStreamDecoder()
        self._posting: bytes | None = None
        self._welcomed = False
        self.attach = 0
        self._begin(0.0)

    @property
    def open(self) -> bool:
        return self.closed is None

    def _begin(self, wait_seconds: float) -> None:
        self._polled = False
        session = self._program.session
        hello = session.hello(wait_seconds if self.kind == "poll" else None)
        self.attach = hello.attach
        if self.kind == "websocket":
            self.wires = [self._world.wire("websocket", None)]
            self.wires[0].up.append({"type": "websocket.receive", "text": hello.frame.decode()})
        else:
            posting = self.wires[1:]
            self.wires = [self._world.wire(self.kind, hello.frame), *posting]

    @property
    def paused(self) -> bool:
        """Whether a newer transport is tried, until which is settled the client listens to this one but is silent."""
        newer = self._world.lines[self._world.lines.index(self) + 1 :]
        return any(line.open for line in newer)

    def speak(self) -> bool:
        """Poll on, or send what the session has to send; False where there is nothing, or a request is still open."""
        if not self.open or self.paused:
            return False
        if self._polled:
            self._begin(5.0)
            return True
        if self._posting is not None:
            return False
        message = self._program.session.upstream(self.attach)
        if message is None:
            return False
        if self.kind == "websocket":
            self.wires[0].up.append({"type": "websocket.receive", "text": message.decode()})
        else:
            self._post(message)
        return True

    def _post(self, message: bytes) -> None:
        self._posting = message
        hello = self._program.session.send_hello(self.attach)
        self.wires[1:] = [self._world.wire("send", hello + b"\n" + message)]

    def hear(self, wire: Wire, part: int | None = None) -> bool:
        """Take the next event off a wire, or only so many bytes of it; False where there is none."""
        event = wire.take_down()
        if event is None:
            return False
        body = event.get("body", b"")
        if part is not None and event.get("more_body") and part < len(body):
            wire.down.appendleft({**event, "body": body[part:]})
            event["body"] = body[:part]
        if not self.open or wire not in self.wires:
            return True
        if event["type"] == "http.response.start":
            wire.status = event["status"]
        elif self.kind == "websocket":
            self._websocket(event)
        elif wire is self.wires[0] and self.kind == "sse":
            self._sse(event)
        else:
            self._answer(wire, event)
        return True

    def _websocket(self, event: dict[str, Any]) -> None:
        if event["type"] == "websocket.send":
            self._receive(event["text"].encode())
        elif event["type"] == "websocket.close":
            self.close(Closed(event["code"], event["reason"]))

    def _sse(self, event: dict[str, Any]) -> None:
        if self.wires[0].status != 200:
            self._refused(event["body"])
            return
        for message in self._decoder.feed(event["body"]):
            self._receive(message)
        if not event.get("more_body") and self.open:
            self.close(Closed(0, "the stream ended"))

    def _answer(self, wire: Wire, event: dict[str, Any]) -> None:
        if wire.status != 200:
            self._refused(event["body"], posted=wire is not self.wires[0])
            return
        if wire is self.wires[0]:
            self._polled = True
            self._receive(event["body"])
        else:
            self._posting = None
            self._receive(event["body"])

    def _refused(self, body: bytes, *, posted: bool = False) -> None:
        closed = read_close(body)
        assert closed is not None
        if posted and closed.code == CloseCode.STALE_ATTACH and self._posting is not None:
            # The next poll has overtaken it.
            self._post(self._posting)
        else:
            self.close(closed)

    def _receive(self, message: bytes) -> None:
        if not self._welcomed:
            # The client has moved here, and goes back to no older one.
            self._welcomed = True
            for line in self._world.lines[: self._world.lines.index(self)]:
                line.close(Closed(0, "moved away from"))
        for closed in self._program.receive(message, self.attach) if message else ():
            self.close(closed)

    def close(self, closed: Closed) -> None:
        """Give the transport up. What is under way to the server may still arrive."""
        if not self.open:
            return
        self.closed = closed
        harmless = _HARMLESS | ({CloseCode.BYE} if self._program.parted else set())
        assert closed.code in {0, *harmless}, f"{self.kind} was closed with {closed}"
        if closed.code == CloseCode.SUPERSEDED:
            assert self.attach < self._program.session.attach, "superseded by nobody"
        for wire in self.wires:
            wire.hang_up()
