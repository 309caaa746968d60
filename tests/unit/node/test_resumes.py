"""What a session keeps through a resume, and what the resume's checks change of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from multitransport.errors import Refuse
from multitransport.node.attachment import Close
from multitransport.node.declarations import Namespace
from multitransport.node.session import Session
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
    vips.room("<id>", presence=True)(lambda client, id: None)
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
async def test_what_a_handler_writes_to_the_data_while_a_resumes_check_runs_stays_and_so_does_what_that_writes() -> None:
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
