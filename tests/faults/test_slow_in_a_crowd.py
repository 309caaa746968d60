"""In each of three rooms with the same thousand members one stops reading for a minute: the others do not notice, the
server keeps nothing for it, and it is told the truth afterwards.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import socket
import sys
from collections.abc import AsyncIterator
from statistics import median
from typing import Any

import httpx
import pytest
import websockets

from multitransport.testing.server import ServerProcess
from tests.faults import crowded_app
from tests.faults.crowd import Crowd, crowd

pytestmark = [pytest.mark.faults, pytest.mark.alone]

MEMBERS = 1000
BESIDE_SECONDS = 60
ALONE_SECONDS = 15
WINDOW_SECONDS = 3
"""The median of so many seconds each is compared: what else a machine does comes in bursts."""

MAY_SLOW_DOWN = 1.5
MAY_GROW_KILOBYTES = 3 * 160
"""The rooms are full before it is measured. For each slow one there is what the socket buffers in the process: the mark
at which writing waits and a batch, both 64 KiB. In a minute each room says 800 KiB: to keep that for one would be seen.
"""
TRIES = 3
"""A machine that is busy with something else may spoil one."""


class Slow:
    """A client that reads when it is asked to, and over a connection that takes next to nothing otherwise."""

    def __init__(self, connection: websockets.ClientConnection) -> None:
        self.joined_at = 0
        self._connection = connection
        self._frames: list[list[Any]] = []

    async def next(self) -> list[Any]:
        """Return the next frame."""
        while not self._frames:
            message = await asyncio.wait_for(self._connection.recv(decode=True), 10)
            self._frames = [json.loads(line) for line in message.split("\n")]
        return self._frames.pop(0)

    async def until(self, kind: str) -> list[Any]:
        """Return the next frame of this kind."""
        while (frame := await self.next())[0] != kind:
            pass
        return frame


@contextlib.asynccontextmanager
async def slow_member(port: int, room: str) -> AsyncIterator[Slow]:
    """Join a room, and read no further than that."""
    sock = socket.socket()
    # Before it is connected: the window is agreed on then.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(("127.0.0.1", port))
    url = f"ws://127.0.0.1:{port}/realtime/websocket"
    async with websockets.connect(url, sock=sock, compression=None, ping_interval=None, max_queue=1) as connection:
        hello = {"v": 1, "new": secrets.token_urlsafe(16), "attach": 1, "rooms": {room: {}, "ballast": {}}}
        await connection.send(json.dumps(["hello", hello]))
        slow = Slow(connection)
        while (joined := await slow.until("joined"))[2] != room:
            pass
        slow.joined_at = joined[3][1]
        await connection.send('["pong",0]')
        yield slow


async def skipped(slow: Slow, said: int) -> str:
    """Read to the end: it hears everything, but for what a gap counts."""
    expected, seen, lost = slow.joined_at + 1, 0, 0
    while expected <= said:
        match await slow.next():
            case ["gap", "skip", _, int(count)]:
                lost += count
                expected += count
            case ["pub", "skip", int(offset), _, {"number": number}]:
                assert offset == number == expected
                expected += 1
                seen += 1
    assert lost > 0
    return f"{seen} seen, {lost} told as lost"


async def conflated(slow: Slow, said: int) -> str:
    """Read to the end: of each key it hears the newest."""
    newest: dict[str, int] = {}
    seen = 0
    while sorted(newest.values()) != list(range(said - crowded_app.KEYS + 1, said + 1)):
        match await slow.next():
            case ["gap", "conflate", *_]:
                raise AssertionError("nothing was deleted")
            case ["pub", "conflate", _, _, {"number": number}, {"key": key}]:
                assert number > newest.get(key, 0)
                newest[key] = number
                seen += 1
    assert seen < said - slow.joined_at
    return f"{seen} of {said - slow.joined_at} seen, the newest of each key among them"


async def disconnected(slow: Slow, said: int) -> str:
    """Read to the end, which is a close."""
    close = await slow.until("close")
    assert close[1] == 3009
    with pytest.raises(websockets.ConnectionClosed):
        await slow.next()
    return "closed with 3009"


ENDINGS = {"skip": skipped, "conflate": conflated, "disconnect": disconnected}


async def p99_seconds(members: Crowd, seconds: float) -> list[float]:
    """Return the 99th percentile of each so many seconds."""
    found = []
    members.forget()
    for _ in range(round(seconds / WINDOW_SECONDS)):
        await asyncio.sleep(WINDOW_SECONDS)
        found.append(members.percentile(99))
    return found


async def one_try(port: int, http: httpx.AsyncClient, members: Crowd) -> float:
    """Measure without, with and without slow readers, and see what becomes of them; return how much slower it was."""
    await http.post("/talk")
    await asyncio.sleep(1.2 * crowded_app.COUNT * crowded_app.PAUSE_SECONDS)
    alone = await p99_seconds(members, ALONE_SECONDS)
    async with contextlib.AsyncExitStack() as stack:
        slow = {room: await stack.enter_async_context(slow_member(port, room)) for room in ENDINGS}
        await asyncio.sleep(1)
        there = (await http.get("/inside")).json()
        assert there["members"] == dict.fromkeys(ENDINGS, MEMBERS + 1)
        beside = await p99_seconds(members, BESIDE_SECONDS)
        grown = (await http.get("/inside")).json()["kilobytes"] - there["kilobytes"]
        said = (await http.delete("/talk")).json()
        told = {room: await ends(slow[room], said[room]) for room, ends in ENDINGS.items()}
    await http.post("/talk")
    await asyncio.sleep(1)
    alone += await p99_seconds(members, ALONE_SECONDS)
    await http.delete("/talk")
    without, with_them = median(alone), median(beside)
    print(
        f"\np99 of {MEMBERS} members {without * 1e3:.1f} ms alone, {with_them * 1e3:.1f} ms beside them: "
        f"{with_them / without:.2f} x; memory {grown:+} KiB; the slow ones: {told}"
    )
    assert grown <= MAY_GROW_KILOBYTES
    return with_them / without


async def test_a_crowd_does_not_notice_those_that_do_not_read() -> None:
    command = (sys.executable, "-m", "hypercorn")
    async with ServerProcess("tests.faults.crowded_app:app", command=command) as server:
        async with httpx.AsyncClient(base_url=server.url) as http, crowd(server.port, [*ENDINGS], MEMBERS) as members:
            ratios = [await one_try(server.port, http, members)]
            while ratios[-1] > MAY_SLOW_DOWN and len(ratios) < TRIES:
                ratios.append(await one_try(server.port, http, members))
        assert ratios[-1] <= MAY_SLOW_DOWN, ratios
        assert "Traceback" not in server.output, server.output
