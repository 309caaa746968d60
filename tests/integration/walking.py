"""Several nodes behind a proxy that sends each request to any of them and breaks some, and clients that walk there."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any, NamedTuple, Self

import httpx

from multitransport import Session
from multitransport.client import Client, Publication
from multitransport.client.poll import PollConnector
from multitransport.client.stream import SseConnector
from multitransport.errors import MultiTransportError, RequestError
from multitransport.testing.asgi_http import AsgiTransport
from tests.integration.moving import Place, cut_off
from tests.redis_server import RedisServer

__all__ = ["Faults", "Stroller", "Town"]

EVENTS = ("once", "again", "beside", "noted")
"""The events of requests: ``again`` is repeatable, ``beside`` concurrent."""


class Faults(NamedTuple):
    """How likely each fault is, by request or by message between nodes; the rest is done to nodes."""

    lost_requests: float = 0.0
    lost_answers: float = 0.0
    doubled: float = 0.0
    left_early: float = 0.0
    lost_words: float = 0.0
    slow_steps: float = 0.0


class Run(NamedTuple):
    """A handler that has begun."""

    asked: int
    event: str
    node: int
    began: float


class House(Place):
    """A node whose handlers tell the town what they do."""

    def __init__(self, town: Town, number: int) -> None:
        super().__init__(number, town.redis.url, resume_seconds=20.0)
        self.dead = asyncio.Event()
        self.in_service = True
        asgi: Any = self.app  # Quart's types of ASGI are TypedDicts
        self.transport = AsgiTransport(asgi)
        self.town = town
        rt = self.rt
        for event in EVENTS:
            self._serve(event)

        async def may_publish(client: Session, event: str, data: Any) -> None:
            town.began(self, client, data)

        @rt.room("log", history=1000, on_publish=may_publish)
        async def join_log(client: Session) -> None: ...

        @rt.room("square", presence=True)
        async def join_square(client: Session) -> None: ...

        @rt.on("walk-frozen")
        async def frozen(client: Session, data: Any) -> None:
            town.began(self, client, data)
            await asyncio.Event().wait()

    def _serve(self, event: str) -> None:
        @self.rt.on(f"walk-{event}", repeatable=event == "again", concurrent=event == "beside")
        async def run(client: Session, data: Any) -> int:
            self.town.began(self, client, data)
            await asyncio.sleep(data["seconds"])
            if event == "noted":
                client.data["noted"] = data["asked"]
            self.town.ended(self, client, data)
            return int(data["asked"])

    def disturb(self, faults: Faults, chance: random.Random) -> None:
        """Lose some of what it tells others, and have some of its steps in Redis take long."""
        bus: Any = self.node._peers._bus
        tell = bus.tell

        async def lossy_tell(node: str, message: Any) -> bool:
            if chance.random() < faults.lost_words:
                return True
            return bool(await tell(node, message))

        bus.tell = lossy_tell
        fencing: Any = self.node._store._fencing  # type: ignore[attr-defined]
        once = fencing._once

        async def slow_once(attempt: Any) -> Any:
            if chance.random() < faults.slow_steps:
                await asyncio.sleep(chance.choice((0.001, 0.01, 0.03, 0.1)))
            found = await once(attempt)
            if chance.random() < faults.slow_steps:
                await asyncio.sleep(chance.choice((0.001, 0.01, 0.03, 0.1)))
            return found

        fencing._once = slow_once


class Town:
    """The nodes that are there, and what ran at them. Each request comes to any that is in service."""

    def __init__(self, redis: RedisServer, seed: int, faults: Faults) -> None:
        self.redis = redis
        self.chance = random.Random(seed)
        self.faults = faults
        self.houses: list[House] = []
        self.runs: defaultdict[str, list[Run]] = defaultdict(list)
        self.done: defaultdict[str, list[Run]] = defaultdict(list)
        self.killed: list[tuple[int, float]] = []
        self.stopped: set[int] = set()
        self.tasks: set[asyncio.Task[Any]] = set()
        self.calm = False
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self._stack.aclose()

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time()

    @property
    def open(self) -> list[House]:
        return [house for house in self.houses if house.in_service]

    def own(self, work: Any) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    async def build(self) -> House:
        house = House(self, len(self.houses))
        await self._stack.enter_async_context(house.open())
        house.disturb(self.faults, self.chance)
        self.houses.append(house)
        return house

    async def kill(self, house: House) -> None:
        """Have a node reach Redis no more, and then nobody reach it."""
        self.killed.append((house.number, self.now))
        await cut_off(house)
        await asyncio.sleep(self.chance.choice((0.0, 0.0, 0.3)))
        house.in_service = False
        house.dead.set()

    async def stop(self, house: House) -> None:
        self.stopped.add(house.number)
        stopping = self.own(house.app.extensions["multitransport"].stop())
        await asyncio.wait({stopping}, timeout=self.chance.choice((0.0, 0.1, 1.0)))
        house.in_service = False
        await stopping
        house.dead.set()

    async def blink(self) -> None:
        """Cut all connections to Redis, or those on which nodes hear of each other."""
        await self.redis.call("CLIENT", "KILL", "TYPE", self.chance.choice(("normal", "pubsub")))

    def began(self, house: House, client: Session, data: Any) -> None:
        self.runs[data["who"]].append(Run(data["asked"], data.get("event", "publish"), house.number, self.now))

    def ended(self, house: House, client: Session, data: Any) -> None:
        self.done[data["who"]].append(Run(data["asked"], data["event"], house.number, self.now))


class Proxy(httpx.AsyncBaseTransport):
    """Sends each request anywhere, and some nowhere or to two nodes."""

    def __init__(self, town: Town) -> None:
        self._town = town

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        town, faults, chance = self._town, self._town.faults, self._town.chance
        await request.aread()
        fate = 1.0 if town.calm else chance.random()
        if not town.open or fate < faults.lost_requests:
            raise httpx.ConnectError("lost")
        house = chance.choice(town.open)
        if request.url.path.endswith("/sse"):
            return await self._stream(house, request)
        fate -= faults.lost_requests
        if fate < faults.doubled:
            town.own(self._again(chance.choice(town.open), request))
        fate -= faults.doubled
        patience = chance.uniform(0, 0.05) if 0 <= fate < faults.left_early else None
        fate -= faults.left_early
        response = await self._whole(house, request, patience)
        if 0 <= fate < faults.lost_answers:
            raise httpx.ReadError("the answer is lost")
        return response

    async def _again(self, house: House, request: httpx.Request) -> None:
        await asyncio.sleep(self._town.chance.choice((0.0, 0.01, 0.1)))
        with contextlib.suppress(httpx.HTTPError):
            await self._whole(house, request, None)

    async def _whole(self, house: House, request: httpx.Request, patience: float | None) -> httpx.Response:
        """Have a node answer; nobody does where it dies meanwhile."""
        answering: asyncio.Task[httpx.Response] = self._town.own(self._answer(house, request))
        dead = asyncio.create_task(house.dead.wait())
        try:
            await asyncio.wait({answering, dead}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            if answering.done() and not answering.cancelled():
                return answering.result()
            raise httpx.ReadError("the connection was cut")
        finally:
            dead.cancel()
            answering.cancel()

    async def _answer(self, house: House, request: httpx.Request) -> httpx.Response:
        response = await house.transport.handle_async_request(request)
        try:
            body = await response.aread()
        finally:
            await response.aclose()
        return httpx.Response(response.status_code, headers=response.headers, content=body)

    async def _stream(self, house: House, request: httpx.Request) -> httpx.Response:
        opening = self._town.own(house.transport.handle_async_request(request))
        dead = asyncio.create_task(house.dead.wait())
        try:
            await asyncio.wait({opening, dead}, return_when=asyncio.FIRST_COMPLETED)
            if not opening.done():
                raise httpx.ReadError("the connection was cut")
            response = opening.result()
        finally:
            dead.cancel()
            opening.cancel()
        stream = _Stream(self._town, house, response)
        return httpx.Response(response.status_code, headers=response.headers, stream=stream)


class _Stream(httpx.AsyncByteStream):
    def __init__(self, town: Town, house: House, response: httpx.Response) -> None:
        self._town, self._house, self._response = town, house, response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        chunks = self._response.aiter_raw()
        dead = asyncio.create_task(self._house.dead.wait())
        try:
            while True:
                chunk = asyncio.ensure_future(anext(chunks, None))
                try:
                    await asyncio.wait({chunk, dead}, return_when=asyncio.FIRST_COMPLETED)
                    if not chunk.done():
                        raise httpx.ReadError("the connection was cut")
                finally:
                    if not chunk.done():
                        chunk.cancel()
                        await asyncio.gather(chunk, return_exceptions=True)
                found = chunk.result()
                if found is None:
                    return
                yield found
        finally:
            dead.cancel()

    async def aclose(self) -> None:
        self._town.own(self._response.aclose())


class Asked(NamedTuple):
    """A request of a client: its number in the order of its calls, when it was made and what became of it."""

    number: int
    event: str
    at: float
    outcome: asyncio.Task[str]


class Stroller:
    """A client of the town, and all it asked for and heard."""

    def __init__(self, town: Town, name: str, transport: str) -> None:
        self.town = town
        self.name = name
        self.transport = transport
        http = httpx.AsyncClient(transport=Proxy(town))
        base = "http://town/realtime"
        connectors: Any = {"poll": PollConnector(http, base), "sse": SseConnector(http, base)}
        self.client = Client({transport: connectors[transport]}, connect_seconds=30.0, release=http.aclose)
        self.asked: list[Asked] = []
        self.heard: list[Any] = []
        self.gaps: list[Any] = []
        self._listening: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self.client.__aenter__()
        self.session_id = self.client.session_id
        room = await self.client.join("log", history=0)
        self._listening = asyncio.create_task(self._listen(room))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.close()
        assert self._listening is not None
        self._listening.cancel()
        await asyncio.gather(self._listening, return_exceptions=True)

    async def _listen(self, room: Any) -> None:
        async for item in room:
            if isinstance(item, Publication):
                self.heard.append(item.data)
            else:
                self.gaps.append(item)

    def ask(self, event: str, seconds: float) -> None:
        data = {"who": self.name, "asked": len(self.asked) + 1, "event": event, "seconds": seconds}
        if event == "publish":
            self._begin(event, self.client.publish("log", "said", data))
        else:
            self._begin(event, self.client.request(f"walk-{event}", data, timeout=None))

    def stroll(self) -> None:
        """Join the square, or leave it."""
        if (room := self.client.rooms.get("square")) is None:
            self._begin("join", self._join())
        else:
            self._begin("leave", self.client.leave(room))

    async def _join(self) -> None:
        room = self.client.join("square")
        with contextlib.suppress(StopAsyncIteration):
            await room

    def _begin(self, event: str, work: Any) -> None:
        outcome = asyncio.create_task(self._outcome(work))
        self.asked.append(Asked(len(self.asked) + 1, event, self.town.now, outcome))

    async def _outcome(self, work: Any) -> str:
        try:
            await work
        except RequestError as error:
            return error.code
        except MultiTransportError as error:
            return repr(error)
        return "ok"
