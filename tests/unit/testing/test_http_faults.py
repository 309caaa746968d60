"""What the fault proxy knows of HTTP."""

from __future__ import annotations

import pytest

from multitransport.testing.http_faults import ResponseHold, is_websocket_handshake, strip_upgrade

HANDSHAKE = b"GET /w HTTP/1.1\r\nHost: h\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n\r\n"
LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_a_handshake_is_known_by_its_upgrade() -> None:
    assert is_websocket_handshake(HANDSHAKE)
    assert not is_websocket_handshake(b"GET / HTTP/1.1\r\nHost: websocket\r\n\r\n")
    assert not is_websocket_handshake(strip_upgrade(HANDSHAKE))


def test_a_body_is_held_until_its_length_is_here() -> None:
    hold = ResponseHold(max_bytes=100)
    assert hold.feed(LENGTH[:10]) == b""
    assert hold.feed(LENGTH[10:] + b"ab") == LENGTH
    assert hold.feed(b"cde") == b"abcde"


def test_a_body_in_chunks_is_held_until_the_last() -> None:
    hold = ResponseHold(max_bytes=100)
    assert hold.feed(CHUNKED) == CHUNKED
    assert hold.feed(b"3\r\na0\n\r\n") == b""
    assert hold.feed(b"0\r\n\r\n") == b"3\r\na0\n\r\n0\r\n\r\n"


def test_one_that_grows_large_is_let_go() -> None:
    hold = ResponseHold(max_bytes=8)
    hold.feed(CHUNKED)
    assert hold.feed(b"4\r\nabc") == b""
    assert hold.feed(b"d\r\n") == b"4\r\nabcd\r\n"
    assert hold.feed(b"1\r\nx") == b""


def test_answers_follow_each_other_on_a_connection() -> None:
    hold = ResponseHold(max_bytes=100)
    both = LENGTH + b"first" + b"HTTP/1.1 204 No Content\r\n\r\n" + LENGTH + b"third"
    assert b"".join(hold.feed(both[i : i + 1]) for i in range(len(both))) == both


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_after_an_upgrade_nothing_is_held(size: int) -> None:
    hold = ResponseHold(max_bytes=100)
    text = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x05hello"
    assert b"".join(hold.feed(text[i : i + size]) for i in range(0, len(text), size)) == text
