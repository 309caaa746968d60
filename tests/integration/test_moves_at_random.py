"""Clients that walk from node to node at random, while nodes stop and die and requests are lost."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from contextlib import AsyncExitStack
from typing import NamedTuple

import pytest

from multitransport.client import backoff
from multitransport.testing.waiting import eventually
from tests.integration.walking import Faults, House, Run, Stroller, Town
from tests.redis_server import RedisServer


class Plan(NamedTuple):
    """What happens on a walk."""

    faults: Faults = Faults()
    transports: tuple[str, ...] = ("poll", "poll")
    stops: int = 0
    kills: int = 0
    frozen: int = 0
    blinks: int = 0
    steps: int = 80


_BROKEN = Faults(lost_requests=0.03, lost_answers=0.05, doubled=0.08, left_early=0.05, lost_words=0.05, slow_steps=0.1)
_STORM = Faults(lost_requests=0.05, lost_answers=0.1, doubled=0.2, left_early=0.15, lost_words=0.3, slow_steps=0.4)

PLANS = {
    "quick": Plan(_BROKEN._replace(lost_words=0.0), ("poll", "sse"), stops=1),
    "quiet": Plan(),
    "slow": Plan(Faults(slow_steps=0.3)),
    "broken": Plan(_BROKEN),
    "stops": Plan(Faults(doubled=0.1), stops=2),
    "broken-stops": Plan(_BROKEN, stops=2),
    "kills": Plan(kills=2),
    "all": Plan(_BROKEN, ("poll", "sse"), stops=1, kills=1, frozen=1),
    "blinks": Plan(_BROKEN, blinks=3),
    "storm": Plan(_STORM, ("poll", "poll", "sse"), stops=2, blinks=1, steps=120),
    "storm-kills": Plan(_STORM, ("poll", "poll"), kills=1, frozen=1, steps=120),
    "sse": Plan(_BROKEN, ("sse", "sse"), stops=1),
}

_WAITED_SECONDS = 5.0
"""How long what follows lost frames waits for them."""


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "BACKOFF_CAP_SECONDS", 0.5)


async def walk(redis: RedisServer, seed: int, plan: Plan) -> None:
    async with Town(redis, seed, plan.faults) as town, AsyncExitStack() as stack:
        for _ in range(4):
            await town.build()
        keeper = town.houses[3]
        keeper.in_service = False
        strollers = [Stroller(town, f"{name}{n}", name) for n, name in enumerate(plan.transports)]
        for stroller in strollers:
            await stack.enter_async_context(stroller)
        published = await _stroll(town, keeper, strollers, plan)
        town.calm = True
        await _all_told(strollers, 30.0 if plan.kills or plan.frozen else 15.0)
        _check_runs(town, strollers, plan)
        await _check_rooms(town, strollers, published)
        await _check_records(town, strollers)
        for stroller in strollers:
            await stroller.client.close()
        await _check_nothing_is_left(town)


async def _stroll(town: Town, keeper: House, strollers: list[Stroller], plan: Plan) -> int:
    """Do one thing after another; return how many numbers were published."""
    chance, published = town.chance, 0
    troubles = ["stop"] * plan.stops + ["kill"] * plan.kills + ["freeze"] * plan.frozen + ["blink"] * plan.blinks
    due = {chance.randrange(plan.steps // 8, plan.steps): trouble for trouble in troubles}
    for step in range(plan.steps):
        stroller = chance.choice(strollers)
        if len([each for each in stroller.asked if not each.outcome.done()]) < 40:
            match chance.choice(("ask", "ask", "ask", "ask", "stroll", "publish")):
                case "ask":
                    event = chance.choice(("once", "again", "beside", "noted"))
                    stroller.ask(event, chance.choice((0.0, 0.0, 0.0, 0.01, 0.05, 0.3)))
                case "stroll":
                    stroller.stroll()
                case _:
                    stroller.ask("publish", 0.0)
        if chance.random() < 0.5:
            await keeper.rt.publish("log", "number", published)
            published += 1
        if step in due:
            town.own(_trouble(town, due[step], stroller))
        await asyncio.sleep(chance.choice((0.0, 0.0, 0.02, 0.05)))
    return published


async def _trouble(town: Town, kind: str, stroller: Stroller) -> None:
    if kind == "blink":
        await town.blink()
        return
    house = town.chance.choice(town.open)
    if kind == "freeze":
        stroller.ask("frozen", 0.0)
        await eventually(lambda: [run for run in town.runs[stroller.name] if run.event == "frozen"], 30.0)
        house = town.houses[[run for run in town.runs[stroller.name] if run.event == "frozen"][-1].node]
        kind = town.chance.choice(("stop", "kill"))
    building = town.own(town.build())
    if town.chance.random() < 0.5:
        await building
    if not house.in_service:
        return
    await (town.kill(house) if kind == "kill" else town.stop(house))


async def _all_told(strollers: list[Stroller], seconds: float) -> None:
    waiting = {each.outcome for stroller in strollers for each in stroller.asked}
    _, late = await asyncio.wait(waiting, timeout=seconds)
    if late:
        stuck = [
            (stroller.name, each.number, each.event)
            for stroller in strollers
            for each in stroller.asked
            if each.outcome in late
        ]
        state = [
            (house.number, client.session_id, client.state, client.jobs, client.record.holders, client.record.inbox)
            for house in strollers[0].town.houses
            if not house.dead.is_set()
            for client in house.node.sessions.values()
        ]
        raise AssertionError(f"never told: {stuck}; {state}")


def _check_runs(town: Town, strollers: list[Stroller], plan: Plan) -> None:
    for stroller in strollers:
        name, runs = stroller.name, town.runs[stroller.name]
        assert stroller.client.session_id == stroller.session_id, "it has lost its session"
        counts = Counter(run.asked for run in runs)
        for asked in stroller.asked:
            outcome, count = asked.outcome.result(), counts[asked.number]
            told = f"{name} {asked.number} {asked.event} {outcome}: {[r for r in runs if r.asked == asked.number]}"
            if asked.event not in ("join", "leave"):
                assert count <= 1 or asked.event == "again", f"ran twice: {told}"
                assert count or outcome != "ok", f"never ran: {told}"
            cut = [run for run in runs if run.asked == asked.number and run.node in town.stopped]
            if town.killed or cut:
                assert outcome in ("ok", "outcome_unknown", "not_joined"), told
            else:
                assert outcome == "ok", told
            if outcome == "outcome_unknown" and not cut:
                assert any(asked.at - 0.1 <= at for _, at in town.killed), told
        _check_order(town, stroller, plan)


def _check_order(town: Town, stroller: Stroller, plan: Plan) -> None:
    """What was lost or given back may be overtaken after it was waited for, all else never."""
    killed = {number for number, _ in town.killed}
    disturbed = plan.kills or plan.stops or plan.frozen
    began: dict[int, Run] = {}
    for run in town.runs[stroller.name]:
        if run.event == "beside" or run.asked in began or run.node in killed:
            continue
        due = stroller.asked[run.asked - 1].at + _WAITED_SECONDS
        later = [each for each in began.values() if each.asked > run.asked and not (disturbed and each.began >= due)]
        assert not later, f"{stroller.name}: {run} after {later}"
        began[run.asked] = run


async def _check_rooms(town: Town, strollers: list[Stroller], published: int) -> None:
    said = {
        (stroller.name, each.number)
        for stroller in strollers
        for each in stroller.asked
        if each.event == "publish" and each.outcome.result() == "ok"
    }
    for stroller in strollers:
        heard, numbers = stroller.heard, list(range(published))
        with contextlib.suppress(AssertionError):  # the next ones say more
            await eventually(lambda: len(heard) >= published + len(said), 10.0)  # noqa: B023
        first = min([each for each in heard if isinstance(each, int)], default=0)
        assert stroller.gaps == []
        assert [each for each in heard if isinstance(each, int)] == numbers[first:]
        told = Counter((each["who"], each["asked"]) for each in heard if not isinstance(each, int))
        assert max(told.values(), default=1) == 1, told
        assert said - told.keys() == set(), (stroller.name, said - told.keys())


async def _check_records(town: Town, strollers: list[Stroller]) -> None:
    async def is_settled(session_id: str) -> bool:
        record = await town.houses[3].node._store.settle(session_id)
        assert record is not None
        return not record.holders and record.inbox.processed == record.inbox.claimed

    for stroller in strollers:
        assert stroller.session_id is not None
        session_id = stroller.session_id
        await eventually(lambda: is_settled(session_id), 5.0)  # noqa: B023


async def _check_nothing_is_left(town: Town) -> None:
    def left() -> list[object]:
        return [
            (house.number, each)
            for house in town.houses
            if not house.dead.is_set()
            for each in (
                *house.node.sessions.values(),
                *house.node._moves._leaving.items(),
                *house.node._moves._watches._watched.items(),
                *house.node._store._speaking.mirrors.items(),  # type: ignore[attr-defined]
            )
        ]

    loop = asyncio.get_running_loop()
    until = loop.time() + 25.0
    while left():
        assert loop.time() < until, f"left: {left()}"
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_a_walk(seed: int, redis: RedisServer) -> None:
    await walk(redis, seed, PLANS["quick"])


@pytest.mark.faults
@pytest.mark.timeout(900)
@pytest.mark.parametrize("plan", PLANS)
async def test_many_walks(plan: str) -> None:
    for seed in range(3):
        async with RedisServer() as redis:
            await walk(redis, seed, PLANS[plan])
