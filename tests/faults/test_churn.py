"""Thousands of sessions come and go, many without a word: nothing of them stays."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
from typing import Any

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
WARM = 4000
"""Sessions that fill what rooms keep, and the allocator's pools."""

SESSIONS = 10_000
MAY_GROW = 1.05
USERS = 40
GONE = ("sessions", "records", "attachments", "cursors", "readers", "timers", "members", "asked", "feeds")
"""What there is none of without sessions."""

STAYS = ("rooms", "own tasks", "tasks")
"""Of what there is as much as before."""


async def live(way: Served, turn: asyncio.Semaphore, chance: random.Random) -> None:
    """Be a session for a moment."""
    user = {"Authorization": f"Bearer user {chance.randrange(USERS)}"} if chance.random() < 0.98 else {}
    async with turn, wire(chance.choice(TRANSPORTS), way, headers=user) as one:
        rooms: dict[str, Any] = {f"log/{chance.randrange(5)}": {}, f"team/{chance.randrange(3)}": {}, "nowhere": {}}
        await one.open(rooms=rooms)
        await one.say(
            ["send", 1, "echo", "x" * chance.randrange(2000)],
            ["join", 2, f"small/{chance.randrange(3)}", {"max_rate": chance.choice([1, 100])}],
            ["join", 3, f"short/{chance.randrange(5)}"],
            ["presence", 4, list(rooms)[1], chance.randrange(100)],
        )
        await one.outcome(3)
        small = next(room for room in one.positions if room.startswith("small/"))
        ending = chance.random()
        if ending < 0.25:
            await one.say(["bye"])
        elif ending < 0.5:
            async with wire(chance.choice(TRANSPORTS), way, headers=user) as other:
                await other.takes_over(one).open()
                await other.say(["publish", 5, small, "said", 1, {"key": "key 0"}], ["leave", 6, list(rooms)[1]])
        elif ending < 0.6:
            with contextlib.suppress(Closed):
                await one.say('["send"')
        elif ending < 0.7:
            ghost = Stalled(way.url)
            await ghost.open(chance.choice(TRANSPORTS), "log/0")
            ghost.close()
        elif ending < 0.8:
            end = {"key": f"key {chance.randrange(3)}", "deleted": chance.random() < 0.5}
            await one.say(["publish", 5, small, "said", None, end])


async def settled(http: httpx.AsyncClient) -> dict[str, int]:
    """Wait until only rooms are left, and return what there is."""
    counts: dict[str, int] = {}

    async def empty() -> bool:
        counts.update((await http.get("/inside")).json())
        return not any(counts[name] for name in GONE)

    try:
        await eventually(empty, 60)
    except AssertionError as error:
        error.add_note(str(counts))
        raise
    return counts


async def test_nothing_stays_of_sessions_that_came_and_went() -> None:
    chance = random.Random(7)
    async with ServerProcess("tests.faults.churned_app:app", command=(sys.executable, "-m", "hypercorn")) as server:
        way = Served(Application(), f"{server.url}/realtime", None)
        turn = asyncio.Semaphore(AT_ONCE)
        seen = []
        async with way.http, httpx.AsyncClient(base_url=server.url, verify=False) as http:
            for count in (WARM, SESSIONS):
                await asyncio.gather(*(live(way, turn, chance) for _ in range(count)))
                seen.append(await settled(http))
        warm, last = seen
        for name in STAYS:
            assert last[name] <= warm[name], (name, seen)
        for name in ("objects", "kilobytes"):
            print(f"{name}: {warm[name]} -> {last[name]}, {last[name] / warm[name]:.3f} x", end="; ")
            assert last[name] <= warm[name] * MAY_GROW, (name, seen)
        assert "Traceback" not in server.output, server.output
