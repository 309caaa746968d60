from __future__ import annotations

import asyncio
import signal

import pytest

from tests.integration.runners import PACKAGE, RUNNERS, started
from tests.integration.tabs import open_tabs

END_SECONDS = 2.0
GOING_AWAY = 3000


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
async def test_a_signal_sends_every_tab_off_and_ends_the_server_in_time(runner: str, number: signal.Signals) -> None:
    async with started(RUNNERS[runner]) as server:
        async with open_tabs(f"http://127.0.0.1:{server.port}/realtime") as tabs:
            server.signal(number)
            assert await server.seconds_to_end() < END_SECONDS, server.output
            async with asyncio.timeout(1):
                told = {name: (await tab)[-1] for name, tab in tabs.items()}
        if runner == "uvicorn":
            del told["websocket"]  # Uvicorn itself may close it first
        for name, frame in told.items():
            assert frame[:2] == ["close", GOING_AWAY], name
            assert frame[3]["retry_after"] >= 0
        assert "after_serving ran" in server.output
        assert str(PACKAGE) not in server.output, "no traceback goes through this library"
