"""A node of its own for a test, spoken to as its transports do."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Self

import msgspec

from multitransport.brokers.backends import memory_backend
from multitransport.node.attachment import Attachment
from multitransport.node.declarations import Declarations
from multitransport.node.node import Node
from multitransport.node.request import Request
from multitransport.node.session import Session
from multitransport.node.settings import Settings
from multitransport.node.verbs import draft_of
from multitransport.protocol.codec import decode_message
from multitransport.protocol.frames import HelloOptions
from multitransport.protocol.position import Position
from tests.bare_host import BareHost
from tests.simulated import simulated_loop

__all__ = ["Site", "frames_of", "of_kind"]

NEW = "abcdefghijklmnopqrstuv"
ENOUGH = 1 << 20


def frames_of(message: bytes) -> list[Any]:
    """Return a message's frames."""
    return [msgspec.json.decode(line) for line in message.split(b"\n") if line]


def of_kind(frames: list[Any], kind: str) -> list[Any]:
    """Return the frames of this kind, without it."""
    return [frame[1:] for frame in frames if frame[0] == kind]


class Site:
    """Use it as a context; ``declared`` may be added to before."""

    def __init__(self, **settings: Any) -> None:
        self.declared = Declarations()
        self.settings = Settings(**settings)
        self.host = BareHost()
        self.ended: list[tuple[str, str]] = []
        self.attachments: list[Attachment] = []
        self.declared.on_disconnect(self._note_end)

    async def __aenter__(self) -> Self:
        backend = memory_backend(
            asyncio.get_running_loop().time,
            max_rooms=self.settings.max_rooms,
            max_sessions=self.settings.max_sessions,
            room_idle_seconds=self.settings.room_idle_seconds,
        )
        self.node = Node(self.declared, self.host, self.settings, secret_keys=["key"], backend=backend)
        await self.node.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for attachment in list(self.attachments):
            self.release(attachment)
        await self.node.stop()

    async def attach(self, attach: int = 1, transport: str = "websocket", cookie: str = "", **hello: Any) -> Attachment:
        """Say hello. Raises Close."""
        options = msgspec.convert({"v": 1, "new": NEW, "attach": attach, **hello}, HelloOptions)
        attachment = await self.node.admit(options, self.request(cookie), transport)
        self.attachments.append(attachment)
        return attachment

    def release(self, attachment: Attachment) -> None:
        """The transport has ended."""
        self.attachments.remove(attachment)
        self.node.release(attachment)

    async def say(self, attachment: Attachment, *frames: list[Any], alive: bool = True) -> None:
        """Send a message, and see what comes of it without time passing. Raises Close."""
        message = b"\n".join(msgspec.json.encode(frame) for frame in frames)
        await self.node.receive(attachment, decode_message(message), alive=alive)
        await simulated_loop().settle()

    async def send(self, attach: int, token: str, *frames: list[Any], cookie: str = "", acked: int = 0) -> list[Any]:
        """Send a message beside a stream, and return the frames of the answer. Raises Close."""
        hello = HelloOptions(v=1, new=NEW, attach=attach, token=token, acked=acked)
        message = b"\n".join(msgspec.json.encode(frame) for frame in frames)
        return frames_of(await self.node.intake.send(hello, decode_message(message), self.request(cookie), b""))

    def take(self, attachment: Attachment) -> list[Any]:
        """Return the frames there are to write."""
        frames = []
        while batch := attachment.take(ENOUGH):
            frames += frames_of(batch.frames)
            if batch.close is not None:
                break
        return frames

    def client(self, attachment: Attachment) -> Session:
        """Return the session a transport carries."""
        return self.node.sessions[attachment.session_id]

    def request(self, cookie: str = "") -> Request:
        headers = [(b"cookie", cookie.encode())] if cookie else []
        return Request({"type": "http", "path": "/realtime/sse", "headers": headers})

    async def welcomed(self, attachment: Attachment) -> dict[str, Any]:
        """Return what the welcome says."""
        await simulated_loop().settle()
        options: dict[str, Any] = of_kind(self.take(attachment), "welcome")[0][0]
        return options

    async def publish(self, room: str, *data: Any) -> list[Position]:
        positions = [await self.node.verbs.publish(room, draft_of("n", each), volatile=False) for each in data]
        return [position for position in positions if position is not None]

    async def _note_end(self, client: Session, reason: str) -> None:
        self.ended.append((client.session_id, reason))
