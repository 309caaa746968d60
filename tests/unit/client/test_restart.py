"""A server that is killed, and what its clients can still promise."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from multitransport.client import Gap, Publication, Room, connect
from multitransport.errors import OutcomeUnknown
from multitransport.testing.server import ServerProcess
from multitransport.testing.waiting import eventually

APP = f"{Path(__file__).parent / 'restarted.py'}:app"
ROOT = Path(__file__).parents[3]


@pytest.fixture
async def server() -> AsyncIterator[ServerProcess]:
    async with ServerProcess(APP, environment={"PYTHONPATH": str(ROOT)}) as process:
        yield process


async def following(room: Room) -> object:
    item = await asyncio.wait_for(anext(room), 10)
    return item.data if isinstance(item, Publication) else item


@pytest.mark.parametrize("transport", ["websocket", "sse", "poll"])
async def test_nothing_is_lost_in_silence(server: ServerProcess, transport: str) -> None:
    async with connect(f"{server.url}/realtime", transports=(transport,)) as client:
        room = await client.join("r")
        await client.send("tell", 1)
        assert await following(room) == 1
        running = asyncio.create_task(client.request("slow", 30))
        assert await following(room) == "slow begins"
        session_id = client.session_id

        await server.kill()
        await eventually(lambda: client.status == "reconnecting")
        waiting = asyncio.create_task(client.send("tell", 2))
        await server.start()

        with pytest.raises(OutcomeUnknown):
            await asyncio.wait_for(running, 10)
        await asyncio.wait_for(waiting, 10)
        gap = await following(room)
        assert isinstance(gap, Gap)
        assert gap.lost is None
        assert await following(room) == 2
        assert client.session_id != session_id
