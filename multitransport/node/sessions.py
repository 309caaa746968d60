"""The sessions of this node, by id and by user."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from multitransport.node.attachment import Close
from multitransport.node.session import Session
from multitransport.protocol.codes import is_final

__all__ = ["Sessions"]


class Sessions(Mapping[str, Session]):
    """Sessions that have not ended, by id."""

    def __init__(self) -> None:
        self._by_id: dict[str, Session] = {}
        self._by_user: dict[str, dict[str, Session]] = {}
        self._untold: dict[str, tuple[Close, float]] = {}

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
        """Remove a session that has ended."""
        self._by_id.pop(client.session_id, None)
        if client.user_id is not None and (own := self._by_user.get(client.user_id)) is not None:
            own.pop(client.session_id, None)
            if not own:
                del self._by_user[client.user_id]

    def keep_untold(self, client: Session, close: Close, until: float, most: int) -> None:
        """Keep until then why the application ended a session whose client may not have heard it; the latest are kept.

        What is kept later must be kept longer.
        """
        self._untold[client.session_id] = close, until
        while len(self._untold) > most:
            del self._untold[next(iter(self._untold))]

    def forget_untold(self, now: float) -> None:
        """Forget what it is too late for to come back."""
        while self._untold:
            oldest = next(iter(self._untold))
            if self._untold[oldest][1] > now:
                break
            del self._untold[oldest]

    def untold(self, session_id: str) -> Close | None:
        """Return why a session ended whose client comes back, each time where that is final, else once."""
        close, _ = self._untold.get(session_id, (None, 0.0))
        if close is not None and not is_final(close.code):
            del self._untold[session_id]
        return close
