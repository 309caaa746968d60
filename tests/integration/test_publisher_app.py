"""An application's own clients get what is published from outside of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from click.testing import CliRunner
from quart import Quart

from multitransport import MultiTransport, Namespace, Publisher, Refuse, Session, SyncPublisher
from multitransport.cli.main import main
from multitransport.testing.waiting import eventually
from tests.redis_server import RedisServer


@pytest_asyncio.fixture
async def redis() -> AsyncIterator[RedisServer]:
    async with RedisServer() as server:
        yield server


def application(url: str) -> tuple[Quart, MultiTransport]:
    app = Quart(__name__)
    app.secret_key = "a secret of the test"
    rt = MultiTransport(app, broker=url, redis_prefix="shop")
    jobs = Namespace("jobs")

    @jobs.room("<int:id>", mode="state", max_keys=1)
    async def watch(client: Session, id: int) -> None: ...

    @rt.room("news")
    async def read(client: Session) -> None: ...

    @rt.room("team", presence=True)
    async def enter(client: Session) -> None: ...

    rt.register(jobs)
    return app, rt


async def test_clients_get_what_is_published_outside(redis: RedisServer) -> None:
    app, rt = application(redis.url)
    async with app.test_app(), rt.test_client() as client, Publisher(redis.url, prefix="shop") as publisher:
        news, job = await client.join("news"), await client.join("jobs/7")
        await eventually(lambda: _publishes(publisher, "news", "first"))
        assert (await anext(news)).data == "first"  # type: ignore[union-attr]
        await publisher.publish("jobs/7", "progress", 0.5, key="done")
        told = await anext(job)
        assert (told.key, told.data) == ("done", 0.5)  # type: ignore[union-attr]
        with SyncPublisher(redis.url, prefix="shop") as plain:
            await asyncio.to_thread(plain.publish, "news", "said", "second")
        assert (await anext(news)).data == "second"  # type: ignore[union-attr]
        with pytest.raises(ValueError, match="has a key in a state room"):
            await publisher.publish("jobs/7", "progress", 0.5)
        with pytest.raises(Refuse):
            await publisher.publish("7", "progress", 0.5, key="done")


async def test_rooms_are_known_while_no_application_runs(redis: RedisServer) -> None:
    app, _ = application(redis.url)
    async with app.test_app(), Publisher(redis.url, prefix="shop") as publisher:
        await eventually(lambda: _publishes(publisher, "news", "while it runs"))
    async with Publisher(redis.url, prefix="shop") as publisher:
        assert (await publisher.publish("news", "said", "while it is deployed")).offset == 2


async def test_members_are_those_of_the_application(redis: RedisServer) -> None:
    app, rt = application(redis.url)
    environment = {"MULTITRANSPORT_BROKER": redis.url, "MULTITRANSPORT_REDIS_PREFIX": "shop"}

    async def members() -> list[Any]:
        done = await asyncio.to_thread(CliRunner().invoke, main, ["members", "team", "--json"], env=environment)
        return msgspec.json.decode(done.stdout) if done.exit_code == 0 else []

    async def shown(count: int) -> bool:
        return sum(len(member["metas"]) for member in await members()) == count

    async with app.test_app(), rt.test_client(user="ann") as ann, rt.test_client(transport="sse") as nobody:
        room = await ann.join("team")
        await nobody.join("team")
        await room.presence({"typing": True})
        await eventually(lambda: shown(2))
        told = {each["user"]: [(one["transport"], one["meta"]) for one in each["metas"]] for each in await members()}
        assert told == {"ann": [("websocket", {"typing": True})], None: [("sse", None)]}


async def _publishes(publisher: Publisher, room: str, data: str) -> bool:
    """Publish, once the application has said what it declares."""
    try:
        await publisher.publish(room, "said", data)
    except Refuse:
        return False
    return True
