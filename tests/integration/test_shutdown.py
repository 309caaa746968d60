from __future__ import annotations

import asyncio
import signal
import socket

import httpx
import pytest

from multitransport.testing.waiting import eventually
from tests.integration.runners import PACKAGE, RUNNERS, started
from tests.integration.tabs import hello, open_tabs

END_SECONDS = 2.0
DRAIN_SECONDS = 2.0
GOING_AWAY = 3000


CTRL_C = [pytest.param(runner, signal.SIGINT, id=f"ctrl-c {runner}") for runner in RUNNERS]
STOPPED = ("hypercorn", "hypercorn -w 2", "uvicorn", "multitransport run")
SIGTERM = [pytest.param(runner, signal.SIGTERM, id=f"sigterm {runner}") for runner in STOPPED]


@pytest.mark.parametrize(("runner", "number"), CTRL_C + SIGTERM)
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


@pytest.mark.parametrize("runner", ["hypercorn", "multitransport run"])
async def test_a_client_that_does_not_read_is_cut_after_the_drain_time(runner: str) -> None:
    async def refuses() -> bool:
        return not await server.accepts()

    async with started(RUNNERS[runner]) as server, httpx.AsyncClient() as client:
        with socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.connect(("127.0.0.1", server.port))
            deaf.sendall(sse_request())
            assert deaf.recv(12) == b"HTTP/1.1 200"
            await client.get(f"http://127.0.0.1:{server.port}/flood", timeout=20)
            server.signal(signal.SIGTERM)
            if runner == "multitransport run":
                # While it waits it takes no more: a proxy would send those here who are to go to another node.
                await eventually(refuses, 1.0)
            assert await server.seconds_to_end() < DRAIN_SECONDS + END_SECONDS
        assert "did not close in time" in server.output
        assert "after_serving ran" in server.output


def sse_request() -> bytes:
    body = hello(1, new="n" * 22).encode()
    head = "POST /realtime/sse HTTP/1.1\r\nHost: app.example\r\nContent-Type: application/x-ndjson\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
