"""The application of every node. What it does for somebody it notes in a file, which outlives a node that is killed."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import msgspec
from quart import Quart, request

from multitransport import BrokerUnavailable, MultiTransport, Session
from multitransport.node.settings import Settings

NODE = os.environ["NODE"]
NOTES = Path(os.environ["NOTES"])

app = Quart(__name__)
app.secret_key = "of the tests"
app.config["MAX_CONTENT_LENGTH"] = 64 << 20
for name in Settings.__struct_fields__:
    if (value := os.environ.get(key := f"MULTITRANSPORT_{name.upper()}")) is not None:
        app.config[key] = value
rt = MultiTransport(app)


class Work(msgspec.Struct):
    """A request: ``id`` is noted, and the answer."""

    id: str
    seconds: float = 0.0


def note(kind: str, **what: Any) -> None:
    """Write a line in one piece: the nodes share the file, and its lines are in the order of what happened."""
    with NOTES.open("ab", buffering=0) as file:
        file.write(json.dumps({"kind": kind, "node": NODE, **what}).encode() + b"\n")


async def allowed(client: Session, event: str, data: Any, **values: Any) -> None:
    """Everybody may publish."""


@rt.room("room/<name>", retention_count=20_000, retention_bytes=64 << 20, on_publish=allowed)
async def join_room(client: Session, name: str) -> None:
    """Everybody may join."""


@rt.room("hall", presence=True)
async def join_hall(client: Session) -> None:
    """Everybody may join."""


@rt.on("work")
@rt.on("work again", repeatable=True)
async def work(client: Session, data: Work) -> str:
    note("ran", id=data.id)
    await asyncio.sleep(data.seconds)
    return data.id


@rt.on("where")
async def where(client: Session, data: None) -> str:
    return NODE


@rt.on_disconnect
async def disconnected(client: Session, reason: str) -> None:
    note("ended", session=client.session_id, reason=reason)


@app.post("/disconnect/<session>")
async def disconnect(session: str) -> str:
    await rt.disconnect(session=session)
    return ""


@app.post("/publish/<path:room>")
async def publish(room: str) -> Any:
    told = await request.get_json()
    try:
        return list(await rt.publish(room, "said", told["data"], id=told["id"]))
    except BrokerUnavailable as error:
        return str(error), 503
