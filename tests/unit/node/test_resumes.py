"""What a session keeps through a resume, and what the resume's checks change of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from multitransport.errors import Refuse
from multitransport.node.attachment import Close
from multitransport.node.declarations import Namespace
from multitransport.node.session import Session
from multitransport.protocol.codes import CloseCode
from tests.simulated import simulated, simulated_loop
from tests.unit.node.site import Site, of_kind


def vip_site(go: asyncio.Event) -> Site:
    """Return a site with a namespace for those whose cookie says vip; its check waits for ``go``."""
    site = Site()
    vips = Namespace("vip")

    async def is_vip(client: Session) -> None:
        cookies = client.cookies
        await go.wait()
        if "vip" not in cookies:
            raise Refuse("vips_only")

    async def echo(client: Session, data: Any) -> Any:
        return data

    vips.on_connect(is_vip)
    vips.on("echo")(echo)
    vips.room("<id>", presence=True)(lambda client, **values: None)
    site.declared.register(vips)
    return site


@simulated
async def test_a_namespaces_check_that_a_resume_overtakes_is_asked_for_the_new_request_too() -> None:
    go = asyncio.Event()
    async with vip_site(go) as site:
        first = await site.attach(cookie="vip=1")
        token = (await site.welcomed(first))["token"]
        await site.say(first, ["send", 1, "vip/echo", "x"])
        second = await site.attach(2, token=token, cookie="nobody=1")
        go.set()
        await site.say(second, ["send", 2, "vip/echo", "y"])
        assert [error[:2] for error in of_kind(site.take(second), "error")] == [[1, "vips_only"], [2, "vips_only"]]


@simulated
async def test_the_data_has_what_a_resumes_check_wrote_and_what_handlers_wrote_meanwhile() -> None:
    site = Site()
    go = asyncio.Event()

    @site.declared.on_connect
    async def connect(client: Session) -> None:
        client.data["asked"] = client.data.get("asked", 0) + 1
        if client.resumed:
            client.data.pop("once")
            await go.wait()
            client.data["vip"] = True

    @site.declared.on("count")
    async def count(client: Session, data: Any) -> None:
        client.data["count"] = client.data.get("count", 0) + 1

    async with site:
        first = await site.attach()
        token = (await site.welcomed(first))["token"]
        client = site.client(first)
        data = client.data
        data["once"] = data["kept"] = 1
        resume = asyncio.create_task(site.attach(2, token=token))
        await simulated_loop().settle()
        await site.say(first, ["send", 1, "count", None])
        go.set()
        await resume
        assert data == client.data == {"asked": 2, "kept": 1, "count": 1, "vip": True}


@simulated
async def test_a_handler_that_holds_the_data_over_a_poll_writes_to_the_sessions() -> None:
    site = Site()
    go = asyncio.Event()

    @site.declared.on("slow")
    async def slow(client: Session, data: Any) -> None:
        held = client.data
        await go.wait()
        held["done"] = True

    async with site:
        first = await site.attach(transport="poll")
        token = (await site.welcomed(first))["token"]
        await site.say(first, ["send", 1, "slow", None])
        second = await site.attach(2, token=token, transport="poll")
        go.set()
        await simulated_loop().settle()
        assert site.client(second).data == {"done": True}


@simulated
async def test_a_check_that_refuses_a_resume_leaves_the_data_as_it_was() -> None:
    site = Site()

    @site.declared.on_connect
    def connect(client: Session) -> None:
        client.data["role"] = client.cookies.get("role")
        if client.resumed:
            raise Refuse("no")

    async with site:
        first = await site.attach(cookie="role=reader")
        token = (await site.welcomed(first))["token"]
        with pytest.raises(Close):
            await site.attach(2, token=token, cookie="role=writer")
        assert site.client(first).data == {"role": "reader"}


async def members(site: Site, room: str) -> list[str]:
    await simulated_loop().settle()
    return [member.id for member in await site.node.verbs.members(room)]


@simulated
async def test_whom_a_namespaces_check_refuses_at_the_resume_is_out_of_its_rooms_and_told_so() -> None:
    go = asyncio.Event()
    go.set()
    async with vip_site(go) as site:
        first = await site.attach(cookie="vip=1")
        token = (await site.welcomed(first))["token"]
        await site.say(first, ["join", 1, "vip/1"])
        [joined] = [frame for frame in of_kind(site.take(first), "joined") if frame[1] == "vip/1"]
        site.release(first)
        rooms = {"vip/1": {"position": joined[2]}, "@presence/vip/1": {}}
        second = await site.attach(2, token=token, cookie="nobody=1", rooms=rooms, acked=1)
        await site.publish("vip/1", "secret")
        assert await members(site, "vip/1") == []
        frames = site.take(second)
        assert [frame[:3] for frame in of_kind(frames, "left")] == [[None, "vip/1", "vips_only"]]
        assert (of_kind(frames, "joined"), of_kind(frames, "pub")) == ([], [])
        assert site.client(second).record.rooms == {}


@simulated
async def test_who_polls_on_is_not_asked_again_and_who_resumes_is_asked_before_the_rooms_are_read() -> None:
    go = asyncio.Event()
    go.set()
    async with vip_site(go) as site:
        first = await site.attach(transport="poll", cookie="vip=1")
        token = (await site.welcomed(first))["token"]
        await site.say(first, ["join", 1, "vip/1"])
        site.release(first)
        go.clear()
        second = await site.attach(2, token=token, transport="poll", cookie="vip=1")
        resume = asyncio.create_task(site.attach(3, token=token, cookie="vip=1"))
        await simulated_loop().settle()
        await site.publish("vip/1", "news")
        assert not resume.done()
        go.set()
        third = await resume
        await simulated_loop().settle()
        assert [frame[3] for frame in of_kind(site.take(third), "pub") if frame[0] == "vip/1"] == ["news"]
        site.release(second)


@simulated
async def test_a_hello_that_is_cancelled_while_a_check_runs_leaves_no_session_that_never_ends() -> None:
    go = asyncio.Event()
    go.set()
    async with vip_site(go) as site:
        first = await site.attach(cookie="vip=1")
        token = (await site.welcomed(first))["token"]
        await site.say(first, ["join", 1, "vip/1"])
        site.release(first)
        go.clear()
        resume = asyncio.create_task(site.attach(2, token=token, cookie="vip=1"))
        await simulated_loop().settle()
        resume.cancel()
        await asyncio.wait({resume})
        await asyncio.sleep(site.settings.resume_seconds + 1)
        assert site.ended == [(first.session_id, "expired")]
        assert await members(site, "vip/1") == []


@simulated
async def test_of_two_hellos_whose_checks_run_at_once_the_newer_carries_the_session() -> None:
    go = asyncio.Event()
    go.set()
    async with vip_site(go) as site:
        first = await site.attach(cookie="vip=1")
        token = (await site.welcomed(first))["token"]
        await site.say(first, ["join", 1, "vip/1"])
        go.clear()
        older = asyncio.create_task(site.attach(2, token=token, cookie="nobody=1"))
        await simulated_loop().settle()
        newer = asyncio.create_task(site.attach(3, token=token, cookie="vip=1"))
        await simulated_loop().settle()
        go.set()
        await asyncio.wait({older, newer})
        await site.publish("vip/1", "news")
        await simulated_loop().settle()
        assert [frame[3] for frame in of_kind(site.take(newer.result()), "pub") if frame[0] == "vip/1"] == ["news"]
        assert [close[0] for close in of_kind(site.take(older.result()), "close")] == [CloseCode.SUPERSEDED]
