"""The index of the examples, with how many people are in each of them now."""

from __future__ import annotations

import asyncio

from quart import Blueprint, current_app, render_template

from examples.chat.chat import ROOMS
from examples.cluster.cluster import TICKS
from examples.dashboard.dashboard import READINGS
from examples.jobs.jobs import LIST
from examples.shared import keep_running, rt
from examples.ticker.ticker import MARKET
from multitransport import Session

PEOPLE = "examples/people"
LOOK_SECONDS = 0.5
# The rooms in which the people of each example are.
ROOMS_OF = {
    "dashboard": [READINGS],
    "chat": [f"chat/{room}" for room in ROOMS],
    "ticker": [MARKET],
    "jobs": [LIST],
    "cluster": [TICKS],
}

pages = Blueprint("index", __name__, static_folder="static", static_url_path="/static", template_folder="templates")


@rt.room(PEOPLE, mode="state")
async def watch(client: Session) -> None:
    """Anybody may see where people are; looking at the index is being in none of them."""


async def count_people() -> None:
    """Publish how many are in each example whenever that has changed."""
    told: dict[str, int] = {}
    served = {example: rooms for example, rooms in ROOMS_OF.items() if example in current_app.blueprints}
    while True:
        for example, rooms in served.items():
            here = {member.id for room in rooms for member in await rt.members(room)}
            if told.get(example) != len(here):
                told[example] = len(here)
                await rt.publish(PEOPLE, "people", len(here), key=example)
        await asyncio.sleep(LOOK_SECONDS)


keep_running(pages, count_people)


@pages.get("/")
async def show() -> str:
    """The page."""
    return await render_template("index.html")
