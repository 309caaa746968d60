"""What every transport does alike: read hello, and write what there is while listening for the client's end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from multitransport.node.attachment import Attachment, Batch, Close
from multitransport.protocol.codec import BadMessage, Malformed, decode_message
from multitransport.protocol.codes import CloseCode
from multitransport.protocol.frames import ClientFrame, Hello, HelloOptions
from multitransport.transports.asgi import Receive

__all__ = ["carry", "decode", "left", "open_message", "pump"]

Frames = list[ClientFrame | Malformed]


def decode(message: str | bytes) -> Frames:
    """Decode a message. Raises Close ``bad_message``."""
    try:
        return decode_message(message)
    except BadMessage as error:
        raise Close(CloseCode.BAD_MESSAGE, str(error)) from None


def open_message(message: str | bytes) -> tuple[HelloOptions, Frames]:
    """Decode a first message into its hello and what follows. Raises Close ``bad_message`` or ``bad_protocol``."""
    hello, *frames = decode(message)
    if isinstance(hello, Malformed) and hello.kind == "hello":
        raise Close(CloseCode.BAD_PROTOCOL, hello.message)
    if not isinstance(hello, Hello):
        raise Close(CloseCode.BAD_PROTOCOL, "the first frame must be hello")
    if any(isinstance(frame, Hello) for frame in frames):
        raise Close(CloseCode.BAD_PROTOCOL, "hello a second time")
    return hello.options, frames


async def pump(attachment: Attachment, write: Callable[[Batch], Awaitable[None]], limit_bytes: int) -> None:
    """Write what the attachment has, until it has written its close."""
    heartbeat = attachment.heartbeat
    time = asyncio.get_running_loop().time
    while True:
        batch = attachment.take(limit_bytes)
        if batch is None:
            await attachment.wait()
            continue
        heartbeat.writing_since = time()
        try:
            await write(batch)
        except OSError:
            return  # some servers say so when the client has left; the listener hears it too
        heartbeat.writing_since = float("inf")
        if batch.close is not None:
            return
        if attachment.reader.ready:
            # One that catches up must not keep the others waiting.
            await asyncio.sleep(0)


async def left(receive: Receive) -> None:
    """Wait until the client of a request has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def carry(listen: Coroutine[Any, Any, None], write: Coroutine[Any, Any, None], linger_seconds: float) -> None:
    """Listen in this task and write in another until either ends; a listener may go on for a moment after the last
    write.

    Whatever ends it, cancellation too, the writer's task is gone when this returns.
    """
    loop = asyncio.get_running_loop()
    listener = asyncio.current_task()
    assert listener is not None
    writer = loop.create_task(write)
    over = False
    handle: asyncio.TimerHandle | None = None

    def stop_listening() -> None:
        nonlocal over
        over = True
        listener.cancel()

    def written(_: asyncio.Task[None]) -> None:
        nonlocal handle
        handle = loop.call_later(linger_seconds, stop_listening)

    writer.add_done_callback(written)
    try:
        await listen
    except asyncio.CancelledError:
        if not over:
            raise
        listener.uncancel()
    finally:
        writer.remove_done_callback(written)
        if handle is not None:
            handle.cancel()
        writer.cancel()
    if writer.done() and not writer.cancelled() and (error := writer.exception()) is not None:
        raise error
