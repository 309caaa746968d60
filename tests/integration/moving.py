"""Nodes in this process, and clients whose every request goes where the test sends it."""

from __future__ import annotations

import asyncio
import itertools
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Protocol

import httpx
from quart import Quart

from multitransport import MultiTransport, Session
from multitransport.core.session import SessionRecord
from multitransport.node.node import Node
from multitransport.protocol.codes import CloseCode
from multitransport.testing.asgi_http import AsgiTransport
from multitransport.testing.waiting import eventually

__all__ = ["Frame", "Place", "Visitor", "cut_off", "settled", "take_for_gone", "three_places", "told_to_repeat_above"]

Frame = list[Any]

_TYPE = {"Content-Type": "application/x-ndjson"}


class Door(Protocol):
    """Where a request can be sent."""

    http: httpx.AsyncClient


class Place:
    """One node of several, in this process."""

    def __init__(self, number: int, broker: str, lease_seconds: float = 1.0, resume_seconds: float = 5.0) -> None:
        self.number = number
        self.app = app = Quart(__name__)
        app.secret_key = "a secret of the tests"
        asgi: Any = app  # Quart's types of ASGI are TypedDicts
        self.rt = rt = MultiTransport(
            app,
            broker=broker,
            lease_seconds=lease_seconds,
            resume_seconds=resume_seconds,
            presence_seconds=1.0,
            drain_seconds=1.0,
        )
        self.ran: list[Any] = []
        self.ended: list[str] = []
        self.ended_once: list[str] = []
        self.gate = asyncio.Event()
        self.stuck = False
        self.http = httpx.AsyncClient(transport=AsgiTransport(asgi), base_url="http://here/realtime")

        @rt.on_connect
        async def connect(client: Session, auth: Any) -> None:
            client.user_id = "ann"
            client.data.setdefault("came", number)

        @rt.on_disconnect
        async def disconnect(client: Session, reason: str) -> None:
            self.ended.append(reason)

        @rt.on_disconnect(once=True)
        async def disconnect_once(client: Session, reason: str) -> None:
            self.ended_once.append(reason)
            if self.stuck:
                await asyncio.Event().wait()

        @rt.room("hall", history=10, presence=True)
        async def join_hall(client: Session) -> None: ...

        @rt.room("slow")
        async def join_slow(client: Session) -> None:
            await self.gate.wait()

        @rt.on("note")
        async def note(client: Session, data: Any) -> int:
            self.ran.append(data)
            client.data["noted"] = data
            return number

        @rt.on("slow")
        async def slow(client: Session, data: Any) -> int:
            self.ran.append(["begin", data])
            await self.gate.wait()
            self.ran.append(["end", data])
            client.data["slow"] = data
            return number

        @rt.on("beside", concurrent=True)
        async def beside(client: Session, data: Any) -> int:
            return await slow(client, data)

        @rt.on("again", repeatable=True)
        async def again(client: Session, data: Any) -> int:
            self.ran.append(data)
            await self.gate.wait()
            return number

        @rt.on("data")
        async def data(client: Session, data: Any) -> dict[str, Any]:
            return client.data

        @rt.on("ask")
        async def ask(client: Session, data: Any) -> Any:
            return await client.request("question", data, timeout=5.0)

    @property
    def node(self) -> Node:
        return self.app.extensions["multitransport"].running.node  # type: ignore[no-any-return]

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Run it."""
        lifespan: Any = self.app.test_app()
        async with lifespan, self.http:
            yield

    async def stop(self) -> None:
        """Have it stop as its server does."""
        await self.app.extensions["multitransport"].stop()


class Visitor:
    """A client whose every request goes where it is sent."""

    def __init__(self) -> None:
        self.new = secrets.token_urlsafe(16)
        self.token: str | None = None
        self.session = ""
        self.attach = 0
        self.acked = 0
        self.seqs = itertools.count(1)
        self.positions: dict[str, Any] = {}
        self.heard: list[Frame] = []
        self.unseen: list[Frame] = []

    async def poll(self, place: Door, *frames: Frame, wait: float = 0.0) -> list[Frame]:
        """Poll, with these frames, and return what there is."""
        self.attach += 1
        return await self._post(place, "poll", frames, wait=wait, rooms=self.positions)

    @asynccontextmanager
    async def listening(self, place: Door, *frames: Frame) -> AsyncIterator[Frame]:
        """Open a stream, with these frames, and give its welcome; wait for what else it says with ``hears``."""
        self.attach += 1
        heard = len(self.heard)
        task = asyncio.create_task(self._listen(place, self._message(frames)))
        try:
            [welcome] = await eventually(lambda: [frame for frame in self.heard[heard:] if frame[0] == "welcome"])
            yield welcome
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def hears(self, *wanted: Any, seconds: float = 10.0) -> Frame:
        """Return the first frame on a stream that begins like this and was not waited for yet."""
        found = await eventually(lambda: self._seen(wanted), seconds)
        assert found is not None
        return found

    async def send(self, place: Door, *frames: Frame) -> list[Frame]:
        """Send these frames, again where the session is just moving."""
        while True:
            answer = await self._post(place, "send", frames)
            if answer[0][:2] != ["close", CloseCode.UNAVAILABLE]:
                return answer

    @property
    def inbox(self) -> str:
        return f"@session/{self.session}"

    def frame(self, kind: str, *rest: Any) -> Frame:
        return [kind, next(self.seqs), *rest]

    async def _post(self, place: Door, path: str, frames: tuple[Frame, ...], **options: Any) -> list[Frame]:
        content = self._message(frames, **options)
        answer = await place.http.post(path, content=content, headers=_TYPE, timeout=10)
        found = [json.loads(line) for line in answer.text.split("\n") if line]
        for frame in found:
            self._hear(frame)
        return found

    async def _listen(self, place: Door, content: str) -> None:
        async with place.http.stream("POST", "sse", content=content, headers=_TYPE) as response:
            async for line in response.aiter_lines():
                if line.startswith("data: "):
                    self._hear(json.loads(line.removeprefix("data: ")))

    def _message(self, frames: tuple[Frame, ...], **options: Any) -> str:
        hello = {"v": 1, "new": self.new, "attach": self.attach, "acked": self.acked, "auth": None, **options}
        if self.token is not None:
            hello["token"] = self.token
        return "\n".join(map(json.dumps, [["hello", hello], *frames]))

    def _hear(self, frame: Frame) -> None:
        self.heard.append(frame)
        self.unseen.append(frame)
        match frame:
            case ["ack", int(through)]:
                self.acked = max(self.acked, through)
            case ["welcome", options]:
                self.token, self.session = options["token"], options["session"]
            case ["joined", _, room, position, _]:
                self.positions[room] = {"position": position}
            case ["left", _, room, *_]:
                self.positions.pop(room, None)
            case ["pub", room, int(offset), *_] if room in self.positions:
                self.positions[room] = {"position": [self.positions[room]["position"][0], offset]}
            case ["at" | "gap", room, position, *_]:
                self.positions[room] = {"position": position}

    async def until(self, place: Door, *wanted: Any, seconds: float = 10.0) -> Frame:
        """Poll on until a frame begins like this that was not waited for yet, and return it."""
        async with asyncio.timeout(seconds):
            while (found := self._seen(wanted)) is None:
                await self.poll(place, wait=0.2)
            return found

    def _seen(self, wanted: tuple[Any, ...]) -> Frame | None:
        for frame in self.unseen:
            if frame[: len(wanted)] == list(wanted):
                self.unseen.remove(frame)
                return frame
        return None


@asynccontextmanager
async def three_places(broker: str) -> AsyncIterator[list[Place]]:
    """Run three nodes over one broker."""
    async with AsyncExitStack() as stack:
        places = [Place(number, broker) for number in range(3)]
        for place in places:
            await stack.enter_async_context(place.open())
        yield places
        for place in places:
            place.gate.set()


async def cut_off(place: Place) -> None:
    """Have a node reach Redis no more: for the others it is dead."""
    tasks = place.node._broker._tasks  # type: ignore[attr-defined]
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def take_for_gone(gone: Place, visitor: Visitor, *by: Place) -> None:
    """Have the frames of a node be lost, as where it is late and nobody hears it, and these other nodes know that."""
    for place in by:
        await place.node._moves._settle_by_id(visitor.session, {gone.node._store.node})


async def told_to_repeat_above(seq: int, visitor: Visitor, place: Place, *, wait: float = 0.2) -> None:
    """Poll until a welcome says that what was sent after this seq has to be sent again."""
    async with asyncio.timeout(8):
        while True:
            welcome, *_ = await visitor.poll(place, wait=wait)
            if welcome[1]["seq"] == seq:
                return


async def settled(places: list[Place], visitor: Visitor) -> SessionRecord:
    """Return the record when no node holds any frame of it any more."""
    async with asyncio.timeout(5):
        while True:
            owners = [place for place in places if visitor.session in place.node.sessions]
            if len(owners) == 1:  # else one of them is yet to hear of the other
                await owners[0].node._store.settle(visitor.session)
                record = owners[0].node.sessions[visitor.session].record
                if not record.holders:
                    return record
            await asyncio.sleep(0.05)
