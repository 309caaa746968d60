"""A hundred thousand questions that nobody answers: nothing of them stays."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter

import pytest

from multitransport.errors import TimedOut
from multitransport.node.asks import Answers
from multitransport.node.session import Session
from tests.simulated import simulated
from tests.unit.node.site import Site

pytestmark = pytest.mark.faults

ROUNDS = 2000
AT_ONCE = 50


def objects() -> Counter[str]:
    """Count what the collector knows, by type."""
    gc.collect()
    return Counter(f"{type(each).__module__}.{type(each).__qualname__}" for each in gc.get_objects())


async def ask(site: Site, clients: list[Session], rounds: int) -> None:
    """Ask one session many things at once, then a whole room, again and again."""
    one, verbs = clients[0], site.node.verbs
    for _ in range(rounds):
        asked = await asyncio.gather(
            *(one.request("are you there", number, timeout=5) for number in range(AT_ONCE)), return_exceptions=True
        )
        assert {type(each) for each in asked} == {TimedOut}
        answers = await verbs.request_all("team", "is anybody there", None, 5)
        assert answers == Answers({}, {}, [client.session_id for client in clients])


@simulated
async def test_questions_that_time_out_leave_nothing() -> None:
    site = Site(ping_seconds=1e9, grace_seconds=1e9, hello_seconds=1e9)

    @site.declared.room("team")
    async def team(client: Session) -> None:
        """Everybody may join."""

    async with site:
        attachments = [await site.attach(new=f"{number:022}", rooms={"team": {}}) for number in range(5)]
        await asyncio.sleep(1)
        clients = [site.client(each) for each in attachments]
        await ask(site, clients, 10)
        before, tasks = objects(), len(asyncio.all_tasks())
        await ask(site, clients, ROUNDS)
        after = objects()
        grown = {name: count - before[name] for name, count in after.items() if count > before[name]}
        # What stayed of each question, or of each round, would be thousands.
        assert all(more <= ROUNDS // 10 for more in grown.values()), grown
        assert len(asyncio.all_tasks()) == tasks
        assert len(site.node.verbs.asks) == 0
