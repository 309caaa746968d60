"""Thousands of sessions come and go, many without a word: nothing of them stays."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys

import httpx
import pytest

from multitransport.testing.server import ServerProcess
from multitransport.testing.waiting import eventually
from tests.contracts.application import Application
from tests.contracts.raw import Stalled
from tests.contracts.served import Served
from tests.contracts.wires import TRANSPORTS, Closed, wire

pytestmark = pytest.mark.faults

AT_ONCE = 20
ROUND = 1000
ROUNDS = 3
MAY_GROW = 1.08


async def live(way: Served, turn: asyncio.Semaphore, chance: random.Random) -> None:
    """Be a session for a moment."""
    async with turn, wire(chance.choice(TRANSPORTS), way) as one:
        await one.open(rooms={f"log/{chance.randrange(5)}": {}, "nowhere": {}})
        await one.say(["send", 1, "echo", "x" * chance.randrange(2000)], ["join", 2, f"short/{chance.randrange(5)}"])
        await one.outcome(2)
        ending = chance.random()
        if ending < 0.25:
            await one.say(["bye"])
        elif ending < 0.5:
            async with wire(chance.choice(TRANSPORTS), way) as other:
                await other.takes_over(one).open()
                await other.say(["publish", 3, next(iter(one.positions)), "said", 1])
        elif ending < 0.6:
            with contextlib.suppress(Closed):
                await one.say('["send"')
        elif ending < 0.7:
            ghost = Stalled(way.url)
            await ghost.open(chance.choice(TRANSPORTS), "log/0")
            ghost.close()


async def settled(http: httpx.AsyncClient) -> dict[str, int]:
    """Wait until only rooms are left, and return what there is."""
    counts: dict[str, int] = {}

    async def empty() -> bool:
        counts.update((await http.get("/inside")).json())
        return not any(counts[name] for name in ("sessions", "records", "attachments", "cursors", "timers"))

    await eventually(empty, 30)
    return counts


async def test_nothing_stays_of_sessions_that_came_and_went() -> None:
    chance = random.Random(7)
    async with ServerProcess("tests.faults.churned_app:app", command=(sys.executable, "-m", "hypercorn")) as server:
        way = Served(Application(), f"{server.url}/realtime", None)
        turn = asyncio.Semaphore(AT_ONCE)
        seen = []
        async with way.http, httpx.AsyncClient(base_url=server.url, verify=False) as http:
            for _ in range(1 + ROUNDS):
                await asyncio.gather(*(live(way, turn, chance) for _ in range(ROUND)))
                seen.append(await settled(http))
        warm, *_, last = seen
        assert last["tasks"] <= warm["tasks"], seen
        assert last["own tasks"] <= warm["own tasks"], seen
        assert last["kilobytes"] <= warm["kilobytes"] * MAY_GROW, seen
        assert "Traceback" not in server.output, server.output
