"""The application the contracts are run against, and what it noted of what it was asked to do."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from quart import Quart, request, session

from multitransport import MultiTransport, Refuse, Session
from multitransport.node.node import Node

__all__ = ["Application", "Greeting"]

SECRET = "of the tests"


class Greeting(msgspec.Struct):
    """A typed payload."""

    name: str
    times: int = 1


class Application:
    """A Quart application with one of everything.

    Rooms: ``log/<name>`` (history 3, clients may publish, keeps more than a client misses while it pauses between two
    tries), ``short/<name>`` (keeps 5), ``strict/<name>`` (so does this, and disconnects who falls behind),
    ``silent/<name>`` (clients may not publish), ``members/<name>`` (needs a user), ``numbered/<int:number>``,
    ``broken/<name>`` (its check raises), ``state/<name>`` and ``small/<name>`` (3 keys, 2,000 bytes; both of mode
    state, clients may publish), ``team/<name>`` (with presence).
    Users come from the cookie of Quart's session, else from ``Authorization: Bearer <user>``.
    """

    def __init__(self, **settings: Any) -> None:
        self.quart = Quart("contracts")
        self.quart.secret_key = SECRET
        self.rt = MultiTransport(self.quart, **settings)
        self.ran: list[Any] = []
        self.connected: list[tuple[str | None, bool]] = []
        self.disconnected: list[tuple[str, str]] = []
        self.forbidden_transports: set[str] = set()
        self.gate = asyncio.Event()
        self._declare_session()
        self._declare_rooms()
        self._declare_handlers()

    @property
    def node(self) -> Node:
        """The node of the running lifespan."""
        running = self.quart.extensions["multitransport"].running
        assert running is not None
        node: Node = running.node
        return node

    @property
    def attached(self) -> list[int]:
        """The attach of each transport that carries a session at the moment."""
        carrying = [client.attachment for client in self.node.sessions.values()]
        return [attachment.attach for attachment in carrying if attachment is not None]

    def cookies(self, user: str) -> dict[str, str]:
        """Return the cookie of a browser that has logged in."""
        interface: Any = self.quart.session_interface
        serializer = interface.get_signing_serializer(self.quart)
        return {"session": serializer.dumps({"user": user})}

    async def publish(self, room: str, *data: Any) -> None:
        """Publish each of these as the event ``said``."""
        for each in data:
            await self.rt.publish(room, "said", each)

    def _declare_session(self) -> None:
        rt = self.rt

        @rt.on_connect
        async def connect(client: Session, auth: Any) -> None:
            bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
            client.user_id = session.get("user") or bearer or None
            if auth == "refuse me":
                raise Refuse("not_today", "come back tomorrow")
            if auth == "break":
                raise RuntimeError("the connect check")
            self.connected.append((client.user_id, client.resumed))

        @rt.on_disconnect
        async def disconnect(client: Session, reason: str) -> None:
            self.disconnected.append((client.session_id, reason))

        @rt.transports
        async def allow(client: Session, transport: str) -> bool:
            return transport not in self.forbidden_transports

    def _declare_rooms(self) -> None:
        rt = self.rt

        async def on_publish(client: Session, event: str, data: Any, name: str) -> None:
            if data == "forbidden":
                raise Refuse("bad_words", "not here")
            if data == "break":
                raise RuntimeError("the check of a publication")

        @rt.room("log/<name>", history=3, retention_count=20_000, on_publish=on_publish)
        async def log(client: Session, name: str) -> None:
            """Everybody may join."""

        @rt.room("short/<name>", retention_count=5)
        async def short(client: Session, name: str) -> None:
            """Everybody may join."""

        @rt.room("strict/<name>", retention_count=5, slow="disconnect")
        async def strict(client: Session, name: str) -> None:
            """Everybody may join."""

        @rt.room("silent/<name>")
        async def silent(client: Session, name: str) -> None:
            """Everybody may join."""

        @rt.room("members/<name>")
        async def members(client: Session, name: str) -> bool:
            return bool(client.user_id)

        @rt.room("numbered/<int:number>")
        async def numbered(client: Session, number: int) -> None:
            """Everybody may join."""

        @rt.room("broken/<name>")
        async def broken(client: Session, name: str) -> None:
            raise RuntimeError("the check of a room")

        @rt.room("state/<name>", mode="state", on_publish=on_publish)
        async def state(client: Session, name: str) -> None:
            """Everybody may join."""

        @rt.room("small/<name>", mode="state", max_keys=3, retention_bytes=2000, on_publish=on_publish)
        async def small(client: Session, name: str) -> None:
            """Everybody may join."""

        @rt.room("team/<name>", presence=True)
        async def team(client: Session, name: str) -> None:
            """Everybody may join."""

    def _declare_handlers(self) -> None:
        rt = self.rt

        @rt.on("echo")
        async def echo(client: Session, data: Any) -> Any:
            self.ran.append(data)
            return data

        @rt.on("note")
        async def note(client: Session, data: Any) -> None:
            self.ran.append(data)

        @rt.on("greet")
        async def greet(client: Session, data: Greeting) -> str:
            return f"hello {data.name}" * data.times

        @rt.on("wait")
        async def wait(client: Session, data: Any) -> Any:
            await self.gate.wait()
            self.ran.append(data)
            return data

        @rt.on("wait beside", concurrent=True)
        async def wait_beside(client: Session, data: Any) -> Any:
            await self.gate.wait()
            self.ran.append(data)
            return data

        @rt.on("be asked")
        async def be_asked(client: Session, data: Any) -> Any:
            return await client.request("question", data, timeout=5)

        @rt.on("large")
        async def large(client: Session, data: int) -> str:
            return "x" * data

        @rt.on("who")
        async def who(client: Session, data: Any) -> list[Any]:
            return [client.user_id, client.headers.get("X-Trace"), client.transport]

        @rt.on("refuse")
        async def refuse(client: Session, data: Any) -> None:
            raise Refuse("too_late", "the shop is closed")

        @rt.on("fail")
        async def fail(client: Session, data: Any) -> None:
            raise RuntimeError(f"a handler failed over {data}")
