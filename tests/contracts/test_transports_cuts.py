"""Wherever a connection is cut, within a response or a request, the client loses nothing and repeats nothing."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from multitransport.testing.link import Direction
from tests.contracts.application import Application
from tests.contracts.cuts import ran_once, talk_through_cuts
from tests.contracts.served import served
from tests.contracts.wires import TRANSPORTS

BYTES = {"down": 1000, "up": 600}
EVERY = 37


@pytest.fixture(autouse=True)
def _nothing_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.parametrize("direction", ["down", "up"])
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_cut_costs_nothing(transport: str, direction: Direction) -> None:
    places = range(1, BYTES[direction], EVERY)
    async with served("hypercorn", Application()) as way:
        assert await talk_through_cuts(way, transport, direction, places) == len(places)
        assert ran_once(way, places)
