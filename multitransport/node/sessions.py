"""The sessions of this node, by id and by user."""

from __future__ import annotations

from collections.abc import Iterator

from multitransport.node.session import Session

__all__ = ["Sessions"]


class Sessions:
    """Sessions that have not ended."""

    def __init__(self) -> None:
        self._by_id: dict[str, Session] = {}
        self._by_user: dict[str, dict[str, Session]] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._by_id.values()))

    def get(self, session_id: str) -> Session | None:
        """Return the session of this id."""
        return self._by_id.get(session_id)

    def of_user(self, user_id: str) -> list[Session]:
        """Return a user's sessions."""
        return list(self._by_user.get(user_id, {}).values())

    def add(self, client: Session) -> Session:
        """Add a session, unless there is one with its id; return the one that is there."""
        found = self._by_id.setdefault(client.session_id, client)
        if found is client and client.user_id is not None:
            self._by_user.setdefault(client.user_id, {})[client.session_id] = client
        return found

    def remove(self, client: Session) -> None:
        """Remove a session that has ended."""
        self._by_id.pop(client.session_id, None)
        if client.user_id is not None and (own := self._by_user.get(client.user_id)) is not None:
            own.pop(client.session_id, None)
            if not own:
                del self._by_user[client.user_id]
