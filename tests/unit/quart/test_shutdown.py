from __future__ import annotations

import asyncio
from importlib import metadata
from types import ModuleType

import pytest
from quart import Quart

from multitransport.quart import shutdown
from multitransport.quart.extension import MultiTransport
from multitransport.quart.shutdown import server_stopping
from multitransport.testing.server import serve


def watching_app(stopping: list[asyncio.Future[None]]) -> Quart:
    app = Quart(__name__)

    @app.before_serving
    async def watch() -> None:
        stopping.append(server_stopping())

    return app


async def test_hypercorn_tells_before_it_waits_for_its_connections() -> None:
    stopping: list[asyncio.Future[None]] = []
    told_by_then = []
    app = watching_app(stopping)

    @app.after_serving
    async def look() -> None:
        told_by_then.append(stopping[0].done())

    async with serve(app):
        assert not stopping[0].done()
    assert told_by_then == [True]


async def test_each_of_two_servers_in_one_loop_tells_its_own_application() -> None:
    stopping: list[asyncio.Future[None]] = []
    async with serve(watching_app(stopping)):
        async with serve(watching_app(stopping)):
            assert [one.done() for one in stopping] == [False, False]
        assert [one.done() for one in stopping] == [False, True]


async def test_a_future_that_nobody_waits_for_any_more_is_left_alone() -> None:
    stopping: list[asyncio.Future[None]] = []
    async with serve(watching_app(stopping)):
        stopping[0].cancel()
    assert stopping[0].cancelled()


@pytest.mark.parametrize(("watched", "draining"), [(True, True), (False, False)])
async def test_the_setting_turns_it_off(*, watched: bool, draining: bool) -> None:
    app = Quart(__name__)
    MultiTransport(app, hypercorn_drain=watched)
    seen = []

    # Before our own function of the same kind, which drains in any case.
    async def look() -> None:
        seen.append(app.extensions["multitransport"].running.node.draining)

    app.after_serving_funcs.insert(0, look)
    async with serve(app):
        pass
    assert seen == [draining]


class WorkerContext:
    """Stands for what a Hypercorn of tomorrow may have under this name."""


@pytest.mark.parametrize(("version", "replaced"), [("0.18.9", True), ("0.19.0", False), ("1.0", False)])
def test_an_unknown_hypercorn_is_left_alone(monkeypatch: pytest.MonkeyPatch, version: str, *, replaced: bool) -> None:
    run = ModuleType("hypercorn.asyncio.run")
    run.WorkerContext = WorkerContext  # type: ignore[attr-defined]
    monkeypatch.setattr(metadata, "version", lambda _: version)
    shutdown._watch_hypercorn(run)
    assert (run.WorkerContext is not WorkerContext) is replaced


@pytest.mark.parametrize("run", [None, ModuleType("hypercorn.asyncio.run")])
def test_without_the_names_nothing_is_done(run: ModuleType | None) -> None:
    shutdown._watch_hypercorn(run)
    assert not hasattr(run, "WorkerContext")
