"""The Python client under what breaks and what it is told to change, while it is talked to."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import AsyncIterator, Iterator

import pytest

from multitransport import OutcomeUnknown
from multitransport.client import Client, Publication, connect
from multitransport.testing.proxy import FaultProxy
from multitransport.testing.waiting import eventually
from tests.contracts.application import Application
from tests.contracts.served import Served, served
from tests.contracts.wires import TRANSPORTS

PAIRS = list(itertools.permutations(TRANSPORTS, 2))


@pytest.fixture(autouse=True)
def _nothing_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


@contextlib.asynccontextmanager
async def talking(way: Served) -> AsyncIterator[None]:
    """Publish one number after another into ``log/a``, and at the end ``end``."""

    async def talk() -> None:
        for number in itertools.count():
            await way.application.publish("log/a", number)
            await asyncio.sleep(0.002)

    task = asyncio.create_task(talk())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await way.application.publish("log/a", "end")


async def heard_everything(client: Client) -> None:
    """Hear the room out, from the position it was joined at."""
    room = client.join("log/a")
    last = None
    while True:
        item = await anext(room)
        assert isinstance(item, Publication), item
        assert item.position is not None
        assert last is None or item.position.offset == last + 1
        last = item.position.offset
        if item.data == "end":
            return


@pytest.mark.parametrize(("former", "later"), PAIRS)
async def test_switching_back_and_forth(former: str, later: str) -> None:
    async with served("hypercorn", Application()) as way:
        async with connect(way.url, transports=[former, later]) as client:
            hearing = asyncio.create_task(heard_everything(client))
            session_id = client.session_id
            async with talking(way):
                for number, name in enumerate((later, former, later)):
                    await client.use(name)
                    assert client.transport == name
                    assert await client.request("echo", number) == number
            await hearing
            assert client.session_id == session_id
        assert way.application.ran == [0, 1, 2]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_cut_again_and_again(transport: str) -> None:
    async with (
        served("hypercorn", Application()) as way,
        FaultProxy(way.url) as proxy,
        connect(proxy.url, transports=[transport]) as client,
    ):
        hearing = asyncio.create_task(heard_everything(client))
        async with talking(way):
            for number in range(4):
                asked = asyncio.create_task(client.request("echo", number))
                await asyncio.sleep(0)
                proxy.cut()
                assert await asked == number
        await hearing
        assert way.application.ran == [0, 1, 2, 3]


async def test_a_server_that_forgot_the_session_is_told_from_one_that_did_not() -> None:
    application = Application()
    async with served("hypercorn", application) as way, FaultProxy(way.url) as proxy, connect(proxy.url) as client:
        room = await client.join("log/a")
        await application.publish("log/a", 1)
        assert isinstance(await anext(room), Publication)
        asked = asyncio.create_task(client.request("wait", "lost"))
        (session,) = application.node.sessions.values()
        await eventually(lambda: session.record.inbox.claimed == 2)
        application.node.sessions.remove(session)
        assert await application.node._store.end(session.session_id)
        proxy.cut()
        with pytest.raises(OutcomeUnknown):
            await asked
        assert await client.request("echo", "again") == "again"
        assert client.session_id != session.session_id
        await application.publish("log/a", 2)
        item = await anext(room)
        assert isinstance(item, Publication)
        assert item.data == 2, "the room goes on where it was"
        application.gate.set()
