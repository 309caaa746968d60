"""A client whose node is about to stop goes on elsewhere before it lets go."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from multitransport.client import Client, Publication, connect
from multitransport.testing.proxy import FaultProxy
from multitransport.testing.waiting import eventually
from tests.unit.client.served import Served, served

STREAMS = ("websocket", "sse")


@pytest.fixture
async def app() -> AsyncIterator[Served]:
    async with served() as running:
        yield running


@pytest.fixture
async def proxy(app: Served) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(app.url) as between:
        yield between


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """What the client says of its transports."""
    caplog.set_level(logging.DEBUG, "multitransport.client")
    return caplog


def lost(log: pytest.LogCaptureFixture) -> bool:
    """Tell whether the client was without a transport for a moment."""
    return "transport ended" in log.text


async def moved(client: Client, times: int = 1) -> None:
    await eventually(lambda: client.reconnects == times)


@pytest.mark.parametrize("transport", STREAMS)
async def test_it_moves_under_load_and_nothing_is_lost_or_repeated(
    app: Served, log: pytest.LogCaptureFixture, transport: str
) -> None:
    async def publish() -> None:
        for number in range(200):
            await app.publish(number)
            await asyncio.sleep(0.001)

    async with connect(app.url, transports=(transport,)) as client:
        room = await client.join("chat/1")
        publishing = asyncio.create_task(publish())
        for number in (1, 2, 3):
            request = asyncio.create_task(client.request("echo", number))
            await client.send("leaving")
            await moved(client, number)
            assert await request == number
        await publishing
        items = [await asyncio.wait_for(anext(room), 5) for _ in range(200)]
        assert [item.data for item in items if isinstance(item, Publication)] == list(range(200))
        assert app.runs == [1, 2, 3]
        assert client.transport == transport
        assert not lost(log)


async def test_it_tries_again_while_no_other_node_takes_it(proxy: FaultProxy, log: pytest.LogCaptureFixture) -> None:
    async with connect(proxy.url, transports=("websocket",)) as client:
        await proxy.refuse()
        await client.send("leaving")
        await asyncio.sleep(1.0)  # a few tries, none of which costs what it has
        assert await client.request("echo", 1) == 1
        assert client.reconnects == 0
        await proxy.accept()
        await moved(client)
        assert await client.request("echo", 2) == 2
        assert not lost(log)


async def test_who_is_closed_before_another_node_takes_it_connects_again(app: Served, proxy: FaultProxy) -> None:
    async with connect(proxy.url, transports=("websocket",)) as client:
        await proxy.refuse()
        await client.send("leaving")
        proxy.cut()
        await eventually(lambda: client.status == "reconnecting")
        await proxy.accept()
        assert await client.request("echo", 1) == 1


async def test_who_polls_simply_polls_on(app: Served, log: pytest.LogCaptureFixture) -> None:
    async with connect(app.url, transports=("poll",)) as client:
        await client.send("leaving")
        assert await client.request("echo", 1) == 1
        assert (client.transport, client.reconnects) == ("poll", 0)
        assert not lost(log)


async def test_on_a_lesser_transport_it_moves_with_that(proxy: FaultProxy, log: pytest.LogCaptureFixture) -> None:
    proxy.websocket = "block"
    async with connect(proxy.url) as client:
        assert client.transport == "sse"
        blocked = proxy.blocked_handshakes
        log.clear()
        await client.send("leaving")
        await moved(client)
        assert client.transport == "sse"
        assert proxy.blocked_handshakes == blocked
        assert not lost(log)
