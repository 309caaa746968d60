"""The sessions of this node, by id and by user."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from multitransport.brokers.base import LastWord
from multitransport.node.session import Session

__all__ = ["Sessions"]


class Sessions(Mapping[str, Session]):
    """Sessions that have not ended, by id."""

    def __init__(self) -> None:
        self._by_id: dict[str, Session] = {}
        self._by_user: dict[str, dict[str, Session]] = {}
        self._ending: dict[str, LastWord | None] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_id)

    def __getitem__(self, session_id: str) -> Session:
        return self._by_id[session_id]

    def of_user(self, user_id: str) -> list[Session]:
        """Return a user's sessions."""
        return list(self._by_user.get(user_id, {}).values())

    def add(self, client: Session) -> None:
        """Add a new session."""
        self._by_id[client.session_id] = client
        if client.user_id is not None:
            self._by_user.setdefault(client.user_id, {})[client.session_id] = client

    def remove(self, client: Session) -> None:
        """Remove a session that is not this node's any more."""
        self._by_id.pop(client.session_id, None)
        if client.user_id is not None and (own := self._by_user.get(client.user_id)) is not None:
            own.pop(client.session_id, None)
            if not own:
                del self._by_user[client.user_id]

    def end(self, client: Session, word: LastWord | None) -> None:
        """A session is ending: until its store knows, this does."""
        self.remove(client)
        self._ending[client.session_id] = word

    def ended(self, client: Session) -> None:
        """The store knows."""
        self._ending.pop(client.session_id, None)

    def is_ending(self, session_id: str) -> bool:
        """Tell whether a session ends at the moment."""
        return session_id in self._ending

    def word_of(self, session_id: str) -> LastWord | None:
        """Return with what a session ends at the moment."""
        return self._ending.get(session_id)
