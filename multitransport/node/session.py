"""A session as the application sees it (its parameters are called ``client``), with what the node keeps of it while it
runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from werkzeug.datastructures import Headers

from multitransport.core.session import SessionRecord, State
from multitransport.node.attachment import Attachment
from multitransport.node.request import Request
from multitransport.protocol.codec import Malformed
from multitransport.protocol.frames import ClientFrame
from multitransport.protocol.position import Position

__all__ = ["Job", "JoinRequest", "Session"]


class JoinRequest:
    """A room a hello asks for that is not in the session's record."""

    __slots__ = ("history", "position", "room")

    def __init__(self, room: str, position: Position | None, history: int | None) -> None:
        self.room = room
        self.position = position
        self.history = history


Job = ClientFrame | Malformed | JoinRequest


class Session:
    """One client, whatever carries it. Its handlers, checks and callbacks get it as their first argument."""

    __slots__ = (
        "_data",
        "attachment",
        "credential",
        "jobs",
        "polling",
        "record",
        "request",
        "resumed",
        "settled",
        "state",
        "worker",
    )

    def __init__(self, record: SessionRecord, request: Request) -> None:
        self.record = record
        self.request = request
        self.resumed = False
        self.settled = False
        """The connect check is over: who it is stays as it is."""
        self.state = State.UNCONFIRMED
        self.attachment: Attachment | None = None
        self.credential = b""
        self.polling = False
        self.jobs: list[Job] = []
        self.worker: asyncio.Task[None] | None = None
        self._data: dict[str, Any] | None = None

    def __repr__(self) -> str:
        return f"<Session {self.session_id} user={self.user_id!r} {self.state.value}>"

    def resume_as(self, candidate: Session) -> None:
        """Take over what the connect check made of the request that resumes it."""
        self.request = candidate.request
        self.credential = candidate.credential
        self.resumed = True
        self._data = candidate._data

    @property
    def session_id(self) -> str:
        """The session's public id."""
        return self.record.session_id

    @property
    def user_id(self) -> str | None:
        """Who it is, as the connect check said; None for an anonymous session."""
        return self.record.user_id

    @user_id.setter
    def user_id(self, user_id: str | None) -> None:
        if self.settled:
            raise AttributeError("user_id can only be set in the connect check")
        self.record.user_id = user_id

    @property
    def data(self) -> dict[str, Any]:
        """Anything the application wants to keep with the session."""
        if self._data is None:
            self._data = {}
        return self._data

    @property
    def rooms(self) -> frozenset[str]:
        """The rooms it is in."""
        return frozenset(self.record.rooms)

    @property
    def transport(self) -> str | None:
        """What carries it now: ``websocket``, ``sse``, ``poll``; None while it is detached."""
        return None if self.attachment is None else self.attachment.transport

    @property
    def headers(self) -> Headers:
        """The headers of the request that carries it, or did last."""
        return self.request.headers

    @property
    def cookies(self) -> Mapping[str, str]:
        """The cookies of the request that carries it, or did last."""
        return self.request.cookies

    @property
    def remote_addr(self) -> str | None:
        """The client's address, as the server saw it."""
        return self.request.remote_addr
