"""One room by its URL: what curl prints and what the browser's own EventSource resumes from."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from multitransport.testing.waiting import eventually
from tests.contracts.application import Application
from tests.contracts.served import Served, served

JSON = {"Accept": "application/json"}


@pytest.fixture(autouse=True)
def _nothing_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


@contextlib.asynccontextmanager
async def numbers(count: int = 5, **settings: Any) -> AsyncIterator[tuple[Served, str]]:
    """Serve ``log/a`` with so many publications, and give its epoch too."""
    async with served("hypercorn", Application(**settings)) as way:
        epoch = ""
        for number in range(1, count + 1):
            epoch = (await way.application.rt.publish("log/a", "said", {"n": number})).epoch
        yield way, epoch


class Events:
    """An event stream as a browser reads it, comments included."""

    def __init__(self, answer: httpx.Response) -> None:
        self._lines = answer.aiter_lines()
        self.headers = answer.headers

    async def next(self, *fields: str) -> dict[str, str]:
        """Return the next event that has one of these fields; a comment's is the empty one."""
        event: dict[str, str] = {}
        async for line in self._lines:
            if line:
                field, _, value = line.partition(":")
                event[field] = value.removeprefix(" ")
            elif event.keys() & set(fields or ("data",)):
                return event
            else:
                event = {}
        raise EOFError


@contextlib.asynccontextmanager
async def events(way: Served, path: str = "log/a", **headers: str) -> AsyncIterator[Events]:
    """Give the events of a room."""
    async with way.http.stream("GET", f"rooms/{path}", headers=headers) as answer:
        assert answer.status_code == 200
        yield Events(answer)


def event(epoch: str, number: int) -> dict[str, str]:
    return {"id": f"{epoch}:{number}", "event": "said", "data": f'{{"n":{number}}}'}


async def test_events_have_the_publications_own_names_ids_and_data() -> None:
    async with numbers() as (way, epoch), events(way) as stream:
        assert stream.headers["content-type"] == "text/event-stream"
        assert "no-store" in stream.headers["cache-control"]
        assert stream.headers["x-accel-buffering"] == "no"
        assert [await stream.next() for _ in range(3)] == [event(epoch, number) for number in (3, 4, 5)]
        await way.application.rt.publish("log/a", "said", {"n": 6})
        assert await stream.next() == event(epoch, 6)


@pytest.mark.parametrize(
    ("query", "last_event_id", "first"),
    [
        ("?history=1", None, 5),
        ("?history=100", None, 3),
        ("?since={epoch}:1", None, 2),
        ("?since={epoch}:1&history=1", None, 2),
        ("", "{epoch}:3", 4),
        ("?since={epoch}:1", "{epoch}:4", 5),
    ],
)
async def test_where_it_begins(query: str, last_event_id: str | None, first: int) -> None:
    async with numbers() as (way, epoch):
        headers = {} if last_event_id is None else {"Last-Event-ID": last_event_id.format(epoch=epoch)}
        async with events(way, "log/a" + query.format(epoch=epoch), **headers) as stream:
            assert [await stream.next() for _ in range(first, 6)] == [event(epoch, n) for n in range(first, 6)]


async def test_of_another_epoch_it_is_told_before_what_there_is() -> None:
    async with numbers() as (way, epoch):
        for since in ("other:3", f"{epoch}:99"):
            async with events(way, f"log/a?since={since}") as stream:
                gap = await stream.next()
                assert (gap["event"], gap["id"]) == ("gap", f"{epoch}:0")
                assert json.loads(gap["data"]) == {"lost": None, "position": f"{epoch}:0"}
                assert await stream.next() == event(epoch, 1)


async def test_what_retention_did_not_keep_is_counted() -> None:
    async with numbers(0) as (way, epoch):
        for number in range(20):
            epoch = (await way.application.rt.publish("short/a", "said", number)).epoch
        async with events(way, f"short/a?since={epoch}:3") as stream:
            assert json.loads((await stream.next())["data"]) == {"lost": 12, "position": f"{epoch}:15"}
            assert (await stream.next())["id"] == f"{epoch}:16"


async def test_a_comment_keeps_the_stream_warm() -> None:
    async with numbers(0, ping_seconds=0.2, grace_seconds=0.2) as (way, _), events(way) as stream:
        assert [(await stream.next(""))[""] for _ in range(3)] == ["", "", ""]


async def test_a_drain_says_when_to_come_back() -> None:
    async with numbers() as (way, epoch), events(way, f"log/a?since={epoch}:5") as stream:
        await stream.next("")
        await way.application.node.drain()
        assert 0 <= int((await stream.next("retry"))["retry"]) <= 3000
        with pytest.raises(EOFError):
            await stream.next()
        answer = await way.http.get("rooms/log/a")
        assert (answer.status_code, answer.json()[1]) == (503, 3000)
        assert int(answer.headers["retry-after"]) >= 1


@pytest.mark.parametrize("stream", [True, False])
async def test_who_is_refused_is_told_by_status(stream: bool) -> None:
    headers = {} if stream else JSON
    async with numbers() as (way, _):
        for path, status, code in (
            ("nowhere", 404, 3511),
            ("", 404, 3511),
            ("@session/a", 404, 3511),
            ("numbered/007", 404, 3511),
            ("members/a", 403, 3505),
            ("log/a?since=nonsense", 400, 3503),
            ("log/a?history=many", 400, 3503),
            ("log/a?wait=nan", 400, 3503),
        ):
            answer = await way.http.get(f"rooms/{path}", headers=headers)
            assert (answer.status_code, answer.json()[:2]) == (status, ["close", code]), path
        signed_in = {**headers, "Authorization": "Bearer ann"}
        answer = await way.http.get("rooms/members/a?wait=0", headers={**signed_in, **JSON})
        assert answer.status_code == 200
        assert (await way.http.post("rooms/log/a")).headers["allow"] == "GET, HEAD"


async def test_a_check_that_raises_is_no_404(caplog: pytest.LogCaptureFixture) -> None:
    async with numbers() as (way, _):
        answer = await way.http.get("rooms/broken/a")
        assert (answer.status_code, answer.json()[1]) == (500, 3004)
    assert [record.exc_info is not None for record in caplog.records] == [True]
    caplog.clear()


@pytest.mark.parametrize("headers", [{}, JSON])
async def test_head_has_no_body_and_does_not_wait(headers: dict[str, str]) -> None:
    async with numbers(0) as (way, _):
        answer = await way.http.head("rooms/log/a", headers=headers, timeout=3)
        assert (answer.status_code, answer.content) == (200, b"")
        assert (await way.http.head("rooms/nowhere", headers=headers)).status_code == 404


async def test_a_rooms_name_is_decoded_once() -> None:
    async with numbers(0) as (way, _):
        await way.application.publish("log/é ü", "umlaut")
        await way.application.publish("log/100%25", "percent")
        for path, data in (("log/%C3%A9%20%C3%BC", "umlaut"), ("log/100%2525", "percent")):
            answer = await way.http.get(f"rooms/{path}?wait=0", headers=JSON)
            assert [each["data"] for each in answer.json()["publications"]] == [data]


async def test_json_is_a_long_poll() -> None:
    async with numbers() as (way, epoch):
        answer = (await way.http.get("rooms/log/a", headers=JSON)).json()
        assert answer == {
            "position": f"{epoch}:5",
            "recovered": True,
            "lost": None,
            "publications": [{"offset": n, "event": "said", "data": {"n": n}} for n in (3, 4, 5)],
        }
        node = way.application.node
        held = asyncio.create_task(way.http.get(f"rooms/log/a?since={epoch}:5", headers=JSON))
        await eventually(lambda: node._attachments)
        await way.application.rt.publish("log/a", "said", {"n": 6})
        answer = (await held).json()
        assert (answer["position"], len(answer["publications"])) == (f"{epoch}:6", 1)


@pytest.mark.parametrize("query", ["wait=0", "wait=0.05", "wait=1000"])
async def test_json_is_empty_after_the_hold_time(query: str) -> None:
    async with numbers(poll_seconds=0.1) as (way, epoch):
        answer = (await way.http.get(f"rooms/log/a?since={epoch}:5&{query}", headers=JSON, timeout=5)).json()
        assert answer == {"position": f"{epoch}:5", "recovered": True, "lost": None, "publications": []}


async def test_json_tells_a_loss_at_once() -> None:
    async with numbers() as (way, epoch):
        answer = (await way.http.get("rooms/log/a?since=other:2", headers=JSON)).json()
        assert (answer["recovered"], answer["lost"], len(answer["publications"])) == (False, None, 5)
        for number in range(20):
            epoch = (await way.application.rt.publish("short/a", "said", number)).epoch
        answer = (await way.http.get(f"rooms/short/a?since={epoch}:3", headers=JSON)).json()
        assert (answer["recovered"], answer["lost"]) == (False, 12)


async def test_json_tells_what_was_lost_while_it_was_held() -> None:
    async with numbers(0) as (way, _):
        held = asyncio.create_task(way.http.get("rooms/short/a", headers=JSON))
        await eventually(lambda: way.application.node._attachments)
        # All at once, so that no reader has a chance in between.
        await asyncio.gather(*(way.application.publish("short/a", number) for number in range(20)))
        answer = (await held).json()
        assert (answer["recovered"], answer["lost"]) == (False, 15)
        assert [each["data"] for each in answer["publications"]] == [15, 16, 17, 18, 19]


async def test_it_makes_no_session_and_leaves_nothing() -> None:
    async with numbers() as (way, epoch):
        async with events(way, f"log/a?since={epoch}:5"):
            assert way.application.node.sessions == {}
            assert len(way.application.node._attachments) == 1
        await eventually(lambda: not way.application.node._attachments)
        assert way.application.disconnected == []


async def test_what_is_volatile_has_no_id_and_leaves_the_last_one_as_it_is() -> None:
    async with numbers() as (way, epoch), events(way, f"log/a?since={epoch}:4") as stream:
        assert await stream.next() == event(epoch, 5)
        await way.application.rt.publish("log/a", "typing", True, volatile=True)
        assert await stream.next() == {"event": "typing", "data": "true"}
        await way.application.rt.publish("log/a", "said", {"n": 6})
        assert await stream.next() == event(epoch, 6)


@pytest.mark.parametrize("kept", [False, True])
async def test_what_is_volatile_moves_no_position(kept: bool) -> None:
    async with numbers() as (way, epoch):
        held = asyncio.create_task(way.http.get(f"rooms/log/a?since={epoch}:5", headers=JSON))
        await eventually(lambda: way.application.node._attachments)
        published = [way.application.rt.publish("log/a", "typing", True, volatile=True)]
        if kept:
            published.append(way.application.rt.publish("log/a", "said", {"n": 6}))
        await asyncio.gather(*published)
        answer = (await held).json()
        told = [(each["offset"], each["event"]) for each in answer["publications"]]
        assert told == [(None, "typing"), (6, "said")][: 1 + kept]
        assert (answer["position"], answer["recovered"]) == (f"{epoch}:{5 + kept}", True)


async def test_a_state_room_tells_keys_and_its_id_after_each_pass() -> None:
    async with numbers(0) as (way, _):
        rt = way.application.rt
        await rt.publish("state/a", "v", 1, key="x")
        position = await rt.publish("state/a", "v", b"\x00\xff", key="y")
        async with events(way, "state/a") as stream:
            assert await stream.next() == {"event": "v", "data": '{"key":"x","data":1}'}
            assert await stream.next() == {"event": "v", "data": '{"key":"y","data":"AP8="}'}
            assert await stream.next("id") == {"id": str(position)}
            await rt.publish("state/a", "v", 3, key="z", volatile=True)
            assert await stream.next() == {"event": "v", "data": '{"key":"z","data":3}'}
            await rt.publish("state/a", "v", None, key="x", deleted=True)
            assert await stream.next() == {"event": "v", "data": '{"key":"x","deleted":true}'}
            assert await stream.next("id") == {"id": f"{position.epoch}:{position.offset + 1}"}
        answer = (await way.http.get("rooms/state/a?wait=0", headers=JSON)).json()
        assert [each["data"] for each in answer["publications"]] == [
            {"key": "y", "data": "AP8="},
            {"key": "x", "deleted": True},
        ]
        assert answer["position"] == f"{position.epoch}:{position.offset + 1}"
