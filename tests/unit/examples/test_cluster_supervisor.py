from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from examples.cluster.proxy import configuration
from examples.cluster.supervisor import asked, free_ports


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        for part in (answer[:20], answer[20:]):
            writer.write(part)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (b"HTTP/1.1 200 \r\n\r\nready", None),
        (b'HTTP/1.1 503 \r\n\r\n{"status":"unavailable","reason":"Redis is away"}', "Redis is away"),
        (b"HTTP/1.1 500 \r\n\r\n<h1>Something", "it does not answer as it should"),
        (b"HTTP/1.1 500 \r\n\r\n[1]", "it does not answer as it should"),
        (b"", "it does not answer as it should"),
    ],
)
async def test_what_is_not_ready_says_why(answer: bytes, fault: str | None) -> None:
    async with answering(answer) as port:
        assert await asked(port, b"GET /\r\n", b"HTTP/1.1 200") == fault


async def test_what_does_not_listen_is_not_ready() -> None:
    [port] = free_ports(1)
    assert await asked(port, b"GET /\r\n", b"HTTP/1.1 200") is not None


def test_nginx_goes_round_all_nodes_without_affinity(tmp_path: Path) -> None:
    text = configuration(folder=tmp_path, port=80, nodes=[8001, 8002], control=tmp_path / "control")
    assert text.count("        server 127.0.0.1:800") == 2
    assert "ip_hash" not in text
    assert "sticky" not in text
