"""Nodes behind a proxy, for the tests of what the documentation tells people to write for several."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from quart import Quart

from multitransport import MultiTransport, Session
from multitransport.testing.server import free_port, serve
from tests.proxies import documented, haproxy, nginx

__all__ = ["PAGE", "PROXIES", "Node", "hello", "posted", "proxied"]

PAGE = "howto/deploy-nodes.md"
PROXIES = {"nginx": nginx, "haproxy": haproxy}
_PORTS = ("8001", "8002", "8003")
_news = itertools.count()


@dataclass
class Node:
    """An application of its own. ``served`` begins to serve it, and what that gives stops it."""

    settings: dict[str, Any] = field(default_factory=dict)
    visitors: list[str | None] = field(default_factory=list)
    requests: int = 0
    """How many requests and WebSockets came here."""

    def __post_init__(self) -> None:
        self.app = Quart(__name__)
        self.app.secret_key = "a secret of the tests"
        self.rt = MultiTransport(self.app, **self.settings)
        exec(documented("howto/deploy.md", "python"), {"app": self.app})

        inner = self.app.asgi_app

        async def counted(scope: Any, receive: Any, send: Any) -> None:
            self.requests += scope["type"] != "lifespan"
            await inner(scope, receive, send)

        self.app.asgi_app = counted  # type: ignore[method-assign]

        @self.rt.on_connect
        async def connected(client: Session) -> None:
            self.visitors.append(client.remote_addr)

        @self.rt.room("news/<name>", history=10)
        async def join_news(client: Session, name: str) -> None: ...

        @self.rt.on("say")
        async def say(client: Session, text: str) -> int:
            return (await self.rt.publish("news/hall", "said", text)).offset

        @self.app.get("/")
        async def page() -> str:
            return "a page"

    def served(self) -> AbstractAsyncContextManager[str]:
        """Serve it until this ends."""
        return serve(self.app)

    @property
    def node(self) -> Any:
        """What runs."""
        return self.app.extensions["multitransport"].running.node


@asynccontextmanager
async def proxied(proxy: str, upstreams: Sequence[str], folder: Path) -> AsyncIterator[str]:
    """Run the proxy as the page says; where the page has more servers than there are, nobody is at the others."""
    run: Callable[..., AbstractAsyncContextManager[str]] = PROXIES[proxy]
    addresses = {f"127.0.0.1:{port}": f"127.0.0.1:{free_port()}" for port in _PORTS}
    addresses.update(
        (f"127.0.0.1:{port}", url.removeprefix("http://")) for port, url in zip(_PORTS, upstreams, strict=False)
    )
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(run(PAGE, addresses, folder))


def hello(attach: int = 1, **options: Any) -> bytes:
    """Return the hello of a new session."""
    new = f"{next(_news):024d}"
    return httpx.Request("POST", "http://x", json=["hello", {"v": 1, "new": new, "attach": attach, **options}]).content


async def posted(http: httpx.AsyncClient, url: str, *frames: bytes) -> httpx.Response:
    """Post a message."""
    return await http.post(url, content=b"\n".join(frames), headers={"Content-Type": "application/x-ndjson"})
