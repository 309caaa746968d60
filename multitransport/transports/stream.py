"""SSE and long poll: a request that brings a hello and is answered with frames. A poll is a stream that ends after its
first flush.
"""

from __future__ import annotations

import asyncio

from multitransport.core.publication import Slice
from multitransport.node.attachment import Attachment, Batch, Close
from multitransport.node.node import Node
from multitransport.node.request import Request
from multitransport.protocol import eventstream
from multitransport.transports.asgi import (
    EVENT_STREAM,
    NDJSON,
    Connection,
    Headers,
    Receive,
    Scope,
    Send,
    read_body,
    respond,
)
from multitransport.transports.carry import carry, left, news, open_message
from multitransport.transports.writer import Writer

__all__ = ["poll", "sse"]


async def sse(node: Node, scope: Scope, receive: Receive, send: Send, headers: Headers) -> None:
    """Carry a session's downstream over Server-Sent Events. Raises Close before the answer has begun."""
    attachment, _ = await _admit(node, scope, receive, "sse")
    connection = Connection(scope, send)
    attachment.abort = connection.abort
    try:
        await send({"type": "http.response.start", "status": 200, "headers": [*EVENT_STREAM, *headers]})
        writer = Writer(_write_event, send, connection, node.settings.batch_bytes)
        await carry(attachment, left(receive), writer, 0)
    finally:
        node.release(attachment)


async def poll(node: Node, scope: Scope, receive: Receive, send: Send, headers: Headers) -> None:
    """Carry a session's downstream over one request that waits for news. Raises Close before the answer has begun."""
    attachment, wait_seconds = await _admit(node, scope, receive, "poll")
    attachment.abort = Connection(scope, send).abort
    try:
        if wait_seconds and not await news(attachment, receive, wait_seconds):
            return
        # What is ready already, such as rooms of the hello whose checks wait for nothing, comes with this answer.
        await asyncio.sleep(0)
        batch = attachment.take(node.settings.max_message_bytes)
        attachment.heartbeat.writing_since = asyncio.get_running_loop().time()
        await respond(send, 200, [*headers, (b"content-type", NDJSON)], b"" if batch is None else batch.frames)
    finally:
        node.release(attachment)


async def _admit(node: Node, scope: Scope, receive: Receive, transport: str) -> tuple[Attachment, float]:
    """Read the body, admit its hello and take the frames behind it. Raises Close."""
    settings = node.settings
    body = await read_body(scope, receive, max_bytes=settings.max_message_bytes, within_seconds=settings.hello_seconds)
    hello, frames = open_message(body)
    attachment = await node.admit(hello, Request(scope), transport)
    try:
        if frames:
            await node.receive(attachment, frames, alive=False)
    except Close as close:
        attachment.close(close)
    except BaseException:
        node.release(attachment)
        raise
    wait_seconds = settings.poll_seconds if hello.wait is None else min(hello.wait, settings.poll_seconds)
    return attachment, wait_seconds


async def _write_event(send: Send, batch: Batch) -> None:
    shared = batch.items[0] if len(batch.items) == 1 and not batch.control and batch.close is None else None
    body = shared.event if isinstance(shared, Slice) else eventstream.encode_message(batch.frames)
    await send({"type": "http.response.body", "body": body, "more_body": True})
    if batch.close is not None:
        await send({"type": "http.response.body", "body": b"", "more_body": False})
