"""Three browser tabs, by hand: a session on each transport, joined to the hall, waiting."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from typing import Any

import httpx
import websockets

from multitransport.testing.waiting import eventually

__all__ = ["hello", "open_tabs"]

Frame = list[Any]
NDJSON = {"Content-Type": "application/x-ndjson"}


def hello(attach: int, **options: Any) -> str:
    """Return a hello that joins the hall."""
    return json.dumps(["hello", {"v": 1, "attach": attach, "rooms": {"hall": {}}, **options}])


async def read_websocket(url: str, opened: asyncio.Event) -> list[Frame]:
    """Return all frames until the server closes."""
    frames: list[Frame] = []
    async with websockets.connect(url.replace("http", "ws") + "/websocket") as socket:
        await socket.send(hello(1, new=secrets.token_urlsafe(16)))
        with suppress(websockets.ConnectionClosed):
            while True:
                frames += [json.loads(line) for line in (await socket.recv(decode=True)).split("\n")]
                if frames[-1][0] == "pub":
                    opened.set()
        if frames[-1][0] == "close":
            assert socket.close_code == frames[-1][1]
    return frames


async def read_sse(client: httpx.AsyncClient, url: str, opened: asyncio.Event) -> list[Frame]:
    """Return all frames until the server ends the stream."""
    frames: list[Frame] = []
    body = hello(1, new=secrets.token_urlsafe(16))
    async with client.stream("POST", f"{url}/sse", content=body, headers=NDJSON) as response:
        async for line in response.aiter_lines():
            if line.startswith("data:"):
                frames.append(json.loads(line.removeprefix("data:")))
                if frames[-1][0] == "pub":
                    opened.set()
    return frames


async def read_poll(
    client: httpx.AsyncClient, beside: httpx.AsyncClient, url: str, opened: asyncio.Event
) -> list[Frame]:
    """Return all frames of a poll that brings what there is, and of a second one that is held."""
    new = secrets.token_urlsafe(16)
    first = await client.post(f"{url}/poll", content=hello(1, new=new), headers=NDJSON)
    frames: list[Frame] = [json.loads(line) for line in first.text.splitlines()]
    epoch = next(frame[3] for frame in frames if frame[0] == "joined")[0]
    offset = next(frame[2] for frame in frames if frame[0] == "pub")
    body = hello(2, new=new, token=frames[0][1]["token"], rooms={"hall": {"position": [epoch, offset]}})
    polling = asyncio.create_task(client.post(f"{url}/poll", content=body, headers=NDJSON))

    async def is_held() -> bool:
        # The server takes a send of the second attach only once it has the poll. Another worker knows no such session.
        sent = await beside.post(f"{url}/send", content=hello(2, new=new, token=frames[0][1]["token"]), headers=NDJSON)
        return sent.status_code in (HTTPStatus.OK, HTTPStatus.GONE)

    await eventually(is_held)
    opened.set()
    second = await polling
    return frames + [json.loads(line) for line in second.text.splitlines()]


@asynccontextmanager
async def open_tabs(url: str) -> AsyncIterator[dict[str, asyncio.Task[list[Frame]]]]:
    """Give a task for each transport that ends, with its frames, when the server has let go of it."""
    # A client each, so that the second poll comes over the connection of the first: to the same of several workers.
    async with httpx.AsyncClient(timeout=30) as sse_client, httpx.AsyncClient(timeout=30) as poll_client:
        opened = {name: asyncio.Event() for name in ("websocket", "sse", "poll")}
        tabs = {
            "websocket": asyncio.create_task(read_websocket(url, opened["websocket"])),
            "sse": asyncio.create_task(read_sse(sse_client, url, opened["sse"])),
            "poll": asyncio.create_task(read_poll(poll_client, sse_client, url, opened["poll"])),
        }
        try:
            async with asyncio.timeout(10):
                for event in opened.values():
                    await event.wait()
            yield tabs
        finally:
            for tab in tabs.values():
                tab.cancel()
            await asyncio.gather(*tabs.values(), return_exceptions=True)
