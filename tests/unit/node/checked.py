"""An application of checks and handlers, without a node."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypedDict, cast

import msgspec

from multitransport.core.session import SessionRecord
from multitransport.node.checks import Checks
from multitransport.node.declarations import Declarations
from multitransport.node.request import Request
from multitransport.node.rooms import Room, RoomTable
from multitransport.node.session import Session, Verbs
from tests.bare_host import BareHost

__all__ = ["App", "Named", "Point", "Size", "answering", "raising"]


class Point(msgspec.Struct):
    x: int
    y: list[int] = []


@dataclass
class Size:
    width: int


class Named(TypedDict):
    name: str


class App:
    """An application, what it declares, and one client of it."""

    def __init__(self) -> None:
        self.declared = Declarations()
        self.host = BareHost()
        self.request = Request({"headers": [], "path": "/realtime/sse"})
        self.client = Session(SessionRecord("s", "n", b"", None, 0), self.request, cast("Verbs", None))
        self.references = 0

    @property
    def checks(self) -> Checks:
        return Checks(self.declared, self.host, self.reference)

    def reference(self) -> str:
        self.references += 1
        return f"ref{self.references}"

    def room(self, name: str) -> Room:
        return RoomTable(self.declared.rooms).resolve(name)

    async def connect(self, auth: bytes = b"null") -> None:
        await self.checks.connect(self.client, self.request, auth)


def raising(error: BaseException) -> Callable[..., Any]:
    """Return a check that takes anything and raises this."""

    async def check(*args: Any, **values: Any) -> None:
        raise error

    return check


def answering(value: Any) -> Callable[..., Any]:
    """Return a check that takes anything and answers this."""

    async def check(*args: Any, **values: Any) -> Any:
        return value

    return check
