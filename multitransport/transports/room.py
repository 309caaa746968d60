"""One room by its URL, for curl and the browser's own EventSource: events with the publications' own names, ids and
data.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

import msgspec

from multitransport.core.log import Recovery
from multitransport.core.publication import Draft, Publication, Slice
from multitransport.core.reader import Gap
from multitransport.node.attachment import Attachment, Batch, Close
from multitransport.node.node import Node
from multitransport.node.request import Request
from multitransport.protocol import eventstream
from multitransport.protocol.codes import CloseCode
from multitransport.protocol.frames import encode
from multitransport.protocol.position import Position
from multitransport.transports.asgi import EVENT_STREAM, Connection, Headers, Receive, Scope, Send, respond
from multitransport.transports.carry import carry, left, news
from multitransport.transports.writer import Writer

__all__ = ["read_room"]

_JSON = (b"content-type", b"application/json")


class Query(msgspec.Struct, frozen=True):
    """What the URL asks for."""

    since: Position | None
    history: int | None
    wait_seconds: float
    as_json: bool


async def read_room(node: Node, scope: Scope, receive: Receive, send: Send, headers: Headers, room: str) -> None:
    """Answer with what the room has and will have. Raises Close before the answer has begun."""
    if scope["method"] not in ("GET", "HEAD"):
        raise Close(CloseCode.METHOD_NOT_ALLOWED, f"use GET, not {scope['method']}", allow="GET, HEAD")
    request = Request(scope)
    query = _query(request, node.settings.poll_seconds)
    _, attachment, start, recovery = await node.visit(
        request, "poll" if query.as_json else "sse", room, query.since, query.history
    )
    connection = Connection(scope, send)
    attachment.abort = connection.abort
    try:
        if scope["method"] == "HEAD":
            await respond(send, 200, [_JSON if query.as_json else EVENT_STREAM[0], *headers], b"")
        elif query.as_json:
            if query.wait_seconds and recovery.recovered and not await news(attachment, receive, query.wait_seconds):
                return
            await _answer(node, attachment, send, headers, start, recovery)
        else:
            await send({"type": "http.response.start", "status": 200, "headers": [*EVENT_STREAM, *headers]})
            # A place to come back to, even if the stream is cut before its first event: one without data is not told.
            first = b"id: %s\n\n" % str(start).encode() if recovery.recovered else _gap_event(start, recovery.lost)
            await send({"type": "http.response.body", "body": first, "more_body": True})
            writer = Writer(_EventWriter(start.epoch).write, send, connection, node.settings.batch_bytes)
            await carry(attachment, left(receive), writer, 0)
    finally:
        node.release(attachment)


def _query(request: Request, poll_seconds: float) -> Query:
    """Read the URL and headers. Raises Close ``bad_protocol`` for what cannot be meant."""
    asked = parse_qs(request.scope.get("query_string", b"").decode("latin-1"))
    since = request.header(b"last-event-id") or asked.get("since", [""])[0]
    position = Position.parse(since) if since else None
    if since and position is None:
        raise Close(CloseCode.BAD_PROTOCOL, f"since must be epoch:offset, not {since[:80]!r}")
    try:
        history = int(asked["history"][0]) if "history" in asked else None
        wait_seconds = min(float(asked["wait"][0]), poll_seconds) if "wait" in asked else poll_seconds
        if (history is not None and history < 0) or not wait_seconds >= 0:
            raise ValueError
    except ValueError:
        raise Close(CloseCode.BAD_PROTOCOL, "history and wait must be numbers from 0 on") from None
    return Query(position, history, wait_seconds, "application/json" in request.header(b"accept"))


class _EventWriter:
    """Writes batches as events whose ids have the epoch of the log they came from."""

    def __init__(self, epoch: str) -> None:
        self._epoch = epoch

    async def write(self, send: Send, batch: Batch) -> None:
        # What is no publication is a ping, and a comment does for one.
        body = b"".join(map(self._events, batch.items)) or eventstream.comment()
        if batch.close is not None and batch.close.retry_after_seconds is not None:
            body += b"retry: %d\n\n" % round(batch.close.retry_after_seconds * 1000)
        await send({"type": "http.response.body", "body": body, "more_body": batch.close is None})

    def _events(self, item: Slice | Gap) -> bytes:
        if isinstance(item, Gap):
            self._epoch = item.position.epoch
        return _item_events(item, self._epoch)


def _item_events(item: Slice | Gap, epoch: str) -> bytes:
    if isinstance(item, Gap):
        return _gap_event(item.position, item.lost)
    found = item.encoded.get("room")
    if found is None:
        events = [_event(publication, epoch) for publication in item.publications]
        if item.tail is not None:
            # Only the end of a pass is a place to come back to; an event without data moves the last event id.
            events.append(b"id: %s\n\n" % str(Position(epoch, item.last)).encode())
        found = item.encoded["room"] = b"".join(events)
    return bytes(found)


def _event(publication: Publication, epoch: str) -> bytes:
    draft = publication.draft
    # In a state room only the end of a pass is a place to come back to; what is volatile has none.
    place = str(Position(epoch, publication.offset)) if draft.key is None and publication.offset else None
    return eventstream.encode_event(_data(draft).decode(), event=draft.event, id=place)


def _data(draft: Draft) -> bytes:
    """Return a publication's data as JSON: bytes as base64; in a state room with its key."""
    data = encode(draft.data) if draft.binary else draft.data
    if draft.key is None:
        return data
    if draft.deleted:
        return encode({"key": draft.key, "deleted": True})
    return encode({"key": draft.key, "data": msgspec.Raw(data)})


def _gap_event(position: Position, lost: int | None) -> bytes:
    data = encode({"lost": lost, "position": str(position)}).decode()
    return eventstream.encode_event(data, event="gap", id=str(position))


async def _answer(
    node: Node, attachment: Attachment, send: Send, headers: Headers, start: Position, recovery: Recovery
) -> None:
    publications: list[dict[str, Any]] = []
    epoch, offset = start
    for item in attachment.reader.take(node.settings.max_message_bytes):
        if isinstance(item, Gap):
            epoch, offset = item.position
            recovery = Recovery(offset, False, item.lost)
            continue
        publications += [
            {"offset": each.offset or None, "event": each.draft.event, "data": msgspec.Raw(_data(each.draft))}
            for each in item.publications
        ]
        offset = item.last or offset  # what is volatile moves nobody
    answer = {
        "position": str(Position(epoch, offset)),
        "recovered": recovery.recovered,
        "lost": recovery.lost,
        "publications": publications,
    }
    await respond(send, 200, [*headers, _JSON, (b"vary", b"accept")], encode(answer))
