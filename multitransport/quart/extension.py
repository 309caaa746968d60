"""MultiTransport: the Quart extension."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from quart import Quart, current_app, has_app_context
from quart.typing import TestClientProtocol

from multitransport.errors import ConfigurationError, MultiTransportError
from multitransport.quart.pages import add_endpoints, script_tags
from multitransport.quart.serving import Running, Serving
from multitransport.quart.verbs import Verbs

if TYPE_CHECKING:
    from multitransport.client import Client

__all__ = ["MultiTransport"]

EXTENSION = "multitransport"


class MultiTransport(Verbs):
    """Rooms, requests and live updates for Quart applications.

    It holds declarations only, so one may serve many applications. Keyword arguments are settings by their lower-case
    names; the configuration of an application (``MULTITRANSPORT_<NAME>``), read whenever it is started, overrides them.
    """

    def __init__(self, app: Quart | None = None, **settings: Any) -> None:
        super().__init__()
        self._settings = settings
        self._apps: WeakSet[Quart] = WeakSet()
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Quart) -> None:
        """Put the transports in front of the application and start a node with each of its lifespans.

        Adds the template global ``multitransport_script(nonce=None)`` and the endpoint ``multitransport.client`` for
        ``url_for``. Raises ConfigurationError for a setting that cannot be, and where the application has a
        MultiTransport already.
        """
        if EXTENSION in app.extensions:
            raise ConfigurationError(f"{app.name} has a MultiTransport already")
        serving = Serving(app, self, self._settings)
        app.extensions[EXTENSION] = serving
        app.asgi_app = serving  # type: ignore[method-assign, assignment] # Quart's types of ASGI are TypedDicts
        # Not while_serving: Quart makes its generators when they are declared, so that they last for one lifespan only.
        app.before_serving(serving.start)
        app.after_serving(serving.stop)
        add_endpoints(app, serving.prefix)
        app.add_template_global(partial(script_tags, serving.prefix), "multitransport_script")
        self._apps.add(app)

    @asynccontextmanager
    async def test_client(
        self,
        app: Quart | None = None,
        *,
        user: str | None = None,
        cookies: Mapping[str, str] | TestClientProtocol | None = None,
        headers: Mapping[str, str] | None = None,
        auth: Any = None,
        transport: str | Sequence[str] = "websocket",
    ) -> AsyncGenerator[Client]:
        """Give a connected client of the application, in this process and without sockets, for its own tests.

        ``app`` may be left out where there is only one. ``cookies`` are a mapping, or those of a Quart test client that
        has logged in, say. With a ``user`` the connect check is not run: the session is that user's. The application's
        lifespan is run unless it runs already. Needs ``multitransport[client]``.

        Raises Refused where the connect check refuses, ConnectionClosed where it fails; TypeError or ValueError for a
        user id that is none.
        """
        from multitransport.testing.asgi import connect_asgi  # noqa: PLC0415 - what it needs is optional

        app = app or self._only_app()
        serving: Serving = app.extensions[EXTENSION]
        sent = cookies if cookies is None or isinstance(cookies, Mapping) else _cookies_of(cookies)
        asgi_app: Any = app  # Quart's types of ASGI are TypedDicts
        options = {"user": user, "cookies": sent, "headers": headers, "auth": auth, "transport": transport}
        lifespan = app.test_app() if serving.running is None else nullcontext()
        async with lifespan, connect_asgi(asgi_app, serving.prefix, **options) as client:
            yield client

    def _may_declare(self) -> None:
        for app in self._apps:
            serving: Serving = app.extensions[EXTENSION]
            if serving.running is not None:
                raise ConfigurationError(f"{app.name} runs already: declare it before the application starts")

    def _only_app(self) -> Quart:
        apps = list(self._apps)
        if len(apps) != 1:
            raise MultiTransportError(f"this MultiTransport belongs to {len(apps)} applications: name the one to test")
        return apps[0]

    def _running(self) -> Running:
        servings: list[Serving] = [app.extensions[EXTENSION] for app in self._apps]
        if has_app_context() and current_app.extensions.get(EXTENSION) in servings:
            servings = [current_app.extensions[EXTENSION]]
        running = [serving.running for serving in servings if serving.running is not None]
        if not running:
            raise MultiTransportError(
                "multitransport is not running: it starts with the application's lifespan (before_serving)"
            )
        if len(running) > 1:
            raise MultiTransportError(
                "several applications run: publish within the context of one, `async with app.app_context()`"
            )
        return running[0]


def _cookies_of(client: TestClientProtocol) -> dict[str, str]:
    return {cookie.name: cookie.value or "" for cookie in client.cookie_jar or ()}
