"""What the HAProxy of the how-to knows of nodes, which nginx does not: it asks for their health."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import httpx
import pytest

from multitransport.testing.waiting import eventually
from tests.integration.nodes import Node, hello, posted, proxied

pytestmark = pytest.mark.faults  # it takes seconds to learn what is so


async def statuses(http: httpx.AsyncClient, origin: str) -> set[int]:
    """Return what ten new clients in a row are answered."""
    return {(await posted(http, f"{origin}/realtime/poll", hello())).status_code for _ in range(10)}


async def pages(http: httpx.AsyncClient, origin: str) -> set[int]:
    """Return what ten visitors in a row are answered."""
    return {(await http.get(f"{origin}/")).status_code for _ in range(10)}


async def test_a_node_that_drains_gets_no_new_clients(tmp_path: Path) -> None:
    one, two = Node(), Node()
    async with (
        one.served() as first,
        two.served() as second,
        proxied("haproxy", [first, second], tmp_path) as origin,
        httpx.AsyncClient() as http,
    ):
        await one.node.drain()

        async def all_taken() -> bool:
            return await statuses(http, origin) == {200}

        await eventually(all_taken, 10.0)
        assert await statuses(http, origin) == {200}


async def test_pages_are_served_while_no_node_is_ready(tmp_path: Path) -> None:
    node = Node()
    async with (
        node.served() as only,
        proxied("haproxy", [only], tmp_path) as origin,
        httpx.AsyncClient() as http,
    ):
        await node.node.drain()

        async def told_by_haproxy() -> bool:
            answer = await posted(http, f"{origin}/realtime/poll", hello())
            return answer.status_code == 503 and "close" not in answer.text

        await eventually(told_by_haproxy, 10.0)
        assert await pages(http, origin) == {200}


async def test_a_node_that_hangs_gets_no_new_clients(tmp_path: Path) -> None:
    async with Node().served() as alive, httpx.AsyncClient(timeout=5.0) as http:
        # As a frozen process: its kernel takes connections, and nobody answers.
        with socket.create_server(("127.0.0.1", 0)) as hung:
            upstreams = [alive, f"http://127.0.0.1:{hung.getsockname()[1]}"]
            async with proxied("haproxy", upstreams, tmp_path) as origin, asyncio.timeout(60):

                async def all_taken() -> bool:
                    try:
                        return await statuses(http, origin) == {200}
                    except httpx.TimeoutException:
                        return False

                await eventually(all_taken, 30.0)
                assert await statuses(http, origin) == {200}
