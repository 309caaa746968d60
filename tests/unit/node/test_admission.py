from __future__ import annotations

import asyncio
from typing import Any

import pytest

from multitransport.brokers.memory import MemorySessionStore
from multitransport.core.session import SessionRecord, State
from multitransport.errors import Refuse
from multitransport.node.session import Session
from multitransport.protocol.codes import CloseCode
from tests.simulated import simulated, simulated_loop
from tests.unit.node.chat import chat_site, closed, refusal
from tests.unit.node.site import Site, of_kind

# Attaching


@simulated
async def test_a_new_session_is_welcomed() -> None:
    async with chat_site() as site:
        attachment = await site.attach()
        welcome = await site.welcomed(attachment)
        assert (welcome["resumed"], welcome["seq"], welcome["transport"]) == (False, 0, "websocket")
        assert welcome["session"] == attachment.session_id
        assert site.client(attachment).transport == "websocket"


@simulated
async def test_the_first_ping_is_not_in_one_write_with_the_welcome() -> None:
    async with chat_site() as site:
        attachment = await site.attach()
        assert [frame[0] for frame in site.take(attachment)] == ["welcome", "ack"]
        await asyncio.sleep(1)
        assert [frame[0] for frame in site.take(attachment)] == ["ping"]


@simulated
async def test_a_token_resumes_its_session_on_any_transport() -> None:
    async with chat_site() as site:
        first = await site.attach()
        token = (await site.welcomed(first))["token"]
        await site.say(first, ["send", 1, "echo", "x"], ["ack", 1])
        for attach, transport in enumerate(("sse", "poll", "websocket"), 2):
            attachment = await site.attach(attach, transport, token=token)
            welcome = await site.welcomed(attachment)
            assert (welcome["session"], welcome["resumed"]) == (first.session_id, True)
            assert (welcome["seq"], welcome["transport"], welcome["token"]) == (1, transport, token)


@simulated
async def test_a_hello_without_a_higher_attach_changes_nothing() -> None:
    async with chat_site() as site:
        first = await site.attach(5)
        token = (await site.welcomed(first))["token"]
        for attach in (1, 4, 5):
            for known in ({"token": token}, {}):
                refused = await refusal(site.attach(attach, **known))
                assert refused.code is CloseCode.STALE_ATTACH
        assert await closed(site, first) is None
        assert site.client(first).attachment is first
        # The token is still good: a stale hello has not changed the secret either.
        assert (await site.welcomed(await site.attach(6, token=token)))["session"] == first.session_id


@simulated
async def test_a_newer_transport_supersedes_the_former() -> None:
    async with chat_site() as site:
        first = await site.attach()
        token = (await site.welcomed(first))["token"]
        await site.say(first, ["join", 1, "chat/1"])
        second = await site.attach(2, token=token)
        await site.publish("chat/1", "x")
        assert of_kind(site.take(first), "pub") == []
        assert await closed(site, first) == CloseCode.SUPERSEDED
        assert of_kind(site.take(second), "pub") == [["chat/1", 1, "n", "x"]]
        site.release(first)
        assert site.client(second).state is State.ATTACHED


@simulated
async def test_where_the_welcome_was_lost_the_same_hello_finds_its_session() -> None:
    async with chat_site() as site:
        lost = await site.attach()
        lost_token = of_kind(site.take(lost), "welcome")[0][0]["token"]
        again = await site.attach(2)
        welcome = await site.welcomed(again)
        assert again.session_id == lost.session_id
        assert (len(site.node.sessions), welcome["resumed"]) == (1, True)
        # The token that was lost ends here, in case somebody else found it.
        assert (await site.welcomed(await site.attach(3, token=lost_token)))["token"] != lost_token


@simulated
async def test_a_welcome_is_news_where_it_brings_another_token() -> None:
    async with chat_site() as site:
        first = await site.attach(1, "poll")
        lost = first.news
        again = await site.attach(2, "poll")
        repeated = again.news
        token = (await site.welcomed(again))["token"]
        known = await site.attach(3, "poll", token=token)
        assert (lost, repeated, known.news) == (True, True, False)


@simulated
async def test_the_same_new_of_another_user_is_another_session() -> None:
    site = chat_site()

    @site.declared.on_connect
    def connect(client: Session) -> None:
        client.user_id = client.cookies["user"]

    async with site:
        ann, bob = await site.attach(cookie="user=ann"), await site.attach(cookie="user=bob")
        assert ann.session_id != bob.session_id
        token = (await site.welcomed(ann))["token"]
        refused = await refusal(site.attach(2, token=token, cookie="user=bob"))
        assert refused.code is CloseCode.OTHER_USER
        assert await closed(site, ann) is None


@pytest.mark.parametrize("token", ["", "forged", "WyJhIiwiYiJd.xxxx", "x" * 1024])
@simulated
async def test_a_token_that_is_none_makes_a_new_session(token: str) -> None:
    async with chat_site() as site:
        welcome = await site.welcomed(await site.attach(token=token))
        assert (welcome["resumed"], welcome["seq"]) == (False, 0)


@simulated
async def test_polling_on_with_the_same_credentials_is_not_checked_again() -> None:
    site = chat_site()
    checked = []

    @site.declared.on_connect
    def connect(client: Session) -> None:
        checked.append(client.cookies.get("c"))

    async with site:
        first = await site.attach(1, "poll", cookie="c=1")
        token = (await site.welcomed(first))["token"]
        await site.attach(2, "poll", token=token, cookie="c=1")
        assert checked == ["1"]
        await site.attach(3, "poll", token=token, cookie="c=2")
        assert checked == ["1", "2"]
        await site.send(3, token, ["send", 1, "echo", 1], cookie="c=2")
        assert checked == ["1", "2"]
        await site.send(3, token, ["send", 2, "echo", 1], cookie="c=3")
        assert checked == ["1", "2", "3"]
        await site.attach(4, "sse", token=token, cookie="c=3")
        assert checked == ["1", "2", "3", "3"]


# Refusals, before anything is made


def records(site: Site) -> dict[str, SessionRecord]:
    """Return the records of its store."""
    store = site.node._store
    assert isinstance(store, MemorySessionStore)
    return store._records


def refusing(site: Site, how: str) -> tuple[CloseCode, str | None]:
    """Have the site refuse every hello; return the codes."""

    async def refuse(*args: Any) -> Any:
        if how == "false":
            return False
        raise Refuse("no_entry") if how == "refuse" else ValueError("on purpose")

    if how == "hook":
        site.declared.transports(lambda client, transport: False)
        return CloseCode.TRANSPORT_NOT_ALLOWED, None
    site.declared.on_connect(refuse)
    codes = {"false": "refused", "refuse": "no_entry", "fails": "failed"}
    return CloseCode.INTERNAL if how == "fails" else CloseCode.REFUSED, codes[how]


@pytest.mark.parametrize("how", ["false", "refuse", "fails", "hook"])
@pytest.mark.parametrize("transport", ["websocket", "sse", "poll"])
@simulated
async def test_refused_means_that_nothing_was_made(how: str, transport: str) -> None:
    site = chat_site()
    codes = refusing(site, how)
    async with site:
        refused = await refusal(site.attach(1, transport, rooms={"chat/1": {}}))
        assert (refused.code, refused.app_code) == codes
        node = site.node
        assert (dict(node.sessions), node._attachments, len(records(site)), node.hub._feeds) == ({}, {}, 0, {})
        assert site.ended == []


@simulated
async def test_a_transport_the_server_does_not_serve() -> None:
    async with chat_site(transports=("sse",)) as site:
        assert (await refusal(site.attach(1, "poll"))).code is CloseCode.TRANSPORT_NOT_ALLOWED


@simulated
async def test_another_version() -> None:
    async with chat_site() as site:
        assert (await refusal(site.attach(v=2))).code is CloseCode.UNSUPPORTED_VERSION


@simulated
async def test_a_full_server_says_when_to_come_back() -> None:
    async with chat_site(max_sessions=2) as site:
        first = await site.attach(new="a" * 22)
        await site.attach(new="b" * 22)
        refused = await refusal(site.attach(new="c" * 22))
        assert (refused.code, refused.retry_after_seconds) == (CloseCode.TOO_MANY_SESSIONS, 3.0)
        await site.say(first, ["bye"])
        await site.attach(new="c" * 22)


@simulated
async def test_more_rooms_in_a_hello_than_a_session_may_be_in() -> None:
    async with chat_site(max_session_rooms=3) as site:
        refused = await refusal(site.attach(rooms={f"chat/{n}": {} for n in range(4)}))
        assert refused.code is CloseCode.BAD_PROTOCOL
        assert site.node.sessions == {}


# A check that takes its time


def slow_connect(site: Site) -> asyncio.Event:
    gate = asyncio.Event()
    gate.set()

    @site.declared.on_connect
    async def connect(client: Session) -> None:
        await gate.wait()

    return gate


@pytest.mark.parametrize("by", ["token", "new"])
@simulated
async def test_a_session_that_ends_while_it_is_resumed(by: str) -> None:
    site = chat_site()
    gate = slow_connect(site)
    async with site:
        first = await site.attach()
        token = (await site.welcomed(first))["token"]
        gate.clear()
        known = {"token": token} if by == "token" else {}
        resuming = asyncio.create_task(refusal(site.attach(2, **known)))
        await simulated_loop().settle()
        # The check is over just when the session ends.
        gate.set()
        site.node.end(site.client(first), "on purpose")
        assert (await resuming).code is CloseCode.SESSION_LOST
        await simulated_loop().settle()
        assert (dict(site.node.sessions), len(records(site))) == ({}, 0)
        assert (await site.welcomed(await site.attach(3, **known)))["resumed"] is False


@simulated
async def test_of_two_hellos_under_way_the_higher_attach_wins_whichever_is_checked_first() -> None:
    site = chat_site()
    gate = slow_connect(site)
    async with site:
        gate.clear()
        first, second = (asyncio.create_task(site.attach(attach)) for attach in (2, 1))
        await simulated_loop().settle()
        gate.set()
        assert (await first).attach == 2
        assert (await refusal(second)).code is CloseCode.STALE_ATTACH
        assert len(site.node.sessions) == 1
