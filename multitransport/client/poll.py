"""The long poll transport: each request attaches anew, is held until there is news, and its answer is one message."""

from __future__ import annotations

import httpx

from multitransport.client.carrier import Greeting
from multitransport.client.limits import POLL_SECONDS
from multitransport.client.posting import exchange, once_more
from multitransport.client.sender import Sender

__all__ = ["PollConnector"]


class PollConnector:
    """Polls ``poll`` under this URL."""

    name = "poll"
    polls = True

    def __init__(self, http: httpx.AsyncClient, url: str) -> None:
        self._http = http
        self._url = url

    async def open(self, greeting: Greeting) -> PollCarrier:
        return PollCarrier(self._http, self._url, greeting)


class PollCarrier:
    """One poll after another."""

    def __init__(self, http: httpx.AsyncClient, url: str, greeting: Greeting) -> None:
        self._begun = False
        self._http = http
        self._url = f"{url}/poll"
        self._greeting = greeting
        self._sender = Sender(http, f"{url}/send", greeting)

    async def receive(self) -> bytes:
        # The first one asks for the welcome at once, which shows that polling works.
        if self._begun:
            return await once_more(self._poll)
        message = await exchange(self._http, self._url, self._greeting.hello(0))
        self._begun = True
        return message

    async def _poll(self) -> bytes:
        return await exchange(self._http, self._url, self._greeting.hello(POLL_SECONDS))

    async def send(self, message: bytes) -> bytes:
        return await self._sender.send(message)

    async def close(self) -> None:
        """A poll under way ends with the task that waits for it."""
