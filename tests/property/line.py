"""A transport as the client has it, over wires that lose, delay and repeat."""

from __future__ import annotations

from collections import deque
from typing import Any

from multitransport.client.events import Closed
from multitransport.client.messages import read_close
from multitransport.client.stream import EventStreamDecoder
from multitransport.protocol.codes import CloseCode
from multitransport.transports.app import TransportApp
from tests.property.program import Program
from tests.property.wire import Wire

__all__ = ["COME_BACK", "Line", "Network"]

COME_BACK = 4001
"""The application's code for sessions it ends whose clients may come back."""

_HARMLESS = {
    CloseCode.PING_TIMEOUT,
    CloseCode.SESSION_LOST,
    CloseCode.STALLED,
    CloseCode.STALE_ATTACH,
    CloseCode.TOO_SLOW,
    CloseCode.SUPERSEDED,
    COME_BACK,
}


class Network:
    """All there is between programs and their server."""

    def __init__(self, app: TransportApp) -> None:
        self.wires: list[Wire] = []
        self.lines: list[Line] = []
        self.bodies: deque[tuple[str, bytes]] = deque(maxlen=6)
        """Of the latest requests: where they went, and what they said."""
        self._app = app

    def open(self, program: Program, kind: str) -> Line:
        """Have a client open a transport."""
        line = Line(self, program, kind)
        self.lines.append(line)
        return line

    def wire(self, path: str, body: bytes | None) -> Wire:
        """Have something under way to the server."""
        wire = Wire(self._app, path, body)
        if body is not None:
            self.bodies.append((path, body))
        self.wires.append(wire)
        return wire


class Line:
    """One transport as the client has it: what it was given, what it awaits, and whether it goes on."""

    def __init__(self, network: Network, program: Program, kind: str) -> None:
        self.kind = kind
        self.closed: Closed | None = None
        self.wires: list[Wire] = []
        self._network = network
        self.program = program
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
        session = self.program.session
        hello = session.hello(wait_seconds if self.kind == "poll" else None)
        self.attach = hello.attach
        if self.kind == "websocket":
            self.wires = [self._network.wire("websocket", None)]
            self.wires[0].up.append({"type": "websocket.receive", "text": hello.frame.decode()})
        else:
            posting = self.wires[1:]
            self.wires = [self._network.wire(self.kind, hello.frame), *posting]

    @property
    def paused(self) -> bool:
        """Whether a newer transport is tried, until which is settled the client listens to this one but is silent."""
        return any(line.open for line in self._own_lines(newer=True))

    def speak(self) -> bool:
        """Poll on, or send what the session has to send; False where there is nothing, or a request is still open."""
        if not self.open or self.paused:
            return False
        if self._polled:
            self._begin(5.0)
            return True
        if self._posting is not None:
            return False
        message = self.program.session.upstream(self.attach)
        if message is None:
            return False
        if self.kind == "websocket":
            self.wires[0].up.append({"type": "websocket.receive", "text": message.decode()})
        else:
            self._post(message)
        return True

    def _post(self, message: bytes) -> None:
        self._posting = message
        hello = self.program.session.send_hello(self.attach)
        self.wires[1:] = [self._network.wire("send", hello + b"\n" + message)]

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
            for line in self._own_lines(newer=False):
                line.close(Closed(0, "moved away from"))
        if message and (closed := self.program.receive(message, self.attach)):
            self.close(closed)

    def _own_lines(self, *, newer: bool) -> list[Line]:
        lines = self._network.lines
        here = lines.index(self)
        return [line for line in (lines[here + 1 :] if newer else lines[:here]) if line.program is self.program]

    def close(self, closed: Closed) -> None:
        """Give the transport up. What is under way to the server may still arrive."""
        if not self.open:
            return
        self.closed = closed
        harmless = _HARMLESS | ({CloseCode.BYE} if self.program.parted else set())
        assert closed.code in {0, *harmless}, f"{self.kind} was closed with {closed}"
        if closed.code == CloseCode.SUPERSEDED:
            assert self.attach < self.program.session.attach, "superseded by nobody"
        for wire in self.wires:
            wire.hang_up()
