"""The command `multitransport run`."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import click
from flask.logging import default_handler

from multitransport.cli.listening import forget, listen, url_of
from multitransport.cli.loading import load_app
from multitransport.cli.reloading import Lifeline, run_reloading
from multitransport.cli.serving import Server, leave_deflate_off

__all__ = ["run"]


@click.command()
@click.argument("app", metavar="MODULE:APP")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, help="Port to listen on; 0 takes a free one.")
@click.option("--bind", help="HOST:PORT or unix:PATH to listen on, in place of --host and --port.")
@click.option(
    "--reload",
    "reloading",
    is_flag=True,
    help="Start anew when a .py, .html, .css or .js file below the working directory changes.",
)
@click.option(
    "--deflate", is_flag=True, help="Let WebSocket clients negotiate permessage-deflate; it costs memory and speed."
)
@click.option(
    "--grace",
    default=2.0,
    show_default=True,
    help="Seconds that open connections are given to end when the server stops.",
)
@click.option(
    "--root-path",
    default="",
    help="Where a proxy mounts the application, such as /app, whether it takes that off or not.",
)
@click.option("--backlog", default=2048, show_default=True, help="How many connections may wait to be accepted.")
@click.option("--uvloop/--no-uvloop", "uvloop", default=None, help="Use uvloop; by default where it is installed.")
@click.option("--access-log", is_flag=True, help="Log requests to standard output.")
def run(app: str, *, host: str, port: int, bind: str | None, reloading: bool, **options: Any) -> None:
    """Serve the ASGI application APP of MODULE, or what `MODULE:factory()` returns, by Hypercorn.

    It is one process. Ctrl-C or SIGTERM sends every client off, to come back in a moment, and ends the process within
    the grace; a second signal ends it at once.
    """
    lifeline = Lifeline.of_this_process()
    if lifeline is not None:
        _serve(app, lifeline.listener, **options)
        return
    listener = listen(bind or _address(host, port), options["backlog"])
    url = url_of(listener)
    try:
        if reloading:
            run_reloading(listener, grace_seconds=options["grace"])
        else:
            _serve(app, listener, **options)
    finally:
        forget(url)


def _serve(
    target: str,
    listener: socket.socket,
    *,
    deflate: bool,
    grace: float,
    root_path: str,
    backlog: int,
    uvloop: bool | None,
    access_log: bool,
) -> None:
    loop_factory = _loop_factory(uvloop)
    root_path = f"/{root_path.strip('/')}".rstrip("/")
    if not deflate:
        leave_deflate_off()
    announcement = f"{target} is served on {url_of(listener)}{root_path} (Ctrl-C stops it)"
    app = load_app(target)
    _write_log()
    server = Server(app, listener, grace_seconds=grace, announce=partial(click.echo, announcement))
    server.config.backlog = backlog
    server.config.root_path = root_path
    server.config.accesslog = "-" if access_log else None
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(server.serve())


def _write_log() -> None:
    """Write what is logged, with its time, unless the application has said how it wants that."""
    if logging.root.handlers:
        return
    # As Hypercorn writes itself, and its workers do.
    logging.basicConfig(
        format="[%(asctime)s] [%(process)d] [%(levelname)s] %(message)s", datefmt="%Y-%m-%d %H:%M:%S %z"
    )
    logging.getLogger("multitransport").setLevel(logging.INFO)
    for logger in logging.root.manager.loggerDict.values():
        if isinstance(logger, logging.Logger):
            logger.removeHandler(default_handler)  # what `app.logger` takes for want of another would write all twice


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _loop_factory(wanted: bool | None) -> Callable[[], asyncio.AbstractEventLoop] | None:
    installed = find_spec("uvloop") is not None
    if wanted and not installed:
        raise click.ClickException("uvloop is not installed: pip install 'multitransport[hypercorn]'")
    if wanted is False or not installed:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = import_module("uvloop").new_event_loop
    return factory
