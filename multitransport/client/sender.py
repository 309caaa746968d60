"""What a client on SSE or polls sends: one request at a time, in the name of the stream or poll it belongs to."""

from __future__ import annotations

import asyncio
from functools import partial

import httpx

from multitransport.client.carrier import Greeting, TransportLost
from multitransport.client.limits import SEND_SECONDS
from multitransport.client.posting import exchange, once_more
from multitransport.protocol.codes import CloseCode

__all__ = ["Sender"]

_PASSING = frozenset({CloseCode.STALE_ATTACH, CloseCode.UNAVAILABLE})
_PAUSES_SECONDS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.5)
"""A send and the next poll may overtake each other, so that the server knows another attach than the send has, or asks
a node that is no more: the next poll brings the session to another.
"""


class Sender:
    """Posts messages to ``url``."""

    def __init__(self, http: httpx.AsyncClient, url: str, greeting: Greeting) -> None:
        self._http = http
        self._url = url
        self._greeting = greeting

    async def send(self, message: bytes) -> bytes:
        """Send a message and return its answer. Raises TransportLost."""
        for pause_seconds in _PAUSES_SECONDS:
            try:
                return await once_more(partial(self._post, message))
            except TransportLost as lost:
                if lost.closed is None or lost.closed.code not in _PASSING:
                    raise
            await asyncio.sleep(pause_seconds)
        return await self._post(message)

    async def _post(self, message: bytes) -> bytes:
        body = self._greeting.send_hello() + b"\n" + message
        return await exchange(self._http, self._url, body, SEND_SECONDS)
