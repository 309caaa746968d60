"""Clients without manners, one for each transport: they say what a test tells them to, and show every frame."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import secrets
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import httpx

from multitransport.testing.waiting import eventually
from tests.contracts.served import Hangup, Served, Socket

__all__ = ["NDJSON", "TRANSPORTS", "Closed", "Frame", "Wire", "binary_message", "message_of", "wire"]

Frame = list[Any]

TRANSPORTS = ("websocket", "sse", "poll")
PATIENCE_SECONDS = 8.0
OUTCOMES = ("reply", "error", "joined", "left")
NDJSON = {"Content-Type": "application/x-ndjson"}
DATA_AT = {"send": 3, "publish": 4, "answer": 3, "pub": 4, "reply": 2}
"""Where frames have their data."""


class Closed(Exception):
    """The server said ``close``."""

    def __init__(self, frame: Frame) -> None:
        super().__init__(*frame[1:])
        self.code: int = frame[1]
        self.reason: str = frame[2]
        self.options: dict[str, Any] = frame[3] if len(frame) > 3 else {}


def message_of(*frames: Frame | str) -> bytes:
    """Return a message of these frames; text is taken as it is."""
    return "\n".join(frame if isinstance(frame, str) else json.dumps(frame) for frame in frames).encode()


def binary_message(head: Frame | bytes, data: bytes, *, claims: int | None = None) -> bytes:
    """Return a WebSocket binary message, whose head may ``claim`` to be of another length."""
    text = head if isinstance(head, bytes) else json.dumps(head).encode()
    return (len(text) if claims is None else claims).to_bytes(4) + text + data


class Wire(ABC):
    """A session by hand. It keeps its token, its positions, what state rooms hold and, where it ``acknowledges``, how
    far outcomes came; it answers nothing by itself. Data that is bytes is bytes in the frames it shows.
    """

    transport: str

    def __init__(self, served: Served, *, headers: Mapping[str, str] | None = None, new: str | None = None) -> None:
        self.served = served
        self.headers = dict(headers or {})
        self.new = new or secrets.token_urlsafe(16)
        self.attach = 0
        self.acked = 0
        self.acknowledges = True
        self.token: str | None = None
        self.positions: dict[str, list[Any]] = {}
        self.values: dict[str, dict[str, Any]] = {}
        """The current value of each key, by state room."""
        self.base64 = 0
        """How many frames came as base64."""
        self.seen: deque[Frame] = deque()
        self._newest: dict[str, dict[str, int]] = {}
        self.outcomes: set[int | None] = set()

    def takes_over(self, former: Wire) -> Wire:
        """Go on with the session of another wire."""
        self.new, self.attach, self.token, self.acked = former.new, former.attach, former.token, former.acked
        self.positions, self.outcomes = dict(former.positions), set(former.outcomes)
        self.values, self._newest = former.values, former._newest
        return self

    def hello(self, **options: Any) -> Frame:
        """Return the next hello."""
        said: dict[str, Any] = {"v": 1, "new": self.new, "attach": self.attach, "acked": self.acked}
        if self.token is not None:
            said["token"] = self.token
        if self.acknowledges:
            said["had"] = [seq for seq in self.outcomes if seq and seq > self.acked]
        if self.positions:
            said["rooms"] = {room: {"position": position} for room, position in self.positions.items()}
        return ["hello", {**said, **options}]

    async def open(self, *frames: Frame | str, **options: Any) -> dict[str, Any]:
        """Attach, with these frames behind the hello, and return what the welcome says. Raises Closed."""
        self.attach += 1
        await self.begin(message_of(self.hello(**options), *frames))
        welcome: dict[str, Any] = (await self.next("welcome"))[1]
        return welcome

    async def say(self, *frames: Frame | str) -> None:
        """Send these frames as one message. Raises Closed where that is the answer."""
        await self.say_raw(message_of(*frames))

    async def say_bytes(self, frame: Frame, data: bytes) -> None:
        """Send a frame, its data being null, with these bytes in place of it."""
        at = DATA_AT[frame[0]]
        options = {**(frame[at + 1] if len(frame) > at + 1 else {}), "b64": True}
        await self.say([*frame[:at], base64.b64encode(data).decode(), options])

    async def confirm(self) -> None:
        """Give the sign of life without which a session is no member of a room."""
        await self.say(["pong", 0])

    async def next(self, *kinds: str) -> Frame:
        """Return the next frame of one of these kinds, of any where none is named. Raises Closed at ``close``."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                while not self.seen:
                    await self.receive()
                frame = self.seen.popleft()
                if frame[0] == "close" and "close" not in kinds:
                    raise Closed(frame)
                if frame[0] in kinds or not kinds:
                    return frame

    async def held(self, *kinds: str) -> asyncio.Task[Frame]:
        """Begin to wait for a frame, and return the task when the server holds what the frame will travel on."""
        waiting = asyncio.create_task(self.next(*kinds))
        await asyncio.sleep(0)
        await eventually(self._is_held)
        return waiting

    def _is_held(self) -> bool:
        sessions = self.served.application.node.sessions.values()
        return any(
            client.record.new == self.new and client.attachment is not None and client.attachment.attach == self.attach
            for client in sessions
        )

    async def until(self, condition: Callable[[], object]) -> None:
        """Receive until what was received makes this true."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not condition():
                await self.receive()

    async def holds(self, room: str, values: dict[str, Any]) -> None:
        """Receive until the state room holds exactly these values."""
        await self.until(lambda: self.values.get(room) == values)

    async def outcome(self, seq: int) -> Frame:
        """Return what became of a seq: the frame that says so, else the ``ack`` that covers it."""
        while True:
            frame = await self.next(*OUTCOMES, "ack")
            if (frame[0] == "ack" and frame[1] >= seq) or (frame[0] != "ack" and frame[1] == seq):
                return frame

    async def rejoined(self) -> Frame:
        """Return the next ``joined`` of a room named in hello."""
        while (frame := await self.next("joined"))[1] is not None:
            pass
        return frame

    async def publications(self, count: int) -> list[Any]:
        """Return the data of the next publications."""
        return [(await self.next("pub"))[4] for _ in range(count)]

    async def publication(self, room: str) -> Frame:
        """Return the next publication of a room."""
        while (frame := await self.next("pub"))[1] != room:
            pass
        return frame

    @abstractmethod
    async def begin(self, message: bytes) -> None:
        """Connect, and say this first."""

    @abstractmethod
    async def say_raw(self, message: bytes, *, text: bool = True) -> None:
        """Send a message as it is. Raises Closed where that is the answer."""

    @abstractmethod
    async def receive(self) -> None:
        """Wait for a message. Raises Hangup where the connection ends instead."""

    @abstractmethod
    async def drop(self) -> None:
        """Cut what carries the session, without a word."""

    def take(self, message: str) -> None:
        """Take note of a message from the server."""
        for text in message.split("\n"):
            if text:
                self._take(json.loads(text))

    def _take(self, frame: Frame) -> None:
        if isinstance(frame[-1], dict) and frame[-1].pop("b64", False):
            self.base64 += 1
            at = DATA_AT[frame[0]]
            frame[at] = base64.b64decode(frame[at], validate=True)
            frame = [element for element in frame if element != {}]
        self.seen.append(frame)
        match frame:
            case ["welcome", options]:
                self.token = options["token"]
            case ["joined" | "left", int(seq), *_] if seq in self.outcomes:
                """A repeat: what followed it was received since."""
            case ["joined", _, room, position, {"mode": "state", "recovered": recovered}]:
                self.positions[room] = position
                if not recovered or room not in self.values:
                    self._begin_anew(room)
            case ["gap", room, position, *_] if room in self.values:
                self.positions[room] = position
                self._begin_anew(room)
            case ["joined", _, room, position, *_] | ["gap", room, position, *_] | ["at", room, position]:
                self.positions[room] = position
            case ["left", _, room, *_]:
                self.positions.pop(room, None)
                self.values.pop(room, None)
            case ["pub", room, *_] if room in self.values:
                self._take_value(frame)
            case ["pub", room, int(offset), *_]:
                assert offset > self.positions[room][1], "a repeat"
                self.positions[room] = [self.positions[room][0], offset]
            case ["ack", through] if self.acknowledges:
                self.acked = max(self.acked, through)
        if frame[0] in OUTCOMES:
            self.outcomes.add(frame[1])

    def _begin_anew(self, room: str) -> None:
        self.values[room], self._newest[room] = {}, {}

    def _take_value(self, frame: Frame) -> None:
        """Keep a value that is newer than what its key had."""
        _, room, offset, _, data, *options = frame
        if offset is None:
            return
        key = options[0]["key"]
        if offset <= self._newest[room].get(key, 0):
            return
        self._newest[room][key] = offset
        if options[0].get("deleted"):
            assert data is None
            self.values[room].pop(key, None)
        else:
            self.values[room][key] = data


class WebSocketWire(Wire):
    transport = "websocket"
    _socket: Socket | None = None

    async def begin(self, message: bytes) -> None:
        await self.drop()
        self._socket = await self.served.websocket(self.headers)
        await self._socket.send(message)

    async def say_raw(self, message: bytes, *, text: bool = True) -> None:
        assert self._socket is not None
        await self._socket.send(message, text=text)

    async def say_bytes(self, frame: Frame, data: bytes) -> None:
        await self.say_raw(binary_message(frame, data), text=False)

    async def receive(self) -> None:
        assert self._socket is not None
        message = await self._socket.receive()
        if isinstance(message, str):
            self.take(message)
        else:
            end = 4 + int.from_bytes(message[:4])
            frame = json.loads(message[4:end])
            frame[DATA_AT[frame[0]]] = message[end:]
            self._take(frame)

    async def hangup(self) -> Hangup:
        """Return the code and reason of the WebSocket's own close."""
        assert self._socket is not None
        try:
            while True:
                await self._socket.receive()
        except Hangup as hangup:
            return hangup

    async def drop(self) -> None:
        if self._socket is not None:
            await self._socket.drop()
            self._socket = None


class HttpWire(Wire):
    """What SSE and polls have in common: the way up."""

    async def say_raw(self, message: bytes, *, text: bool = True) -> None:
        hello = message_of(["hello", {**self.hello()[1], "rooms": {}}])
        self.take(await self.post("send", hello + b"\n" + message))

    async def post(self, path: str, body: bytes, **headers: str) -> str:
        """Post a body and return the answer. Raises Closed for a refusal."""
        answer = await self.served.http.post(path, content=body, headers={**NDJSON, **self.headers, **headers})
        return self.judged(answer.status_code, answer.text)

    @staticmethod
    def judged(status: int, text: str) -> str:
        if status != httpx.codes.OK:
            raise Closed(json.loads(text))
        return text


class SseWire(HttpWire):
    transport = "sse"
    _lines: AsyncIterator[str] | None = None

    def __init__(self, served: Served, **options: Any) -> None:
        super().__init__(served, **options)
        self._stack = contextlib.AsyncExitStack()

    async def begin(self, message: bytes) -> None:
        await self.drop()
        stream = self.served.http.stream("POST", "sse", content=message, headers={**NDJSON, **self.headers})
        answer = await self._stack.enter_async_context(stream)
        if answer.status_code != httpx.codes.OK:
            self.judged(answer.status_code, (await answer.aread()).decode())
        self._lines = answer.aiter_lines()

    async def receive(self) -> None:
        assert self._lines is not None
        data = []
        async for text in self._lines:
            if text.startswith("data: "):
                data.append(text.removeprefix("data: "))
            elif not text and data:
                self.take("\n".join(data))
                return
        raise Hangup(1006, "the stream has ended")

    async def drop(self) -> None:
        self._lines = None
        await self._stack.aclose()


class PollWire(HttpWire):
    transport = "poll"

    async def begin(self, message: bytes) -> None:
        self.take(await self.post("poll", message))

    async def open(self, *frames: Frame | str, **options: Any) -> dict[str, Any]:
        return await super().open(*frames, **{"wait": 0, **options})

    async def receive(self) -> None:
        self.attach += 1
        self.take(await self.post("poll", message_of(self.hello(wait=PATIENCE_SECONDS))))

    async def drop(self) -> None:
        """Between two polls there is nothing to cut."""


WIRES: dict[str, type[Wire]] = {wire.transport: wire for wire in (WebSocketWire, SseWire, PollWire)}


@contextlib.asynccontextmanager
async def wire(transport: str, served: Served, **options: Any) -> AsyncIterator[Wire]:
    """Give a wire, and drop it at the end."""
    made = WIRES[transport](served, **options)
    try:
        yield made
    finally:
        await made.drop()
