"""The transports as one ASGI application, mounted under a prefix."""

from __future__ import annotations

import hashlib
from collections.abc import Coroutine
from importlib.resources import files
from typing import Any

from multitransport.node.attachment import Close
from multitransport.node.node import Node
from multitransport.node.request import Request
from multitransport.protocol.codes import CloseCode
from multitransport.protocol.frames import encode
from multitransport.transports.asgi import Headers, Receive, Scope, Send, respond, respond_close
from multitransport.transports.origin import check_origin, preflight_headers
from multitransport.transports.room import read_room
from multitransport.transports.send import send_frames
from multitransport.transports.stream import poll, sse
from multitransport.transports.websocket import websocket

__all__ = ["TransportApp", "client_script"]


def client_script() -> bytes:
    """Return the browser client of this version."""
    return files("multitransport").joinpath("static/client.js").read_bytes()


class TransportApp:
    """Serves the paths of docs/reference/protocol.md below ``prefix``; ``owns`` tells which requests are its own."""

    def __init__(self, node: Node, prefix: str) -> None:
        self._node = node
        self._prefix = prefix + "/"
        self._script = client_script()
        self._etag = b'"%s"' % hashlib.sha256(self._script).hexdigest()[:32].encode()

    def owns(self, scope: Scope) -> bool:
        """Tell whether a request is for this application."""
        return scope["type"] in ("http", "websocket") and self._path(scope).startswith(self._prefix)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Coroutine[Any, Any, None]:
        """Serve one request or WebSocket."""
        # What only chooses is no coroutine: each connection would keep it as long as it lives.
        path = self._path(scope)[len(self._prefix) :]
        if scope["type"] != "websocket":
            return self._serve(path, scope, receive, send)
        if path == "websocket":
            return websocket(self._node, scope, receive, send)
        return _refuse(receive, send)

    async def _serve(self, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        headers: Headers = []
        try:
            headers = check_origin(Request(scope), self._node.settings.origins)
            await self._http(path, scope, receive, send, headers)
        except ConnectionError:
            return  # the client left while its body was read
        except Close as close:
            await respond_close(send, close, headers)

    def _http(
        self, path: str, scope: Scope, receive: Receive, send: Send, headers: Headers
    ) -> Coroutine[Any, Any, None]:
        """Choose what serves a request. Raises Close."""
        if scope["method"] == "OPTIONS":
            return respond(send, 204, [*headers, *preflight_headers()], b"")
        match path:
            case "sse":
                return sse(self._node, scope, receive, send, headers)
            case "poll":
                return poll(self._node, scope, receive, send, headers)
            case "send":
                return send_frames(self._node, scope, receive, send, headers)
            case "client.js" | "health" if scope["method"] not in ("GET", "HEAD"):
                raise Close(CloseCode.METHOD_NOT_ALLOWED, f"use GET, not {scope['method']}", allow="GET, HEAD")
            case "client.js":
                return self._client(scope, send, headers)
            case "health":
                return self._health(send, headers)
            case "websocket":
                reason = "this path is for WebSocket: a GET that asks for an upgrade"
                raise Close(CloseCode.METHOD_NOT_ALLOWED, reason, allow="GET")
            case _ if path.startswith("rooms/"):
                return read_room(self._node, scope, receive, send, headers, path.removeprefix("rooms/"))
            case _:
                raise Close(CloseCode.NOT_FOUND, f"there is nothing at {path[:80]!r}")

    async def _client(self, scope: Scope, send: Send, headers: Headers) -> None:
        # Revalidated each time, so that a page never runs an older client than its server.
        told = [*headers, (b"etag", self._etag), (b"content-type", b"text/javascript; charset=utf-8")]
        fresh = self._etag.decode() in Request(scope).header(b"if-none-match")
        await send(
            {
                "type": "http.response.start",
                "status": 304 if fresh else 200,
                "headers": [*told, (b"cache-control", b"no-cache")],
            }
        )
        body = b"" if fresh or scope["method"] == "HEAD" else self._script
        # Said though it is the default: the test client of Quart 0.23 asks for it.
        await send({"type": "http.response.body", "body": body, "more_body": False})

    async def _health(self, send: Send, headers: Headers) -> None:
        told = {"status": "ready"}
        if self._node.draining:
            told = {"status": "draining"}
        elif (fault := self._node.fault) is not None:
            # What comes after a colon names hosts, which are nobody's business; the log has it.
            told = {"status": "unavailable", "reason": fault.partition(":")[0]}
        status = 200 if told["status"] == "ready" else 503
        await respond(send, status, [*headers, (b"content-type", b"application/json")], encode(told))

    def _path(self, scope: Scope) -> str:
        """Return the path below the root path, whether or not the server or a proxy has taken that off already."""
        path: str = scope["path"]
        root: str = scope.get("root_path", "").rstrip("/")
        return path.removeprefix(root) if root and path.startswith(root + "/") else path


async def _refuse(receive: Receive, send: Send) -> None:
    """Refuse a WebSocket to a path that has none."""
    await receive()
    await send({"type": "websocket.close", "code": int(CloseCode.NOT_FOUND)})
