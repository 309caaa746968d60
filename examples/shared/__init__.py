"""What the examples share: one MultiTransport, and the application around their pages."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

from quart import Blueprint, Quart, Response, current_app, g, request, session

from examples.shared.turns import turn
from multitransport import BrokerUnavailable, MultiTransport, Session

AGAIN_SECONDS = 0.5

rt = MultiTransport()


@rt.on_connect
async def recognise(client: Session) -> None:
    """Take the tabs of one browser for one user, by the cookie that the pages set."""
    client.user_id = session.get("visitor")


async def greet() -> None:
    """Give the page's scripts a name that nobody can guess, and a visitor who is new an id."""
    g.nonce = secrets.token_urlsafe(16)
    # Only an answer to a page can set a cookie: what carries a session finds it there or goes without.
    if request.blueprint != "multitransport":
        session.setdefault("visitor", secrets.token_hex(4))


async def restrict(response: Response) -> Response:
    """Let pages load from here and nowhere else, and run no scripts but their own."""
    response.headers["Content-Security-Policy"] = (
        f"default-src 'self'; script-src 'self' 'nonce-{g.nonce}'; style-src 'self'; img-src 'self' data:; "
        "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


def keep_running(pages: Blueprint, work: Callable[[], Coroutine[Any, Any, None]], *, everywhere: bool = False) -> None:
    """Run ``work`` from the start of serving to its end, and log it where it ends by itself.

    Of several nodes one does it at a time, or ``everywhere`` each. Where the broker is away it begins anew.
    """

    async def persist() -> None:
        while True:
            try:
                await work()
                return
            except* BrokerUnavailable as group:  # also of the task groups that work may have
                current_app.logger.warning("%s begins anew: %s", work.__qualname__, group.exceptions[0])
                await asyncio.sleep(AGAIN_SECONDS)

    async def in_turn() -> None:
        async with turn(work.__qualname__):
            await persist()

    @pages.while_app_serving
    async def own() -> AsyncGenerator[None]:
        logger = current_app.logger

        def report(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and task.exception():
                logger.error("%s has stopped", work.__qualname__, exc_info=task.exception())

        task = asyncio.create_task(persist() if everywhere else in_turn())
        task.add_done_callback(report)
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])


def serve(*examples: Blueprint) -> Quart:
    """Return an application of these examples: the first is at ``/``, each of the others under its name."""
    app = Quart(__name__, static_url_path="/shared")
    app.secret_key = os.environ.get("SECRET_KEY") or secrets.token_hex(32)
    app.config["SESSION_COOKIE_SAMESITE"] = "Lax"
    if broker := os.environ.get("MULTITRANSPORT_BROKER"):
        app.config["MULTITRANSPORT_BROKER"] = broker
    rt.init_app(app)
    for example in examples:
        app.register_blueprint(example, url_prefix=None if example is examples[0] else f"/{example.name}")
    home = f"{examples[0].name}.show"
    names = [example.name for example in examples if example.name != "index"]
    app.before_request(greet)
    app.after_request(restrict)
    app.context_processor(lambda: {"nonce": g.nonce, "home": home, "examples": names})
    return app
