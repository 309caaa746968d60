"""The names of what the broker keeps in Redis, and of what it announces there."""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from hashlib import blake2b

from multitransport.errors import ConfigurationError

__all__ = ["Keys"]


class Keys:
    """Names under a deployment's prefix. Those of one room share a hash tag, hence a slot of a cluster.

    The kind comes before the room and ids are hashed: no room and no id can make the name of another kind.
    """

    def __init__(self, prefix: str, database: int) -> None:
        """Raises ConfigurationError for a prefix that could be taken for something else."""
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", prefix):
            raise ConfigurationError(f"a prefix has letters, digits, '_', '.' and '-', not {prefix!r}")
        self._prefix = prefix
        # Redis announces to every database; what is of another one must not be heard.
        self._announced = f"{prefix}:{database}"

    def meta(self, room: str) -> bytes:
        """A hash: the epoch, the last offset, and who published last."""
        return self._of("meta", room)

    def log(self, room: str) -> bytes:
        """A stream: the publications of a log room."""
        return self._of("log", room)

    def state(self, room: str) -> bytes:
        """A hash: the newest publication of each key of a state room."""
        return self._of("state", room)

    def deletions(self, room: str) -> bytes:
        """A sorted set: the deleted keys of a state room by the offset of their deletion."""
        return self._of("deletions", room)

    def once(self, room: str, publication_id: str) -> bytes:
        """A string: the position of the publication that was given this id by the application."""
        return self._of("once", room) + b":" + _digest(publication_id).encode()

    def declared(self) -> bytes:
        """A hash: what the applications declare of rooms."""
        return self._of("declared", "rooms")

    def session(self, session_id: str) -> bytes:
        """A hash: a session's record."""
        return self._of("session", session_id)

    def word(self, session_id: str) -> bytes:
        """A string: what the client of a session that is gone has to hear."""
        return self._of("word", session_id)

    def sessions(self, node: str) -> bytes:
        """A sorted set: the sessions a node speaks for, by when it last said so."""
        return self._of("sessions", node)

    def user(self, user_id: str) -> bytes:
        """A sorted set: a user's sessions, by when that was last said."""
        return self._of("user", _digest(user_id))

    def new(self, new: str, user_id: str | None) -> bytes:
        """A string: the session that a client's ``new`` became."""
        return self._of("new", _digest(repr((new, user_id))))

    def nodes(self) -> list[bytes]:
        """The registry: a sorted set of nodes by when their leases end, another one of those whose leases were ended,
        and the registry's own id.
        """
        return [self._of(kind, "nodes") for kind in ("nodes", "dead", "registry")]

    def room_channel(self, room: str) -> bytes:
        """Where a room is announced."""
        return f"{self._announced}:room:{{.{room}}}".encode()

    def node_channel(self, node: str) -> bytes:
        """Where a node is told what concerns nobody else."""
        return f"{self._announced}:node:{{.{node}}}".encode()

    def _of(self, kind: str, room: str) -> bytes:
        # The dot, since an empty tag would not be one.
        return f"{self._prefix}:{kind}:{{.{room}}}".encode()


def _digest(text: str) -> str:
    """Return a name for what somebody else has chosen."""
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=15).digest()
    return urlsafe_b64encode(digest).decode()
