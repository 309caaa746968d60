"""A chat: rooms, who is here, who is typing, and what was said before."""

from __future__ import annotations

import re
import time
from typing import Annotated

import msgspec
from quart import Blueprint, abort, render_template, session

from examples.shared import rt
from multitransport import Namespace, Refuse, Session

ROOMS = {
    "lobby": "Whoever comes in comes in here",
    "garden": "Plants, weather and what the birds do",
    "kitchen": "What is for dinner",
    "workshop": "Things that nearly work",
}
ROOM_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")

chat = Namespace("chat")
pages = Blueprint("chat", __name__, static_folder="static", static_url_path="/static", template_folder="templates")

Name = Annotated[str, msgspec.Meta(pattern=r"\S", max_length=24)]


class Line(msgspec.Struct, forbid_unknown_fields=True):
    """What somebody says; `key` lets the page that sent it recognise it when it comes back."""

    room: str
    name: Name
    text: Annotated[str, msgspec.Meta(pattern=r"\S", max_length=1000)]
    key: Annotated[str, msgspec.Meta(max_length=40)]


class Typing(msgspec.Struct, forbid_unknown_fields=True):
    """Somebody is writing."""

    room: str
    name: Name


@chat.room("<room>", presence=True, history=100, retention_count=500, retention_seconds=7 * 86_400)
async def enter(client: Session, room: str) -> None:
    """Anybody may enter any room with a simple name; a room is there as soon as somebody is in it."""
    if not is_room(room):
        raise Refuse("bad_name", "a room's name is made of small letters, digits and single hyphens, at most 24")


@chat.on("say")
async def say(client: Session, line: Line) -> None:
    """Tell the room. The server adds who it was and when: nobody has to be believed about that."""
    await rt.publish(
        here(client, line.room),
        "line",
        {"user": client.user_id, "name": line.name, "text": line.text, "key": line.key, "at": time.time()},
    )


@chat.on("typing")
async def typing(client: Session, who: Typing) -> None:
    """Tell the others in the room. It is kept for nobody: who is away for a moment need not learn of it later."""
    await rt.publish(
        here(client, who.room), "typing", {"user": client.user_id, "name": who.name}, volatile=True, exclude=client
    )


def is_room(name: str) -> bool:
    """Whether a room may have this name."""
    return len(name) <= 24 and ROOM_NAME.fullmatch(name) is not None


def here(client: Session, room: str) -> str:
    """Return the room's full name. Raises Refuse where the client is not in it."""
    name = f"chat/{room}"
    if name not in client.rooms:
        raise Refuse("not_here", "enter the room first")
    return name


rt.register(chat)


@pages.get("/")
@pages.get("/<room>")
async def show(room: str = "lobby") -> str:
    """Show a room with what was said in it, and where that ends: the page goes on from there and misses nothing."""
    if not is_room(room):
        abort(404)
    page = await rt.read(f"chat/{room}")
    lines = [publication.data for publication in page.publications]
    rooms = ROOMS if room in ROOMS else {**ROOMS, room: "A room of your own"}
    start = {"room": room, "me": session["visitor"], "lines": lines, "position": page.position}
    return await render_template("chat.html", room=room, rooms=rooms, start=start)
