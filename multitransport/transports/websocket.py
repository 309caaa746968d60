"""The WebSocket transport: one text message each way is one message of the protocol."""

from __future__ import annotations

import asyncio
from typing import Any

from multitransport.core.publication import Slice
from multitransport.node.attachment import Attachment, Batch, Close
from multitransport.node.node import Node
from multitransport.node.request import Request
from multitransport.protocol.binary import messages
from multitransport.protocol.codec import BadMessage, decode_binary
from multitransport.protocol.codes import CloseCode
from multitransport.transports.asgi import Connection, Receive, Scope, Send
from multitransport.transports.carry import Frames, carry, decode, open_message
from multitransport.transports.origin import check_origin
from multitransport.transports.writer import Writer

__all__ = ["websocket"]

_MAX_REASON_BYTES = 123
"""RFC 6455, 5.5: a control frame's payload is at most 125 bytes, two of them the code."""


async def websocket(node: Node, scope: Scope, receive: Receive, send: Send) -> None:
    """Carry a session over a WebSocket."""
    await receive()
    await send({"type": "websocket.accept"})
    try:
        admitted = await _greet(node, Request(scope), receive)
    except Close as close:
        await _close(send, close)
        return
    if admitted is None:
        return
    attachment, frames = admitted
    del admitted
    connection = Connection(scope, send)
    attachment.abort = connection.abort
    writer = Writer(_write, send, connection, node.settings.batch_bytes)
    try:
        await carry(attachment, _listen(node, attachment, frames, receive), writer, node.settings.close_seconds)
    finally:
        node.release(attachment)


async def _greet(node: Node, request: Request, receive: Receive) -> tuple[Attachment, Frames] | None:
    """Read hello and admit it; None where the client leaves before. Raises Close."""
    settings = node.settings
    check_origin(request, settings.origins)
    try:
        async with asyncio.timeout(settings.hello_seconds):
            event = await receive()
    except TimeoutError:
        raise Close(CloseCode.TOO_SLOW, f"no hello within {settings.hello_seconds:g} s") from None
    if event["type"] == "websocket.disconnect":
        return None
    message = _message(event, settings.max_message_bytes)
    if isinstance(message, bytes):
        raise Close(CloseCode.BAD_MESSAGE, "the first message must be text")
    hello, frames = open_message(message)
    return await node.admit(hello, request, "websocket"), frames


async def _listen(node: Node, attachment: Attachment, frames: Frames, receive: Receive) -> None:
    max_bytes = node.settings.max_message_bytes
    try:
        if frames:
            await node.receive(attachment, frames, alive=False)
        del frames
        while (event := await receive())["type"] != "websocket.disconnect":
            if attachment.closing is None:
                await node.receive(attachment, _decode(_message(event, max_bytes)), alive=True)
    except Close as close:
        attachment.close(close)
        while (await receive())["type"] != "websocket.disconnect":
            pass


def _decode(message: str | bytes) -> Frames:
    if isinstance(message, str):
        return decode(message)
    try:
        return decode_binary(message)
    except BadMessage as error:
        raise Close(CloseCode.BAD_MESSAGE, str(error)) from None


def _message(event: dict[str, Any], max_bytes: int) -> str | bytes:
    """Return the message that was received. Raises Close ``too_large``."""
    text: str | None = event.get("text")
    message = event.get("bytes") or b"" if text is None else text
    if 4 * len(message) > max_bytes and _size(message) > max_bytes:
        raise Close(CloseCode.TOO_LARGE, f"the message is over {max_bytes} bytes")
    return message


def _size(message: str | bytes) -> int:
    """Return how many bytes a message has; there are at most four to a character."""
    return len(message.encode("utf-8", "replace")) if isinstance(message, str) else len(message)


async def _write(send: Send, batch: Batch) -> None:
    if batch.control:
        for message in messages(batch.control):
            await send(_event(message))
    for item in batch.items:
        if isinstance(item, Slice):
            events = item.encoded.get("websocket")
            if events is None:
                events = item.encoded["websocket"] = [_event(message) for message in item.messages()]
            for event in events:
                await send(event)
        else:
            await send(_event(item.frames.decode()))
    if batch.close is not None:
        await _close(send, batch.close)


def _event(message: str | bytes) -> dict[str, Any]:
    if isinstance(message, str):
        return {"type": "websocket.send", "text": message}
    return {"type": "websocket.send", "bytes": message}


async def _close(send: Send, close: Close) -> None:
    """Say why in a frame, which any page can read, and again in the close."""
    reason = close.reason.encode()[:_MAX_REASON_BYTES].decode(errors="ignore")
    await send({"type": "websocket.send", "text": close.frame.decode()})
    await send({"type": "websocket.close", "code": int(close.code), "reason": reason})
