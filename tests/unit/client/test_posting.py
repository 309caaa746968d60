"""What the answers to the client's requests mean, whoever they come from."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from multitransport.client import posting
from multitransport.client.carrier import TransportLost
from multitransport.client.events import Closed
from multitransport.client.posting import exchange
from multitransport.client.sender import Sender
from multitransport.client.stream import SseConnector

URL = "http://h/realtime"
STALE = httpx.Response(409, content=b'["close",3006,"stale"]\n')


class Greeting:
    """Counts the hellos it gives."""

    def __init__(self) -> None:
        self.hellos = 0

    def hello(self, wait_seconds: float | None = None) -> bytes:
        return self.send_hello()

    def send_hello(self) -> bytes:
        self.hellos += 1
        return b'["hello",%d]' % self.hellos


def answering(*answers: httpx.Response | Exception) -> httpx.AsyncClient:
    remaining = list(answers)

    def handle(request: httpx.Request) -> httpx.Response:
        answer = remaining.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return httpx.AsyncClient(transport=httpx.MockTransport(handle))


async def lost(answer: httpx.Response | Exception) -> TransportLost:
    async with answering(answer) as http:
        with pytest.raises(TransportLost) as error:
            await exchange(http, URL, b"")
    return error.value


async def test_a_refusal_of_the_server_is_told_in_its_words() -> None:
    answer = httpx.Response(403, content=b'["close",3505,"no",{"code":"banned"}]\n')
    assert (await lost(answer)).closed == Closed(3505, "no", None, "banned")


@pytest.mark.parametrize("status", [204, 302, 404, 502])
async def test_any_other_answer_comes_from_something_before_it(status: int) -> None:
    error = await lost(httpx.Response(status, content=b"<html>go away</html>"))
    assert (error.closed, error.network) == (None, False)


async def test_no_connection_is_told_apart_from_a_broken_one() -> None:
    assert (await lost(httpx.ConnectError("refused"))).network
    assert (await lost(httpx.ConnectTimeout("nobody there"))).network
    assert not (await lost(httpx.ReadError("reset"))).network


async def test_an_answer_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 1000

    monkeypatch.setattr(posting, "MAX_RECEIVED_BYTES", 10_000)
    assert "more than 10000 bytes" in str(await lost(httpx.Response(200, content=endless())))


async def test_a_send_that_met_another_attach_is_made_again_with_a_new_hello() -> None:
    greeting = Greeting()
    async with answering(STALE, STALE, httpx.Response(200, content=b'["ack",1]')) as http:
        assert await Sender(http, URL, greeting).send(b'["send",1,"e",1]') == b'["ack",1]'
    assert greeting.hellos == 3


async def test_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("multitransport.client.sender._PAUSES_SECONDS", (0.0, 0.0))
    async with answering(STALE, STALE, STALE) as http:
        with pytest.raises(TransportLost) as error:
            await Sender(http, URL, Greeting()).send(b"")
    assert error.value.closed == Closed(3006, "stale")


async def test_a_stream_that_is_none_is_refused() -> None:
    async with answering(httpx.Response(200, headers={"content-type": "text/html"}, content=b"<html>")) as http:
        with pytest.raises(TransportLost, match="no event stream"):
            await SseConnector(http, URL).open(Greeting())
