"""Nodes in this process, and clients whose every request goes where the test sends it."""

from __future__ import annotations

import asyncio
import itertools
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

import httpx
from quart import Quart

from multitransport import MultiTransport, Session
from multitransport.node.node import Node
from multitransport.protocol.codes import CloseCode
from multitransport.testing.asgi_http import AsgiTransport

__all__ = ["Frame", "Place", "Visitor", "cut_off", "told_to_repeat_above"]

Frame = list[Any]


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
        hello = {"v": 1, "new": self.new, "attach": self.attach, "acked": self.acked, "auth": None, **options}
        if self.token is not None:
            hello["token"] = self.token
        body = "\n".join(map(json.dumps, [["hello", hello], *frames]))
        answer = await place.http.post(path, content=body, headers={"Content-Type": "application/x-ndjson"}, timeout=10)
        found = [json.loads(line) for line in answer.text.split("\n") if line]
        for frame in found:
            self._hear(frame)
        self.heard += found
        self.unseen += found
        return found

    def _hear(self, frame: Frame) -> None:
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
            while True:
                for frame in self.unseen:
                    if frame[: len(wanted)] == list(wanted):
                        self.unseen.remove(frame)
                        return frame
                await self.poll(place, wait=0.2)


async def cut_off(place: Place) -> None:
    """Have a node reach Redis no more: for the others it is dead."""
    tasks = place.node._broker._tasks  # type: ignore[attr-defined]
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def told_to_repeat_above(seq: int, visitor: Visitor, place: Place, *, wait: float = 0.2) -> None:
    """Poll until a welcome says that what was sent after this seq has to be sent again."""
    async with asyncio.timeout(8):
        while True:
            welcome, *_ = await visitor.poll(place, wait=wait)
            if welcome[1]["seq"] == seq:
                return
