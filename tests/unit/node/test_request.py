from __future__ import annotations

from typing import Any

import pytest

from multitransport.node.request import Request


def request(*headers: tuple[bytes, bytes], **scope: Any) -> Request:
    return Request({"headers": list(headers), **scope})


def test_headers_are_found_whatever_their_case() -> None:
    headers = request((b"x-trace", b"7"), (b"accept", b"a"), (b"accept", b"b")).headers
    assert headers["X-Trace"] == "7"
    assert headers.getlist("Accept") == ["a", "b"]


def test_a_repeated_header_is_joined_as_http_does() -> None:
    made = request((b"accept", b"a"), (b"cookie", b"x=1"), (b"accept", b"b"), (b"cookie", b"y=2"))
    assert (made.header(b"accept"), made.header(b"cookie"), made.header(b"absent")) == ("a, b", "x=1; y=2", "")


def test_cookies_are_read_and_unreadable_ones_left_out() -> None:
    cookies = request((b"cookie", b'a=1; b="two words"; c[d]=3; =; e=5')).cookies
    assert (cookies["a"], cookies["b"], cookies["e"]) == ("1", "two words", "5")


def test_the_address_is_that_of_the_peer() -> None:
    assert request(client=("192.0.2.1", 4711)).remote_addr == "192.0.2.1"
    assert request(client=None).remote_addr is None
    assert request().remote_addr is None


def test_nobody_is_signed_in_by_a_network() -> None:
    assert request().test_user is None
    assert request(extensions=None).test_user is None
    assert request(extensions={"multitransport.test": {"user": "ann"}}).test_user == "ann"


@pytest.mark.parametrize(
    "other",
    [
        request((b"cookie", b"a=2")),
        request((b"cookie", b"a=1"), (b"authorization", b"x")),
        request((b"authorization", b"a=1")),
        request((b"cookie", b"a=1"), extensions={"multitransport.test": {"user": "ann"}}),
    ],
)
def test_another_credential_has_another_fingerprint(other: Request) -> None:
    one = request((b"cookie", b"a=1"))
    assert one.credential() == request((b"x-other", b"y"), (b"cookie", b"a=1")).credential()
    assert one.credential() != other.credential()
