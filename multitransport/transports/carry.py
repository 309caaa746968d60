"""What every transport does alike: read hello, and write what there is while listening for the client's end."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from multitransport.core.limits import MAX_MESSAGE_FRAMES
from multitransport.node.attachment import Attachment, Close
from multitransport.protocol.codec import BadMessage, Malformed, decode_message
from multitransport.protocol.codes import CloseCode
from multitransport.protocol.frames import ClientFrame, Hello, HelloOptions
from multitransport.transports.asgi import Receive
from multitransport.transports.writer import Writer

__all__ = ["carry", "decode", "left", "news", "open_message"]

Frames = list[ClientFrame | Malformed]


def decode(message: str | bytes) -> Frames:
    """Decode a message. Raises Close ``bad_message``, or ``bad_protocol`` for more frames than one may hold."""
    lines = message.count("\n") if isinstance(message, str) else message.count(b"\n")
    if lines >= MAX_MESSAGE_FRAMES:
        # Before any is decoded: many tiny frames cost far more than one of their size.
        raise Close(CloseCode.BAD_PROTOCOL, f"a message may hold {MAX_MESSAGE_FRAMES} frames")
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


async def left(receive: Receive) -> None:
    """Wait until the client of a request has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def news(attachment: Attachment, receive: Receive, within_seconds: float) -> bool:
    """Wait until the attachment has news or the time is up; False where the client leaves first."""
    told = asyncio.Event()
    attachment.on_news = told.set
    if attachment.news:
        return True
    gone = asyncio.ensure_future(left(receive))
    gone.add_done_callback(lambda _: told.set())
    try:
        async with asyncio.timeout(within_seconds):
            await told.wait()
    except TimeoutError:
        return True
    finally:
        gone.cancel()
    return not gone.done()


async def carry(
    attachment: Attachment, listen: Coroutine[Any, Any, None], writer: Writer, linger_seconds: float
) -> None:
    """Write what the attachment has while listening in this task, until the client leaves or the last word is written.

    After that the client has a moment to leave by itself. Whatever ends it, cancellation too, nothing of it is left.
    """
    listener = asyncio.current_task()
    assert listener is not None
    over = False
    handle: asyncio.TimerHandle | None = None

    def stop_listening() -> None:
        nonlocal over
        over = True
        listener.cancel()

    def written() -> None:
        nonlocal handle
        handle = asyncio.get_running_loop().call_later(linger_seconds, stop_listening)

    writer.start(attachment, written)
    try:
        await listen
    except asyncio.CancelledError:
        if not over:
            raise
        listener.uncancel()
    finally:
        writer.stop()
        if handle is not None:
            handle.cancel()
