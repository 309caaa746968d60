"""The server under test: ``python -m benchmarks.server bare|multitransport``. It prints its port, then serves until it
is terminated.

Beside the transports it has three paths of its own: ``/publish?count=&pause=`` publishes from inside and answers with
the seconds of CPU and of wall clock that took, ``/memory`` answers with its unique set size in bytes, ``/members``
with how many clients are there.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

import psutil
from hypercorn.asyncio import serve
from hypercorn.config import Config
from quart import Quart

from multitransport import MultiTransport, Session

__all__: list[str] = []

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Publish = Callable[[int], Awaitable[None]]

READING = {"cpu": [12.5, 3.1], "memory": 51.2, "note": "a reading of about a hundred bytes, as a dashboard has"}
ROOM = "bench"


class Bare:
    """What one writes without a library: a set of ``send`` functions, and a loop over it for each event."""

    def __init__(self) -> None:
        self.members: set[Send] = set()

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._websocket(receive, send)
        else:
            await self._sse(receive, send)

    async def publish(self, offset: int) -> None:
        text = json.dumps(["pub", ROOM, offset, "reading", READING], separators=(",", ":"))
        for send in list(self.members):
            await send({"type": "websocket.send", "text": text})

    async def publish_sse(self, offset: int) -> None:
        text = json.dumps(["pub", ROOM, offset, "reading", READING], separators=(",", ":"))
        body = f"data: {text}\n\n".encode()
        for send in list(self.members):
            await send({"type": "http.response.body", "body": body, "more_body": True})

    async def _websocket(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
        await send({"type": "websocket.send", "text": '["welcome",{}]'})
        self.members.add(send)
        try:
            while (event := await receive())["type"] != "websocket.disconnect":
                await send({"type": "websocket.send", "text": event["text"]})
        finally:
            self.members.discard(send)

    async def _sse(self, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        await send({"type": "http.response.body", "body": b'data: ["welcome",{}]\n\n', "more_body": True})
        self.members.add(send)
        try:
            while (await receive())["type"] != "http.disconnect":
                pass
        finally:
            self.members.discard(send)


def multitransport_app() -> tuple[Quart, MultiTransport]:
    """Return an application with one room that keeps a whole burst, and an echo."""
    app = Quart("benchmarks")
    app.config["SECRET_KEY"] = "not a secret: this server is only ever measured"
    # The load's clients answer no pings, and here that is no reason to drop them.
    rt = MultiTransport(app, ping_seconds=600.0, grace_seconds=600.0, hello_seconds=600.0, resume_seconds=5.0)

    @rt.room(ROOM, retention_count=20_000, retention_bytes=1 << 24)
    async def join(client: Session) -> None:
        """Let everybody in."""

    @rt.on("echo")
    async def echo(client: Session, data: Any) -> Any:
        return data

    return app, rt


class Measured:
    """Puts the measuring paths in front of an application."""

    def __init__(self, app: Any, publish: dict[str, Publish], members: Callable[[], int]) -> None:
        self._app = app
        self._publish = publish
        self._members = members

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        answers = {"/publish": self._burst, "/memory": self._memory, "/members": self._count}
        answer = answers.get(scope.get("path", ""))
        if scope["type"] != "http" or answer is None:
            await self._app(scope, receive, send)
            return
        asked = {name: values[0] for name, values in parse_qs(scope["query_string"].decode()).items()}
        body = json.dumps(await answer(asked)).encode()
        length = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": length})
        await send({"type": "http.response.body", "body": body})

    async def _burst(self, asked: dict[str, str]) -> Any:
        publish = self._publish[asked["transport"]]
        pause = float(asked["pause"])
        gc.collect()  # so that no server pays here for what was made before
        cpu, wall = time.process_time(), time.perf_counter()
        for offset in range(1, int(asked["count"]) + 1):
            started = time.perf_counter()
            await publish(offset)
            if pause:
                # The readers get it in the next turn of the loop, or have it already. The next one must find the room
                # idle, however long that took on a busy machine: two that leave in one write would cost half.
                await asyncio.sleep(0)
                await asyncio.sleep(max(pause, 2 * (time.perf_counter() - started)))
        return {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}

    async def _memory(self, asked: dict[str, str]) -> Any:
        gc.collect()
        return psutil.Process().memory_full_info().uss

    async def _count(self, asked: dict[str, str]) -> Any:
        return self._members()


def _bare() -> Measured:
    bare = Bare()
    return Measured(bare, {"websocket": bare.publish, "sse": bare.publish_sse}, lambda: len(bare.members))


def _multitransport() -> Measured:
    app, rt = multitransport_app()

    async def publish(offset: int) -> None:
        await rt.publish(ROOM, "reading", READING)

    def members() -> int:
        running = app.extensions["multitransport"].running
        return sum(ROOM in client.rooms for client in running.node.sessions.values())

    return Measured(app, {"websocket": publish, "sse": publish}, members)


async def _serve(app: Any) -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    config = Config()
    config.bind = [f"fd://{listener.fileno()}"]
    config.errorlog = None
    config.backlog = 2048
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    print(listener.getsockname()[1], flush=True)
    serving = asyncio.create_task(serve(app, config, shutdown_trigger=stop.wait))
    await stop.wait()
    # Connections of a benchmark need no farewell.
    serving.cancel()
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(_serve({"bare": _bare, "multitransport": _multitransport}[sys.argv[1]]()))
