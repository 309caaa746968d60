"""Which pages may talk to this server. Browsers do not guard WebSockets, so the server looks itself."""

from __future__ import annotations

from urllib.parse import urlsplit

from multitransport.node.attachment import Close
from multitransport.node.request import Request
from multitransport.protocol.codes import CloseCode
from multitransport.transports.asgi import Headers

__all__ = ["check_origin", "preflight_headers"]

_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


def check_origin(request: Request, allowed: tuple[str, ...]) -> Headers:
    """Return the CORS headers of the answer. Raises Close ``bad_origin``.

    The page's own origin is told by its host: behind a proxy that ends TLS the scheme here is not the one the browser
    sees.
    """
    origin = request.header(b"origin")
    if not origin:
        # Browsers send no Origin only with a GET to their own site; the answer to another site's they cannot read.
        if request.header(b"cookie") and request.scope.get("method") != "GET":
            raise Close(CloseCode.BAD_ORIGIN, "a request with cookies must say its Origin")
        return []
    if _same_host(origin, request):
        return []
    if origin in allowed:
        credentials = [(b"access-control-allow-credentials", b"true")]
        return [(b"access-control-allow-origin", origin.encode("latin-1")), (b"vary", b"origin"), *credentials]
    if "*" in allowed and not request.header(b"cookie"):
        return [(b"access-control-allow-origin", b"*")]
    raise Close(CloseCode.BAD_ORIGIN, f"pages of {origin} may not connect here; see MULTITRANSPORT_ORIGINS")


def preflight_headers() -> Headers:
    """Return what a preflight request is told."""
    return [
        (b"access-control-allow-methods", b"GET, POST"),
        (b"access-control-allow-headers", b"content-type, authorization, last-event-id"),
        (b"access-control-max-age", b"600"),
    ]


def _same_host(origin: str, request: Request) -> bool:
    try:
        page = urlsplit(origin)
        port = page.port or _DEFAULT_PORTS.get(page.scheme)
        host = urlsplit(f"//{request.header(b'host')}")
        same_port = port == (host.port or _DEFAULT_PORTS.get(page.scheme))
        return page.hostname is not None and page.hostname == host.hostname and same_port
    except ValueError:
        return False
