"""The application the client is tested against, on a real server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from quart import Quart

from multitransport import MultiTransport, Refuse, Session
from multitransport.testing.asgi_call import App
from multitransport.testing.server import serve

__all__ = ["Served", "served"]


class Served:
    """A running application: ``url`` is that of its transports, ``runs`` what its handlers were called with."""

    def __init__(self, rt: MultiTransport, url: str) -> None:
        self.rt = rt
        self.url = url
        self.runs: list[Any] = []
        self.connected: list[str] = []
        self.left: list[tuple[str, str]] = []

    async def publish(self, *numbers: int, room: str = "chat/1") -> None:
        for number in numbers:
            await self.rt.publish(room, "n", number)


@contextlib.asynccontextmanager
async def served(*, through: Callable[[App], App] = lambda app: app, **settings: Any) -> AsyncIterator[Served]:
    """Serve the application; ``ping_seconds=0.1`` sets ``MULTITRANSPORT_PING_SECONDS``, ``through`` wraps the app."""
    app = Quart("served")
    app.secret_key = "k" * 32
    app.config.update({f"MULTITRANSPORT_{name.upper()}": value for name, value in settings.items()})
    rt = MultiTransport(app)
    running = Served(rt, "")
    declare(rt, running)
    async with serve(through(app)) as url:
        running.url = f"{url}/realtime"
        yield running


def declare(rt: MultiTransport, running: Served) -> None:
    @rt.on_connect
    async def connect(client: Session, auth: Any) -> None:
        if auth == "stranger":
            raise Refuse("members_only", "who are you?")
        running.connected.append(client.session_id)

    @rt.on_disconnect
    async def disconnect(client: Session, reason: str) -> None:
        running.left.append((client.session_id, reason))

    @rt.room("chat/<id>", history=100, on_publish=may_publish)
    async def join(client: Session, id: str) -> None:
        if id == "secret":
            raise Refuse("members_only", "not this room")

    @rt.on("echo")
    async def echo(client: Session, data: Any) -> Any:
        running.runs.append(data)
        return data

    @rt.on("note")
    async def note(client: Session, data: Any) -> None:
        running.runs.append(data)

    @rt.on("slow")
    async def slow(client: Session, data: float) -> str:
        running.runs.append(data)
        await asyncio.sleep(data)
        return "done"

    @rt.on("no")
    async def no(client: Session, data: Any) -> None:
        raise Refuse("not_today", "come back later")

    @rt.on("leaving")
    async def leaving(client: Session, data: Any) -> None:
        """Tell the client what a node does that is about to stop."""
        assert client.attachment is not None
        client.attachment.put("@move", b'["move"]')

    @rt.on("broken")
    async def broken(client: Session, data: Any) -> None:
        raise RuntimeError("a fault of the application")


async def may_publish(client: Session, event: str, data: Any, **values: Any) -> None:
    if event == "shout":
        raise Refuse("too_loud", "quiet, please")
