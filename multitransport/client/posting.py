"""HTTP requests of the protocol: a body of frames out, and what came of it in the client's own words."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterator

import httpx

from multitransport.client.carrier import TransportLost
from multitransport.client.limits import ATTEMPT_SECONDS, MAX_RECEIVED_BYTES
from multitransport.client.messages import read_close

__all__ = ["exchange", "once_more", "open_stream", "translated"]


class TransportStalled(TransportLost):
    """Nothing moved for too long."""


_NDJSON = "application/x-ndjson"


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Raise TransportLost in place of what httpx raises."""
    try:
        yield
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise TransportLost(f"connecting: {error}", network=True) from error
    except httpx.TimeoutException as error:
        raise TransportStalled(f"{type(error).__name__}: {error}") from error
    except httpx.HTTPError as error:
        raise TransportLost(f"{type(error).__name__}: {error}") from error


async def open_stream(
    http: httpx.AsyncClient, url: str, body: bytes, accept: str, stalled_seconds: float | None = None
) -> httpx.Response:
    """Post frames and return the answer, which the caller closes.

    Raises TransportLost, also for a status but 200, and where nothing moves for ``stalled_seconds``.
    """
    headers = {"Content-Type": _NDJSON, "Accept": accept}
    timeout = httpx.Timeout(stalled_seconds, connect=ATTEMPT_SECONDS)
    request = http.build_request("POST", url, content=body, headers=headers, timeout=timeout)
    with translated():
        response = await http.send(request, stream=True)
        if response.status_code == httpx.codes.OK:
            return response
        try:
            closed = read_close(await _read(response))
        finally:
            await response.aclose()
    raise TransportLost(f"{url} answered {response.status_code}", closed=closed)


async def exchange(http: httpx.AsyncClient, url: str, body: bytes, stalled_seconds: float | None = None) -> bytes:
    """Post frames and return the message that answers them. Raises as ``open_stream`` does."""
    response = await open_stream(http, url, body, _NDJSON, stalled_seconds)
    try:
        with translated():
            return await _read(response)
    finally:
        await response.aclose()


async def once_more(post: Callable[[], Awaitable[bytes]]) -> bytes:
    """Post what may be repeated, and post it again where that failed at once and without a word of the server's: one
    that stops may close a connection under a request. Raises as ``open_stream`` does.
    """
    try:
        return await post()
    except TransportStalled:
        raise
    except TransportLost as lost:
        if lost.closed is not None:
            raise
    return await post()


async def _read(response: httpx.Response) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.aiter_bytes():
        chunks.append(chunk)
        size += len(chunk)
        if size > MAX_RECEIVED_BYTES:
            raise TransportLost(f"an answer of more than {MAX_RECEIVED_BYTES} bytes")
    return b"".join(chunks)
