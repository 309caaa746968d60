"""What the contracts of the transports are made of. A module that runs them has a fixture ``server``, which names what
serves the application.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.contracts.application import Application
from tests.contracts.served import Served, served
from tests.contracts.wires import TRANSPORTS, Closed, Frame, Wire

__all__ = ["TransportContract", "closed_by"]


@pytest.mark.parametrize("transport", TRANSPORTS)
class TransportContract:
    """Each test runs once over each transport, on a server of its own."""

    server: str

    @pytest.fixture(autouse=True)
    def _on(self, server: str) -> None:
        self.server = server

    @pytest.fixture(autouse=True)
    def _nothing_is_logged(self, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
        yield
        assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []

    @contextlib.asynccontextmanager
    async def serve(self, **settings: Any) -> AsyncIterator[Served]:
        """Serve the application of the contracts."""
        async with served(self.server, Application(**settings)) as way:
            yield way


async def closed_by(one: Wire, frame: Frame) -> Closed:
    """Send a frame that ends the transport, and return how it did."""
    try:
        await one.say(frame)
        await one.next("nothing else")
    except Closed as closed:
        return closed
    raise AssertionError
