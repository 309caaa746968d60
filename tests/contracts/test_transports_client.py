"""What the Python client gets must not depend on the transport that brings it."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.contracts.application import Application
from tests.contracts.served import served
from tests.contracts.wires import TRANSPORTS

SIZES = (0, 1, 65_536, 100_000, 1_000_000)
"""Below, at and above what the server keeps of a reply."""


@pytest.fixture(autouse=True)
def _nothing_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.parametrize("server", ["hypercorn", "uvicorn", "in process"])
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_reply_arrives_whatever_its_size(server: str, transport: str) -> None:
    async with served(server, Application()) as way, way.client(transport) as client:
        assert [len(await client.request("large", size)) for size in SIZES] == list(SIZES)
