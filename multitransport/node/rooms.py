"""Names of rooms, resolved to what the application declares for them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import unquote

from werkzeug.exceptions import HTTPException
from werkzeug.routing import BuildError, Map, RequestRedirect, Rule

from multitransport.core.limits import MAX_INBOX, MAX_INBOX_BYTES, MAX_MEMBERS, MAX_MEMBERS_BYTES
from multitransport.core.log import Retention
from multitransport.core.names import name_fault
from multitransport.errors import ConfigurationError, Refuse
from multitransport.node.declarations import RoomDeclaration
from multitransport.protocol.codes import ErrorCode

__all__ = ["OWN_INBOXES", "PRESENCE", "SESSION_INBOX", "USER_INBOX", "Room", "RoomTable", "rooms_of_application"]

_RESOLVED = 4096

SESSION_INBOX = "@session/"
USER_INBOX = "@user/"
PRESENCE = "@presence/"

OWN_INBOXES = 2
"""A session reads its own and its user's."""

_INBOX = Retention(count=MAX_INBOX, seconds=300.0, bytes=MAX_INBOX_BYTES)
_PRESENCE = Retention(keys=MAX_MEMBERS, seconds=300.0, bytes=MAX_MEMBERS_BYTES)


def rooms_of_application(rooms: Iterable[str]) -> int:
    """Count the rooms that the application declares; each may bring the server's own for its presence."""
    return sum(not room.startswith("@") for room in rooms)


class Room(NamedTuple):
    """A room's name, its declaration and the values of its rule."""

    name: str
    declaration: RoomDeclaration
    values: dict[str, Any]


class RoomTable:
    """The declared rooms. Building a room's name from its values must give the same name, so no room has two
    spellings.
    """

    def __init__(self, declarations: Sequence[RoomDeclaration]) -> None:
        try:
            rules = [Rule(f"/{each.rule}", endpoint=index) for index, each in enumerate(declarations)]
            self._routes = Map(rules, strict_slashes=True, merge_slashes=False, redirect_defaults=False).bind("room")
        except (ValueError, LookupError, TypeError, SyntaxError) as error:
            raise ConfigurationError(f"a room's rule is not one Werkzeug knows: {error}") from error
        self._declarations = declarations
        self._resolve = lru_cache(_RESOLVED)(self._match)

    def retention(self, name: str) -> Retention:
        """Return the retention of a room, the server's own included. Raises Refuse."""
        if name.startswith((SESSION_INBOX, USER_INBOX)):
            return _INBOX
        if name.startswith(PRESENCE):
            self.resolve(name.removeprefix(PRESENCE))
            return _PRESENCE
        return self.resolve(name).declaration.retention

    def resolve(self, name: str) -> Room:
        """Return the room of this name. Raises Refuse with ``bad_room`` or ``unknown_room``."""
        if fault := name_fault(name):
            raise Refuse(ErrorCode.BAD_ROOM, fault)
        found = self._resolve(name)
        if isinstance(found, Room):
            return found
        raise Refuse(*found)

    def _match(self, name: str) -> Room | tuple[ErrorCode, str]:
        # A fault is kept as words: an exception raised again and again would keep the frames of each time.
        try:
            index, values = self._routes.match(f"/{name}")
            built = unquote(self._routes.build(index, dict(values)))
        except RequestRedirect:
            return ErrorCode.BAD_ROOM, f"{name!r} is another spelling of a room"
        except (HTTPException, BuildError):
            return ErrorCode.UNKNOWN_ROOM, f"no room is declared that {name!r} fits"
        if built != f"/{name}":
            return ErrorCode.BAD_ROOM, f"{name!r} is another spelling of {built[1:]!r}"
        return Room(name, self._declarations[index], dict(values))
