"""The upstream of SSE and long poll: a body of frames for a session that something else carries."""

from __future__ import annotations

from multitransport.node.node import Node
from multitransport.node.request import Request
from multitransport.transports.asgi import NDJSON, Headers, Receive, Scope, Send, read_body, respond
from multitransport.transports.carry import open_message

__all__ = ["send_frames"]


async def send_frames(node: Node, scope: Scope, receive: Receive, send: Send, headers: Headers) -> None:
    """Take the frames of one body and answer with what is known of their outcome. Raises Close."""
    settings = node.settings
    body = await read_body(scope, receive, max_bytes=settings.max_message_bytes, within_seconds=settings.hello_seconds)
    hello, frames = open_message(body)
    answer = await node.intake.send(hello, frames, Request(scope), body)
    await respond(send, 200, [*headers, (b"content-type", NDJSON)], answer)
