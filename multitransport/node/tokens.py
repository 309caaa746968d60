"""Resume tokens: they name a session and prove that the bearer was given it."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

from itsdangerous import BadData, URLSafeSerializer

__all__ = ["Tokens", "hash_secret"]


def hash_secret(secret: str) -> bytes:
    """Return what the record keeps of a token's secret."""
    return hashlib.sha256(secret.encode()).digest()


class Tokens:
    """Signs with the last key, verifies with all (itsdangerous: oldest first)."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._serializer = URLSafeSerializer(
            list(keys),
            salt="multitransport.session.v1",
            signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256},
        )

    def sign(self, session_id: str, secret: str) -> str:
        """Return the token."""
        token: str | bytes = self._serializer.dumps([session_id, secret])
        return token if isinstance(token, str) else token.decode()

    def read(self, token: str) -> tuple[str, bytes] | None:
        """Return the session id and the hash of the secret; None where the token is not one of ours."""
        try:
            session_id, secret = self._serializer.loads(token)
            return str(session_id), hash_secret(str(secret))
        except (BadData, ValueError, TypeError):
            return None

    @staticmethod
    def same(one: bytes, other: bytes) -> bool:
        """Compare hashes in constant time."""
        return hmac.compare_digest(one, other)
