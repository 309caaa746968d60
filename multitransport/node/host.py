"""What a node asks of the web framework it lives in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from multitransport.errors import Refuse

__all__ = ["Host", "Scope"]

Scope = MutableMapping[str, Any]


class Host(Protocol):
    """The framework's contexts. The core and the transports know nothing of it but this."""

    def request_context(self, scope: Scope) -> AbstractAsyncContextManager[None]:
        """Enter a request's context for an ASGI scope; a WebSocket's is presented as a GET request.

        Raises Refuse where the application answers the request itself (a ``before_request`` that returns a response).
        """
        ...

    def app_context(self) -> AbstractAsyncContextManager[None]:
        """Enter the application's context."""
        ...

    def ensure_async(self, function: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
        """Return the function as one that can be awaited; a plain one runs in a thread."""
        ...

    def refusal(self, error: BaseException) -> Refuse | None:
        """Return the refusal an exception of the framework stands for (``abort(403)``), else None."""
        ...
