"""FaultProxy, before a server that echoes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from multitransport.testing.proxy import FaultProxy
from multitransport.testing.waiting import eventually

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Echo:
    """Answers what it hears; knows how each of its connections ended."""

    def __init__(self) -> None:
        self.ends: list[str] = []
        self.heard = b""

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                self.heard += data
                writer.write(data)
                await writer.drain()
            self.ends.append("end")
            writer.write(b"<bye>")
        except ConnectionResetError:
            self.ends.append("reset")
        finally:
            writer.close()


@pytest.fixture
async def echo() -> Echo:
    return Echo()


@pytest.fixture
async def proxy(echo: Echo) -> AsyncIterator[FaultProxy]:
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with FaultProxy(f"http://127.0.0.1:{port}/path") as between:
        yield between
    server.close()


@pytest.fixture
async def line(proxy: FaultProxy) -> AsyncIterator[Streams]:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    yield reader, writer
    writer.transport.abort()


async def said(line: Streams, data: bytes) -> bytes:
    line[1].write(data)
    return await asyncio.wait_for(line[0].readexactly(len(data)), 5)


async def silent(line: Streams) -> bool:
    try:
        await asyncio.wait_for(line[0].read(1), 0.1)
    except TimeoutError:
        return True
    return False


async def test_without_faults_bytes_pass_and_are_counted(proxy: FaultProxy, line: Streams) -> None:
    assert await said(line, b"hello") == b"hello"
    assert (proxy.connections, proxy.open_connections, proxy.bytes_up, proxy.bytes_down) == (1, 1, 5, 5)
    assert proxy.url == f"http://127.0.0.1:{proxy.port}/path"


async def test_the_end_of_one_direction_passes_too(proxy: FaultProxy, line: Streams) -> None:
    await said(line, b"x")
    line[1].write_eof()
    assert await asyncio.wait_for(line[0].read(), 5) == b"<bye>"
    await eventually(lambda: proxy.open_connections == 0)


async def test_a_cut_resets_both_ends(proxy: FaultProxy, echo: Echo, line: Streams) -> None:
    await said(line, b"x")
    assert proxy.cut() == 1
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(line[0].read(), 5)
    await eventually(lambda: echo.ends == ["reset"])
    assert (proxy.cuts, proxy.open_connections) == (1, 0)


@pytest.mark.parametrize("count", [1, 4, 6])
async def test_a_cut_down_comes_right_after_the_byte(proxy: FaultProxy, count: int) -> None:
    loop = asyncio.get_running_loop()
    proxy.cut_after(count)
    # Streams forget what they hold when the connection is reset.
    with socket.socket() as sock:
        sock.setblocking(False)
        await loop.sock_connect(sock, ("127.0.0.1", proxy.port))
        await loop.sock_sendall(sock, b"abcdef")
        assert await loop.sock_recv(sock, count) == b"abcdef"[:count]
        with pytest.raises(ConnectionResetError):
            await loop.sock_recv(sock, 1)
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    assert await said((reader, writer), b"again, for it cuts once") == b"again, for it cuts once"
    writer.close()


async def test_a_cut_up_comes_right_after_the_byte(proxy: FaultProxy, echo: Echo, line: Streams) -> None:
    proxy.cut_after(3, "up")
    line[1].write(b"abcdef")
    await eventually(lambda: echo.ends == ["reset"])
    assert echo.heard == b"abc"


async def test_a_black_hole_swallows_and_stays_open(proxy: FaultProxy, echo: Echo, line: Streams) -> None:
    await said(line, b"x")
    proxy.black_hole = True
    line[1].write(b"lost")
    assert await silent(line)
    proxy.black_hole = False
    line[1].write(b"too late")
    assert await silent(line)
    assert (echo.heard, echo.ends) == (b"x", [])
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    assert await said((reader, writer), b"new") == b"new"
    writer.close()


async def test_a_half_close_leaves_the_other_direction(proxy: FaultProxy, echo: Echo, line: Streams) -> None:
    await said(line, b"x")
    proxy.half_close("down")
    assert await asyncio.wait_for(line[0].read(), 5) == b""
    line[1].write(b"still heard")
    await eventually(lambda: echo.heard == b"xstill heard")
    assert (echo.ends, proxy.open_connections) == ([], 1)


async def test_refusing_is_what_a_host_without_a_server_does(proxy: FaultProxy, line: Streams) -> None:
    await proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", proxy.port)
    assert await said(line, b"the others go on") == b"the others go on"
    await proxy.accept()
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    assert await said((reader, writer), b"back") == b"back"
    writer.close()


async def test_latency_and_throttling_take_time(proxy: FaultProxy, line: Streams) -> None:
    loop = asyncio.get_running_loop()
    proxy.latency_seconds = 0.05
    started = loop.time()
    await said(line, b"x")
    assert loop.time() - started >= 0.1
    proxy.latency_seconds, proxy.bytes_per_second = 0.0, 10_000
    started = loop.time()
    await said(line, b"x" * 1000)
    assert loop.time() - started >= 0.2


async def test_a_server_that_is_away_ends_the_connection() -> None:
    async with FaultProxy("http://127.0.0.1:1/") as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(), 5)
        writer.close()


HANDSHAKE = b"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"


async def test_websockets_can_be_kept_out(proxy: FaultProxy, echo: Echo) -> None:
    proxy.websocket = "block"
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(HANDSHAKE)
    assert (await asyncio.wait_for(reader.read(), 5)).startswith(b"HTTP/1.1 403 ")
    writer.close()
    assert (echo.heard, proxy.blocked_handshakes) == (b"", 1)


async def test_websockets_can_be_made_plain_requests(proxy: FaultProxy, echo: Echo) -> None:
    proxy.websocket = "strip"
    _, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(HANDSHAKE)
    await eventually(lambda: echo.heard == b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    writer.close()


async def test_other_requests_pass_where_websockets_are_kept_out(proxy: FaultProxy) -> None:
    proxy.websocket = "block"
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    request = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
    assert await said((reader, writer), request) == request
    writer.close()


async def test_a_body_is_held_back_until_it_ends(proxy: FaultProxy, line: Streams) -> None:
    proxy.buffer_responses = 1 << 20
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    line[1].write(head + b"2\r\nab\r\n")
    assert await asyncio.wait_for(line[0].readexactly(len(head)), 5) == head
    assert await silent(line)
    line[1].write(b"0\r\n\r\n")
    assert await asyncio.wait_for(line[0].readexactly(12), 5) == b"2\r\nab\r\n0\r\n\r\n"
