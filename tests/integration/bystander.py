"""A session beside one that misbehaves."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable
from typing import Any

from tests.contracts.application import Application
from tests.contracts.served import Served, served
from tests.contracts.wires import Closed, Wire, wire

__all__ = ["close_code", "served_beside_another"]


@contextlib.asynccontextmanager
async def served_beside_another(**settings: Any) -> AsyncIterator[Served]:
    """Serve the application while another session is there, which at the end must be as well as ever."""
    async with (
        served("hypercorn", Application(**settings)) as way,
        wire("websocket", way) as bystander,
    ):
        await bystander.open(["join", 1, "log/bystander"])
        await bystander.outcome(1)
        await bystander.say(["pong", 0])
        yield way
        await bystander.say(["publish", 2, "log/bystander", "said", "well"])
        assert await bystander.publications(1) == ["well"]
        assert {frame[0] for frame in bystander.seen} <= {"ack", "ping"}


async def close_code(one: Wire, attempt: Awaitable[Any]) -> int:
    """Return the code of the close that an attempt leads to."""
    try:
        await attempt
        await one.next("nothing else")
    except Closed as closed:
        return closed.code
    raise AssertionError
