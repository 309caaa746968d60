"""One of several nodes, as the page of all of them sees it: `make demo NODES=3`."""

from __future__ import annotations

import asyncio
import itertools
import os
import secrets
from typing import Annotated

import msgspec
from quart import Blueprint, render_template

from examples.shared import keep_running, rt
from multitransport import BrokerUnavailable, Namespace, Session

NODE = os.environ.get("CLUSTER_NODE")
"""Which one this is; None where there are not several."""
NODES = int(os.environ.get("CLUSTER_NODES", "1"))
TICKS = "cluster/ticks"
TICKS_A_SECOND = 4
AGAIN_SECONDS = 0.2

cluster = Namespace("cluster")
pages = Blueprint("cluster", __name__, static_folder="static", static_url_path="/static", template_folder="templates")

Name = Annotated[str, msgspec.Meta(pattern=r"\S", max_length=24)]


@cluster.room("ticks", presence=True, retention_count=6000, retention_seconds=300)
async def watch(client: Session) -> None:
    """Anybody may hear the nodes tick, and be seen by the others where it is."""


@cluster.on("here")
async def here(client: Session, name: Name) -> str | None:
    """Say which node speaks for the tab now, to the tab and to everybody."""
    await client.presence(TICKS, {"node": NODE, "name": name})
    return NODE


rt.register(cluster)


async def tick() -> None:
    """Count, several times a second, in the room that all nodes publish to.

    `n` rises by one within a `run` of a node, so that a page can see for itself that it has every tick, and has it
    once. Redis may be away for a while: a tick whose outcome is unknown is published again under the same id, and is
    in the room once.
    """
    run = secrets.token_hex(4)
    for n in itertools.count(1):
        while True:
            try:
                await rt.publish(TICKS, "tick", {"node": NODE, "run": run, "n": n}, id=f"{run}-{n}")
                break
            except BrokerUnavailable:
                await asyncio.sleep(AGAIN_SECONDS)
        await asyncio.sleep(1 / TICKS_A_SECOND)


keep_running(pages, tick, everywhere=True)


@pages.get("/")
async def show() -> str:
    """The page."""
    return await render_template("cluster.html", nodes=range(1, NODES + 1))
