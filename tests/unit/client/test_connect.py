"""What ``connect`` is given and what it makes of it."""

from __future__ import annotations

import sys

import pytest

from multitransport.client import connect, request_headers
from multitransport.errors import ConfigurationError


@pytest.mark.parametrize("url", ["ws://h/realtime", "localhost/realtime", "http:///realtime", ""])
def test_only_http_urls_will_do(url: str) -> None:
    with pytest.raises(ValueError, match="not an http or https URL"):
        connect(url)


async def test_unknown_transports_are_named() -> None:
    with pytest.raises(ValueError, match="pigeon"):
        connect("http://h/realtime", transports=("websocket", "pigeon"))
    with pytest.raises(ValueError, match="none"):
        connect("http://h/realtime", transports=())


@pytest.mark.parametrize("missing", ["httpx", "multitransport.client.websocket"])
def test_a_missing_library_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ConfigurationError, match=r"multitransport\[client\]"):
        connect("http://h/realtime")


def test_cookies_bring_an_origin_which_the_server_asks_for() -> None:
    assert request_headers("http://h", None, {"session": "abc", "theme": "dark"}) == [
        ("Cookie", "session=abc; theme=dark"),
        ("Origin", "http://h"),
    ]


def test_the_callers_own_origin_stands() -> None:
    assert ("Origin", "http://h") not in request_headers("http://h", {"origin": "http://other"}, {"a": "b"})
