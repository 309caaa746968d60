"""SSE and long poll: a request that brings a hello and is answered with frames. A poll is a stream that ends after its
first flush.
"""

from __future__ import annotations

import asyncio
import contextlib

from multitransport.core.log import Slice
from multitransport.node.attachment import Attachment, Batch, Close
from multitransport.node.node import Node
from multitransport.node.request import Request
from multitransport.protocol import eventstream
from multitransport.transports.asgi import (
    EVENT_STREAM,
    NDJSON,
    Headers,
    Receive,
    Scope,
    Send,
    aborter,
    read_body,
    respond,
)
from multitransport.transports.carry import Frames, carry, left, open_message, pump

__all__ = ["poll", "sse"]


async def sse(node: Node, scope: Scope, receive: Receive, send: Send, headers: Headers) -> None:
    """Carry a session's downstream over Server-Sent Events. Raises Close before the answer has begun."""
    attachment, frames, _ = await _admit(node, scope, receive, send, "sse")
    try:
        await _take(node, attachment, frames)
        await send({"type": "http.response.start", "status": 200, "headers": [*EVENT_STREAM, *headers]})
        writer = pump(attachment, lambda batch: _write_event(send, batch), node.settings.batch_bytes)
        await carry(left(receive), writer, 0)
    finally:
        node.release(attachment)


async def poll(node: Node, scope: Scope, receive: Receive, send: Send, headers: Headers) -> None:
    """Carry a session's downstream over one request that waits for news. Raises Close before the answer has begun."""
    attachment, frames, wait = await _admit(node, scope, receive, send, "poll")
    try:
        await _take(node, attachment, frames)
        if not attachment.session.resumed:
            wait = 0
        await carry(left(receive), _answer(node, attachment, send, headers, wait), 0)
    finally:
        node.release(attachment)


async def _admit(
    node: Node, scope: Scope, receive: Receive, send: Send, transport: str
) -> tuple[Attachment, Frames, float]:
    settings = node.settings
    body = await read_body(scope, receive, max_bytes=settings.max_message_bytes, within_seconds=settings.hello_seconds)
    hello, frames = open_message(body)
    attachment = await node.admit(hello, Request(scope), transport)
    attachment.abort = aborter(scope, send)
    wait = settings.poll_seconds if hello.wait is None else min(hello.wait, settings.poll_seconds)
    return attachment, frames, wait


async def _take(node: Node, attachment: Attachment, frames: Frames) -> None:
    if frames:
        try:
            await node.receive(attachment.session, attachment.attach, frames, alive=False)
        except Close as close:
            attachment.close(close)


async def _write_event(send: Send, batch: Batch) -> None:
    shared = batch.items[0] if len(batch.items) == 1 and not batch.control and batch.close is None else None
    body = shared.event if isinstance(shared, Slice) else eventstream.encode_message(batch.frames)
    await send({"type": "http.response.body", "body": body, "more_body": True})
    if batch.close is not None:
        await send({"type": "http.response.body", "body": b""})


async def _answer(node: Node, attachment: Attachment, send: Send, headers: Headers, wait_seconds: float) -> None:
    if wait_seconds > 0:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_seconds):
                await attachment.wait()
    else:
        # Rooms of the hello whose checks wait for nothing come with this answer.
        await asyncio.sleep(0)
    batch = attachment.take(node.settings.batch_bytes)
    attachment.heartbeat.writing_since = asyncio.get_running_loop().time()
    await respond(send, 200, [*headers, (b"content-type", NDJSON)], b"" if batch is None else batch.frames)
