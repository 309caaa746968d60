"""A poll that the network swallowed while it was held."""

from __future__ import annotations

import asyncio

import pytest

from multitransport.client import Publication, connect
from multitransport.client.limits import POLL_SECONDS
from multitransport.testing.proxy import FaultProxy
from multitransport.testing.waiting import eventually
from tests.contracts.application import Application
from tests.contracts.served import served

pytestmark = pytest.mark.faults

SLACK_SECONDS = 15.0


async def test_the_client_polls_again_when_the_hold_time_and_the_grace_are_over() -> None:
    grace_seconds = 1.0
    async with (
        served("hypercorn", Application(grace_seconds=grace_seconds)) as way,
        FaultProxy(way.url) as proxy,
        connect(proxy.url, transports=["poll"]) as client,
    ):
        room = await client.join("log/a")
        await eventually(lambda: way.application.attached)
        proxy.black_hole = True
        await way.application.publish("log/a", 1)
        await eventually(lambda: not way.application.attached)
        proxy.black_hole = False
        begun = asyncio.get_running_loop().time()
        item = await anext(room)
        assert isinstance(item, Publication)
        assert item.data == 1
        assert asyncio.get_running_loop().time() - begun < POLL_SECONDS + grace_seconds + SLACK_SECONDS
