"""What a node may use of Quart: its contexts, its threads for plain functions, and what its refusals mean."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from http import HTTPStatus
from typing import Any

import quart.ctx
from quart import Quart, Request
from werkzeug.datastructures import Headers
from werkzeug.exceptions import HTTPException
from werkzeug.http import HTTP_STATUS_CODES

from multitransport.errors import Refuse
from multitransport.node.host import Scope

__all__ = ["QuartHost"]

# Quart before 0.23 has a context of its own for requests, which shares the application's context (and its `g`) if there
# is one.
_SHARES_APP_CONTEXT = hasattr(quart.ctx, "RequestContext")

# The connect check is the same act on every transport, and whatever body there was has been read already.
_ABOUT_A_BODY = frozenset({b"content-length", b"content-type", b"content-encoding", b"transfer-encoding"})


class QuartHost:
    """The Host of a Quart application."""

    def __init__(self, app: Quart) -> None:
        self._app = app

    @asynccontextmanager
    async def request_context(self, scope: Scope) -> AsyncGenerator[None]:
        """Enter a request context for the scope of any transport, presented as a GET without a body.

        Runs ``before_request`` functions first and teardown functions last. Raises Refuse where a ``before_request``
        answers or aborts.
        """
        refusal: Refuse | None = None
        outer = self.app_context() if _SHARES_APP_CONTEXT else nullcontext()
        async with outer, self._app.request_context(_as_get_request(self._app, scope)) as context:
            try:
                answer = await self._app.preprocess_request(context)
                if answer is None:
                    yield
                else:
                    response = await self._app.make_response(answer)
                    refusal = _refusal_of_status(response.status_code, response.location or "")
            except Refuse as error:
                refusal = error  # to a teardown function a refusal is no failure, as in any Quart view
            except HTTPException as error:
                refusal = _refusal_of_exception(error)
        if refusal is not None:
            raise refusal

    def app_context(self) -> AbstractAsyncContextManager[None]:
        """Enter an application context of its own."""
        return self._app.app_context()  # type: ignore[return-value] # Quart annotates __aexit__ too narrowly

    def ensure_async(self, function: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
        """Return the function as one that can be awaited;

        Quart runs a plain one in a thread, within the same context.
        """
        return self._app.ensure_async(function)

    def refusal(self, error: BaseException) -> Refuse | None:
        """Return what ``abort(…)`` means: its status by name, such as ``forbidden``, with its description."""
        return _refusal_of_exception(error) if isinstance(error, HTTPException) else None


def _as_get_request(app: Quart, scope: Scope) -> Request:
    headers = Headers()
    headers["Remote-Addr"] = (scope.get("client") or ["<local>"])[0]
    for name, value in scope["headers"]:
        if name.lower() not in _ABOUT_A_BODY:
            headers.add(name.decode("latin-1").title(), value.decode("latin-1"))
    root_path = scope.get("root_path", "")
    presented: dict[str, Any] = {
        **scope,
        "type": "http",
        "method": "GET",
        "scheme": scope["scheme"].replace("ws", "http"),
    }
    request = app.request_class(
        "GET",
        presented["scheme"],
        scope["path"].removeprefix(root_path),
        scope["query_string"],
        headers,
        root_path,
        scope.get("http_version", "1.1"),
        presented,  # type: ignore[arg-type] # a TypedDict to Quart
        max_content_length=app.config["MAX_CONTENT_LENGTH"],
        body_timeout=app.config["BODY_TIMEOUT"],
        send_push_promise=_push_nothing,
    )
    request.body.set_complete()
    return request


async def _push_nothing(_path: str, _headers: Headers) -> None:
    """Decline: a connect check has no response a push could belong to."""


def _refusal_of_exception(error: HTTPException) -> Refuse:
    return _refusal_of_status(error.get_response().status_code, error.description or "")


def _refusal_of_status(status: int, message: str) -> Refuse:
    if status < HTTPStatus.MULTIPLE_CHOICES:
        return Refuse("refused", message)
    if status < HTTPStatus.BAD_REQUEST:
        return Refuse("redirected", message)
    name = HTTP_STATUS_CODES.get(status, f"http {status}")
    return Refuse(re.sub(r"[^a-z0-9]+", "_", name.lower().replace("'", "")), message)
