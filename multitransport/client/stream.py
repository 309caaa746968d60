"""The SSE transport: a POST answered by an endless event stream, with requests beside it for the other direction."""

from __future__ import annotations

import httpx

from multitransport.client.carrier import Greeting, TransportLost
from multitransport.client.limits import MAX_RECEIVED_BYTES
from multitransport.client.posting import open_stream, translated
from multitransport.client.sender import Sender

__all__ = ["EventStreamDecoder", "SseConnector"]

_EVENT_STREAM = "text/event-stream"


class SseConnector:
    """Opens ``sse`` under this URL."""

    name = "sse"
    polls = False

    def __init__(self, http: httpx.AsyncClient, url: str) -> None:
        self._http = http
        self._url = url

    async def open(self, greeting: Greeting) -> SseCarrier:
        response = await open_stream(self._http, f"{self._url}/sse", greeting.hello(), _EVENT_STREAM)
        if response.headers.get("content-type", "").split(";")[0] != _EVENT_STREAM:
            await response.aclose()
            raise TransportLost("the answer is no event stream")
        return SseCarrier(response, Sender(self._http, f"{self._url}/send", greeting))


class SseCarrier:
    """An open event stream."""

    def __init__(self, response: httpx.Response, sender: Sender) -> None:
        self._response = response
        self._chunks = response.aiter_bytes()
        self._sender = sender
        self._decoder = EventStreamDecoder()
        self._messages: list[bytes] = []

    async def receive(self) -> bytes:
        while not self._messages:
            with translated():
                chunk = await anext(self._chunks, None)
            if chunk is None:
                raise TransportLost("the event stream ended")
            self._messages = self._decoder.feed(chunk)
        # What came together is one message too: frames joined by newlines.
        messages, self._messages = self._messages, []
        return b"\n".join(messages)

    async def send(self, message: bytes) -> bytes:
        return await self._sender.send(message)

    async def close(self) -> None:
        await self._response.aclose()


class EventStreamDecoder:
    """Turns the bytes of an event stream, cut anywhere, into the data of its events (WHATWG HTML, 9.2.6)."""

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        """The line that has begun, in as many parts as it came in."""
        self._data: list[bytes] = []
        self._size = 0
        self._begun = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the data of the events that end in this chunk. Raises TransportLost where one is too large."""
        held = bool(self._rest) and self._rest[-1].endswith(b"\r")
        self._rest.append(chunk)
        self._size += len(chunk)
        # A long line comes in many parts: they are put together once.
        messages = self._end_lines() if held or b"\n" in chunk or b"\r" in chunk else []
        if self._size > MAX_RECEIVED_BYTES:
            raise TransportLost(f"an event of more than {MAX_RECEIVED_BYTES} bytes")
        return messages

    def _end_lines(self) -> list[bytes]:
        text = b"".join(self._rest)
        if not self._begun:
            self._begun = True
            text = text.removeprefix(b"\xef\xbb\xbf")
        if b"\r" in text:
            held = text.endswith(b"\r")
            text = text.removesuffix(b"\r").replace(b"\r\n", b"\n").replace(b"\r", b"\n") + b"\r" * held
        *lines, rest = text.split(b"\n")
        messages = []
        for line in lines:
            if line.startswith(b"data:"):
                self._data.append(line[5:].removeprefix(b" "))
            elif not line and self._data:
                messages.append(b"\n".join(self._data))
                self._data.clear()
        self._rest = [rest] if rest else []
        self._size = sum(map(len, self._data)) + len(rest)
        return messages
