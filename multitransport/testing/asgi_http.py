"""An httpx transport to an ASGI app in this process that streams: httpx's own waits for the end of the answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx

from multitransport.testing.asgi_call import App, AsgiCall

__all__ = ["AsgiTransport", "asgi_scope"]


def asgi_scope(url: httpx.URL, headers: list[tuple[bytes, bytes]], extensions: dict[str, Any]) -> dict[str, Any]:
    """Return what the scopes of HTTP requests and WebSockets have in common."""
    return {
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "scheme": url.scheme,
        "path": url.path,
        "raw_path": url.raw_path.split(b"?")[0],
        "query_string": url.query,
        "root_path": "",
        "headers": [(name.lower(), value) for name, value in headers],
        "client": ("127.0.0.1", 1),
        "server": (url.host, url.port or 80),
        "extensions": extensions,
        "state": {},
    }


class AsgiTransport(httpx.AsyncBaseTransport):
    """Calls ``app`` for each request. ``extensions`` are put into the scope."""

    def __init__(self, app: App, extensions: dict[str, Any] | None = None) -> None:
        self._app = app
        self._extensions = extensions or {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return the answer as soon as the app has begun it; 500 where it ends without."""
        scope = asgi_scope(request.url, request.headers.raw, self._extensions)
        body = await request.aread()
        call = AsgiCall(self._app, {**scope, "type": "http", "method": request.method})
        call.put({"type": "http.request", "body": body, "more_body": False})
        try:
            start = await call.next()
        except BaseException:
            await call.end(_DISCONNECT)
            raise
        if start is None:
            return httpx.Response(500)
        return httpx.Response(start["status"], headers=start.get("headers", []), stream=_Body(call))


class _Body(httpx.AsyncByteStream):
    def __init__(self, call: AsgiCall) -> None:
        self._call = call

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (event := await self._call.next()) is not None:
            if event.get("body"):
                yield event["body"]
            if not event.get("more_body", False):
                return
        raise httpx.RemoteProtocolError("the application ended in the middle of its answer")

    async def aclose(self) -> None:
        await self._call.end(_DISCONNECT)


_DISCONNECT = {"type": "http.disconnect"}
