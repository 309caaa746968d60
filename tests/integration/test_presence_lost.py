"""Who is shown in a room is there: also where Redis lost that somebody left, or forgot a session before its room."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import pytest
from quart import Quart

from multitransport import MultiTransport, Session
from multitransport.client import Client, MemberChange, connect
from multitransport.core.members import Shown
from multitransport.core.publication import Draft
from multitransport.node.node import Node
from multitransport.protocol.frames import encode
from multitransport.testing.server import serve
from multitransport.testing.waiting import eventually
from tests.redis_server import RedisServer

ROOM = "@presence/hall"
LASTING = {"lease_seconds": 15.0, "resume_seconds": 60.0, "presence_seconds": 0.2}
"""What is not told to be over is not over while a test runs."""
BRIEF = {"lease_seconds": 1.0, "resume_seconds": 1.0, "presence_seconds": 0.2}


class Place(NamedTuple):
    """One node of several, in this process."""

    app: Quart
    rt: MultiTransport
    url: str

    @property
    def node(self) -> Node:
        return self.app.extensions["multitransport"].running.node  # type: ignore[no-any-return]

    async def members(self) -> set[str | None]:
        async with self.app.app_context():
            return {member.user for member in await self.rt.members("hall")}

    def visited_by(self, name: str) -> Client:
        return connect(f"{self.url}/realtime", auth=name)


@asynccontextmanager
async def place(redis: RedisServer, **settings: float) -> AsyncIterator[Place]:
    app = Quart(__name__)
    app.secret_key = "a secret of the tests"
    rt = MultiTransport(app, broker=redis.url, **settings)

    @rt.on_connect
    async def connected(client: Session, auth: Any) -> None:
        client.user_id = auth

    @rt.room("hall", presence=True)
    async def join_hall(client: Session) -> None: ...

    async with serve(app) as url:
        yield Place(app, rt, url)


async def shows(at: Place, *names: str) -> None:
    """Return once a room shows exactly these."""

    async def are_there() -> bool:
        return await at.members() == set(names)

    await eventually(are_there, 20.0)


def left(changes: list[MemberChange]) -> list[str | None]:
    return [change.member.user for change in changes if change.kind == "left"]


async def roll_back(redis: RedisServer, saved: bytes, at: Place) -> None:
    """Return once a node knows that the room is not what it was."""
    log = at.node.hub.log(ROOM)
    assert log is not None
    former = log.epoch
    await redis.kill()
    redis.restore(saved)
    await redis.start()
    await eventually(lambda: log.epoch != former, 20.0)


async def plant(at: Place, session_id: str, name: str) -> None:
    """Have the room show a session that is nowhere."""
    draft = Draft("member", encode(Shown(name, "ws")), key=session_id)
    await at.node.hub.publish(ROOM, draft, at.node.rooms.retention(ROOM))


@pytest.mark.faults
async def test_who_left_is_not_there_though_redis_lost_that() -> None:
    async with (
        RedisServer(keep=True) as redis,
        place(redis, **LASTING) as one,
        place(redis, **LASTING) as other,
        one.visited_by("ann") as ann,
        other.visited_by("ben") as ben,
    ):
        async with other.visited_by("cleo") as cleo:
            halls = [await client.join("hall") for client in (ann, ben, cleo)]
            await shows(one, "ann", "ben", "cleo")
            saved = redis.saved()
            await halls[1].leave()
        await shows(one, "ann")
        await eventually(lambda: not other.node._tasks - {other.node._looking})  # all that ends is over
        await roll_back(redis, saved, one)
        # The one left the room, the other one ended: its node knows nothing of it any more.
        await shows(one, "ann")
        await eventually(lambda: {member.user for member in halls[0].members.values()} == {"ann"})


async def test_who_has_no_session_any_more_is_taken_out_and_nobody_else() -> None:
    async with RedisServer() as redis, place(redis, **BRIEF) as one, place(redis, **BRIEF) as other:
        await plant(one, "gone", "dan")
        async with one.visited_by("ann") as ann, other.visited_by("ben") as ben:
            hall, _ = [await client.join("hall") for client in (ann, ben)]
            changes: list[MemberChange] = []
            hall.on_presence(changes.append)
            await shows(one, "ann", "ben", "dan")
            await shows(one, "ann", "ben")
            await shows(other, "ann", "ben")
            await eventually(lambda: left(changes) == ["dan"])


@pytest.mark.faults
async def test_whose_record_was_lost_with_the_rest_stays_where_its_node_lives() -> None:
    async with (
        RedisServer() as redis,
        place(redis, **BRIEF) as one,
        place(redis, **BRIEF) as other,
        one.visited_by("ann") as ann,
        other.visited_by("ben") as ben,
    ):
        hall, _ = [await client.join("hall") for client in (ann, ben)]
        await shows(one, "ann", "ben")
        await redis.call("FLUSHALL")
        await plant(one, "gone", "dan")
        await shows(one, "ann", "ben", "dan")
        await shows(one, "ann", "ben")
        await eventually(lambda: {member.user for member in hall.members.values()} == {"ann", "ben"})
