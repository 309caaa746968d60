"""What pages need to find the browser client: endpoints for ``url_for`` and the tags of ``multitransport_script``."""

from __future__ import annotations

import json

from markupsafe import Markup
from quart import Quart, Response, abort, has_request_context, request, url_for

__all__ = ["add_endpoints", "script_tags"]

_PATHS = {
    "client": "client.js",
    "health": "health",
    "poll": "poll",
    "room": "rooms/<path:room>",
    "send": "send",
    "sse": "sse",
    "websocket": "websocket",
}


def add_endpoints(app: Quart, prefix: str) -> None:
    """Name each path below the prefix, as ``multitransport.client``, for ``url_for`` and ``request.endpoint``."""
    for name, path in _PATHS.items():
        app.add_url_rule(f"{prefix}/{path}", f"multitransport.{name}", _not_running, methods=["GET", "POST"])


async def _not_running(**_values: str) -> Response:
    """Answer what gets past the transports, which happens only while there are none."""
    abort(503, "multitransport is not running: the server has not run the application's lifespan")


def script_tags(prefix: str, nonce: str | None) -> Markup:
    """Return an import map, by which modules of the page can ``import { connect } from "multitransport"``, and a
    preload of the client.

    In a request the address is relative to the page's, which holds behind a proxy that strips a prefix, too.
    """
    address = f"{_way_up()}{prefix[1:]}/client.js" if has_request_context() else url_for("multitransport.client")
    imports = json.dumps({"imports": {"multitransport": address}}).replace("<", "\\u003c")
    mark = Markup(' nonce="{}"').format(nonce) if nonce else ""
    return Markup('<script type="importmap"{}>{}</script>\n<link rel="modulepreload" href="{}"{}>').format(
        mark,
        Markup(imports),  # noqa: S704 - nothing in it can end the element
        address,
        mark,
    )


def _way_up() -> str:
    """Return the way from the page of this request to the application's root: ``./`` or as many ``../`` as it takes."""
    path: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    below_root = path.removeprefix(request.root_path.encode())
    return "../" * (below_root.count(b"/") - 1) or "./"
