"""What a transport tells the node of the HTTP request that carries it."""

from __future__ import annotations

import hashlib
from http.cookies import CookieError, SimpleCookie

from werkzeug.datastructures import Headers

from multitransport.node.host import Scope

__all__ = ["Request"]


class Request:
    """An ASGI scope, read lazily."""

    __slots__ = ("scope",)

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    @property
    def headers(self) -> Headers:
        """The request's headers."""
        return Headers([(name.decode("latin-1"), value.decode("latin-1")) for name, value in self.scope["headers"]])

    @property
    def cookies(self) -> dict[str, str]:
        """The request's cookies; unreadable ones are left out."""
        jar: SimpleCookie = SimpleCookie()
        for part in self.header(b"cookie").split(";"):
            try:
                jar.load(part)
            except CookieError:
                continue
        return {name: morsel.value for name, morsel in jar.items()}

    @property
    def remote_addr(self) -> str | None:
        """The peer's address as the server saw it."""
        client = self.scope.get("client")
        return str(client[0]) if client else None

    @property
    def test_user(self) -> str | None:
        """The user an in-process test client is signed in as; no request from a network can carry it."""
        extension = (self.scope.get("extensions") or {}).get("multitransport.test")
        return None if extension is None else extension.get("user")

    def header(self, name: bytes) -> str:
        """Return a header, joined as HTTP joins repeated ones; empty where it is absent."""
        separator = "; " if name == b"cookie" else ", "
        return separator.join(value.decode("latin-1") for key, value in self.scope["headers"] if key == name)

    def credential(self) -> bytes:
        """Return a fingerprint of what identifies the user."""
        text = f"{self.header(b'cookie')}\n{self.header(b'authorization')}\n{self.test_user}"
        return hashlib.sha256(text.encode("latin-1", "replace")).digest()
