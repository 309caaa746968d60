"""State rooms that are larger than one batch, and than one answer: told to their end on every way in."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import httpx
import pytest
from quart import Quart

from multitransport import MultiTransport, Session
from multitransport.testing.asgi import connect_asgi
from multitransport.testing.asgi_call import running
from multitransport.testing.asgi_http import AsgiTransport
from multitransport.testing.waiting import eventually
from tests.contracts.wires import TRANSPORTS

ROOM = "board"
URL = f"/realtime/rooms/{ROOM}"
KEYS = {f"key {number}" for number in range(40)}
SIZE = 40_000
"""All values together are more than a message may be, 1 MiB."""


@contextlib.asynccontextmanager
async def board() -> AsyncIterator[tuple[Quart, MultiTransport]]:
    """Serve a full state room."""
    app = Quart(__name__)
    app.secret_key = "of the tests"
    rt = MultiTransport(app)

    @rt.room(ROOM, mode="state", retention_bytes=4 << 20)
    async def join(client: Session) -> None:
        """Everybody may join."""

    async with running(app):
        for key in sorted(KEYS):
            await rt.publish(ROOM, "set", "x" * SIZE, key=key)
        yield app, rt


def browser(app: Quart) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=AsgiTransport(app), base_url="http://localhost")


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_client_gets_all_values_and_then_what_follows(transport: str) -> None:
    async with board() as (app, rt), connect_asgi(app, "/realtime", transport=transport) as client:
        room = await client.join(ROOM)
        await eventually(lambda: room.state.keys() == KEYS)
        await eventually(lambda: room.position is not None and room.position.offset == len(KEYS))
        await rt.publish(ROOM, "set", "new", key="key 0")
        await eventually(lambda: room.state["key 0"] == "new")


async def test_the_room_by_its_url_as_json_is_whole() -> None:
    async with (
        board() as (app, _),
        browser(app) as http,
    ):
        answer = await http.get(URL, headers={"Accept": "application/json"})
        assert {each["data"]["key"] for each in answer.json()["publications"]} == KEYS
        assert answer.json()["position"].endswith(f":{len(KEYS)}")


async def test_only_the_end_of_a_pass_is_a_place_to_come_back_to() -> None:
    async with (
        board() as (app, _),
        browser(app) as http,
        http.stream("GET", URL) as answer,
        asyncio.timeout(10),
    ):
        ids, values = [], 0
        async for line in answer.aiter_lines():
            values += line.startswith("data: ")
            if line.startswith("id: "):
                ids.append((values, line.rpartition(":")[2]))
                if values == len(KEYS):
                    break
        assert ids == [(0, "0"), (len(KEYS), str(len(KEYS)))]
