"""Fifty clients whose networks break again and again for a minute, over all transports: each hears everything once."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections import Counter
from collections.abc import Iterator

import pytest

from multitransport import TimedOut
from multitransport.client import Client, Publication, connect
from multitransport.testing.link import Direction
from multitransport.testing.proxy import FaultProxy
from tests.contracts.application import Application
from tests.contracts.cuts import ran_once, talk_through_cuts
from tests.contracts.served import Served, served
from tests.contracts.wires import TRANSPORTS

pytestmark = pytest.mark.faults

CLIENTS = 50
SECONDS = 60.0
CALM_SECONDS = 60.0
"""How long they may take to come back: as long as their backoff may be by then, and more."""


class Listener:
    """A client in the storm, and what it heard."""

    def __init__(self, client: Client, name: str) -> None:
        self.client = client
        self.name = name
        self.asked: list[str] = []
        self._room = client.join("log/storm")

    async def listen(self) -> None:
        """Hear every publication, from the first it hears to ``end``, and nothing else."""
        last = None
        while True:
            item = await anext(self._room)
            assert isinstance(item, Publication), (self.name, item)
            assert item.position is not None
            assert last is None or item.position.offset == last + 1, self.name
            last = item.position.offset
            if item.data == "end":
                return

    async def ask(self, until: float) -> None:
        """Make one request after the other, each of which must be answered."""
        for number in itertools.count():
            if asyncio.get_running_loop().time() > until:
                return
            question = f"{self.name}:{number}"
            self.asked.append(question)
            assert await self.client.request("echo", question, timeout=None) == question

    async def suffer(self, proxy: FaultProxy, chance: random.Random, until: float) -> None:
        """Break what there is, in one way and another."""
        while asyncio.get_running_loop().time() < until:
            await asyncio.sleep(chance.uniform(0.1, 3))
            direction: Direction = "up" if chance.random() < 0.5 else "down"
            match chance.randrange(5):
                case 0:
                    proxy.cut()
                case 1:
                    proxy.cut_after(chance.randrange(1, 2000), direction)
                case 2:
                    await proxy.refuse()
                    proxy.cut()
                    await asyncio.sleep(chance.uniform(0, 0.5))
                    await proxy.accept()
                case 3:
                    proxy.half_close(direction)
                case 4:
                    with contextlib.suppress(TimedOut):
                        await self.client.use(*chance.sample(TRANSPORTS, 2))


async def brave(way: Served, name: str, until: float) -> list[str]:
    """Live through the storm; return what was asked."""
    chance = random.Random(name)
    async with FaultProxy(way.url) as proxy, connect(proxy.url, transports=chance.sample(TRANSPORTS, 3)) as client:
        listener = Listener(client, name)
        listening = asyncio.create_task(listener.listen())
        await asyncio.gather(listener.suffer(proxy, chance, until), listener.ask(until))
        async with asyncio.timeout(CALM_SECONDS):
            await listening
        return listener.asked


async def test_nobody_loses_or_repeats_anything() -> None:
    async with served("hypercorn", Application(ping_seconds=2.0, grace_seconds=2.0)) as way:
        until = asyncio.get_running_loop().time() + SECONDS
        clients = [asyncio.create_task(brave(way, str(number), until)) for number in range(CLIENTS)]
        while asyncio.get_running_loop().time() < until:
            await way.application.publish("log/storm", "tick")
            await asyncio.sleep(0.1)
        # Who is away at this moment hears it when it is back.
        await way.application.publish("log/storm", "end")
        asked = list(itertools.chain(*await asyncio.gather(*clients)))
        assert len(asked) > 10 * CLIENTS
        assert Counter(way.application.ran) == Counter(asked), "each request ran once"


@pytest.mark.parametrize("direction", ["down", "up"])
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_no_byte_is_a_bad_place_to_cut(transport: str, direction: Direction) -> None:
    places = range(1, 1000 if direction == "down" else 600)
    async with served("hypercorn", Application()) as way:
        assert await talk_through_cuts(way, transport, direction, places) == len(places)
        assert ran_once(way, places)


@pytest.fixture(autouse=True)
def _nothing_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []
