"""A live dashboard of the machine it runs on, with who else is looking, and a small chat.

It shows process names to whoever can open it, so it listens on 127.0.0.1 unless told otherwise.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import platform
import secrets
from typing import Annotated, Any

import msgspec
from quart import Blueprint, render_template

from examples.dashboard.readings import Sampler, busiest, machine
from examples.shared import keep_running, rt
from multitransport import Refuse, Session

READINGS = "system/local"
INTERVAL_SECONDS = 0.1
PROCESSES_SECONDS = 2.0
# Five minutes, and what a page that was away for one more missed meanwhile.
HISTORY = 3000
RETENTION = 3600

pages = Blueprint("dashboard", __name__, static_folder="static", static_url_path="/static", template_folder="templates")


class Line(msgspec.Struct, forbid_unknown_fields=True):
    """What somebody says in the chat; `key` lets the page that sent it recognise it when it comes back."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=24)]
    text: Annotated[str, msgspec.Meta(min_length=1, max_length=280)]
    key: Annotated[str, msgspec.Meta(max_length=24)] = ""


@rt.room(
    READINGS,
    presence=True,
    history=HISTORY,
    retention_count=RETENTION,
    retention_seconds=RETENTION * INTERVAL_SECONDS,
    retention_bytes=8 << 20,
)
async def watch(client: Session) -> None:
    """Anybody may watch, and be seen watching; nobody but the server publishes."""


async def check_line(client: Session, event: str, data: Any) -> None:
    """Let a well-formed line through and refuse everything else, saying what is wrong with it."""
    if event != "line":
        raise Refuse("unknown_event", "the chat knows lines only")
    try:
        line = msgspec.convert(data, Line)
    except msgspec.ValidationError as error:
        raise Refuse("bad_line", str(error)) from error
    if not line.text.strip() or not line.name.strip():
        raise Refuse("bad_line", "there is nothing in it")


@rt.room("system/chat", history=50, retention_count=200, retention_seconds=86_400, on_publish=check_line)
async def enter(client: Session) -> None:
    """Anybody may come in, read the last 50 lines and say something."""


async def watch_processes(tables: asyncio.Queue[list[list[Any]]]) -> None:
    """Look at the processes now and then, in a thread, and hand over each table once the one before has been taken."""
    while True:
        await tables.put(await asyncio.to_thread(busiest, 8))
        await asyncio.sleep(PROCESSES_SECONDS)


async def publish_readings() -> None:
    """Publish a reading every tenth of a second.

    `n` counts them, so that a page can see for itself that it has them all, `r` names this run of the sampler, and `p`,
    every two seconds, is the table of the busiest processes.
    """
    sampler = Sampler()
    run = secrets.token_hex(3)
    tables: asyncio.Queue[list[list[Any]]] = asyncio.Queue(1)
    clock = asyncio.get_running_loop().time
    due = clock()
    async with asyncio.TaskGroup() as group:
        group.create_task(watch_processes(tables))
        for n in itertools.count(1):
            reading = {"n": n, "r": run, **sampler.read()}
            with contextlib.suppress(asyncio.QueueEmpty):
                reading["p"] = tables.get_nowait()
            await rt.publish(READINGS, "reading", reading)
            now = clock()
            due += INTERVAL_SECONDS
            if due <= now:
                # After a pause of the whole machine the readings go on from now instead of catching up in a burst.
                due = now + INTERVAL_SECONDS
            await asyncio.sleep(due - now)


keep_running(pages, publish_readings)


@pages.get("/")
async def show() -> str:
    """The page."""
    return await render_template("dashboard.html", host=platform.node(), system=platform.system(), machine=machine())
