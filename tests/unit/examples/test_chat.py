from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from quart import Quart

from examples.chat.chat import is_room, pages
from examples.shared import rt, serve
from multitransport import Invalid, Refused
from multitransport.client import Client, Publication, Room
from multitransport.testing.waiting import eventually


@pytest_asyncio.fixture
async def app() -> AsyncIterator[Quart]:
    app = serve(pages)
    async with app.test_app():
        yield app


async def next_of(room: Room, event: str) -> Any:
    async for item in room:
        assert isinstance(item, Publication)
        if item.event == event:
            return item.data
    raise AssertionError(f"the room ended before {event!r}")


async def say(client: Client, text: str, room: str = "lobby") -> None:
    await client.request("chat/say", {"room": room, "name": "Ann", "text": text, "key": "k1"})


@pytest.mark.parametrize("transport", ["websocket", "sse", "poll"])
async def test_what_is_said_reaches_everybody_with_who_said_it(app: Quart, transport: str) -> None:
    async with rt.test_client(app, user="ann", transport=transport) as ann, rt.test_client(app, user="ben") as ben:
        hers, his = await ann.join("chat/garden", history=0), await ben.join("chat/garden", history=0)
        await say(ann, "Good morning", "garden")
        for room in (hers, his):
            line = await next_of(room, "line")
            assert (line["user"], line["name"], line["text"], line["key"]) == ("ann", "Ann", "Good morning", "k1")
            assert line["at"] > 1.7e9


async def test_who_is_typing_is_told_to_the_others_and_kept_for_nobody(app: Quart) -> None:
    async with rt.test_client(app, user="ann") as ann, rt.test_client(app, user="ben") as ben:
        hers, his = await ann.join("chat/kitchen"), await ben.join("chat/kitchen")
        await ann.request("chat/typing", {"room": "kitchen", "name": "Ann"})
        await say(ann, "Soup", "kitchen")
        assert await next_of(his, "typing") == {"user": "ann", "name": "Ann"}
        item = await anext(hers)
        assert isinstance(item, Publication)
        assert item.event == "line"
    page = await rt.read("chat/kitchen")
    assert [publication.event for publication in page.publications] == ["line"]


async def test_two_tabs_are_one_person_with_what_carries_each(app: Quart) -> None:
    async with rt.test_client(app, user="ann") as desktop, rt.test_client(app, user="ben") as ben:
        await (await desktop.join("chat/lobby")).presence({"name": "Ann"})
        room = await ben.join("chat/lobby")
        async with rt.test_client(app, user="ann", transport="poll") as phone:
            await phone.join("chat/lobby")
            await eventually(lambda: {"websocket", "poll"} == transports(room, "user:ann"))
            assert len(room.members) == 2
            assert room.members["user:ann"].metas[0].meta == {"name": "Ann"}
        await eventually(lambda: transports(room, "user:ann") == {"websocket"})


def transports(room: Room, member: str) -> set[str | None]:
    return {meta.transport for meta in room.members[member].metas} if member in room.members else set()


async def test_the_page_goes_on_where_its_rendering_ends(app: Quart) -> None:
    async with rt.test_client(app, user="ann") as ann:
        await ann.join("chat/workshop")
        await say(ann, "before <b>the</b> page", "workshop")
        page = await rt.read("chat/workshop")
        html = await (await app.test_client().get("/workshop")).get_data(as_text=True)
        assert "before \\u003cb\\u003ethe" in html
        assert page.position.epoch in html
        await say(ann, "after the page", "workshop")
        room = await ann.join("chat/workshop")
        await room.leave()
        room = await ann.join("chat/workshop", position=page.position)
        assert (await next_of(room, "line"))["text"] == "after the page"


async def test_nobody_talks_into_a_room_from_outside(app: Quart) -> None:
    async with rt.test_client(app) as client:
        with pytest.raises(Refused) as refused:
            await say(client, "hello")
        assert refused.value.code == "not_here"


@pytest.mark.parametrize(
    "change",
    [{"text": " \n"}, {"text": "x" * 1001}, {"name": ""}, {"name": "x" * 25}, {"room": 7}, {"more": 1}, {"key": None}],
)
async def test_a_line_that_is_none_is_refused(app: Quart, change: dict[str, Any]) -> None:
    async with rt.test_client(app) as client:
        await client.join("chat/lobby")
        with pytest.raises(Invalid):
            await client.request("chat/say", {"room": "lobby", "name": "Ann", "text": "hi", "key": "k", **change})


@pytest.mark.parametrize(
    ("name", "decent"),
    [
        ("lobby", True),
        ("a-b-c", True),
        ("x" * 24, True),
        ("x" * 25, False),
        ("", False),
        ("A", False),
        ("a--b", False),
        ("-a", False),
        ("ä", False),
        ("a b", False),
    ],
)
def test_names_of_rooms(name: str, decent: bool) -> None:
    assert is_room(name) == decent


async def test_a_room_of_another_name_is_refused_alike_on_the_page_and_the_line(app: Quart) -> None:
    assert (await app.test_client().get("/Not%20A%20Room")).status_code == 404
    async with rt.test_client(app) as client:
        with pytest.raises(Refused) as refused:
            await client.join("chat/Not A Room")
        assert refused.value.code == "bad_name"
