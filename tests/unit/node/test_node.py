"""A node as a whole: what sessions, their transports and their ends come to, in simulated time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from typing import Any

import pytest

from multitransport.core.session import State
from multitransport.errors import Refuse
from multitransport.node.attachment import Attachment, Close
from multitransport.node.session import Session
from multitransport.protocol.codes import CloseCode
from tests.simulated import simulated, simulated_loop
from tests.unit.node.site import NEW, Site, of_kind


async def anybody(client: Session, **values: Any) -> None:
    """Let everybody in."""


async def echo(client: Session, data: Any) -> Any:
    return data


def chat_site(**settings: Any) -> Site:
    site = Site(**settings)
    site.declared.room("chat/<id>", history=2, on_publish=_may_publish)(anybody)
    site.declared.on("echo")(echo)
    return site


async def _may_publish(client: Session, event: str, data: Any, id: str) -> None:
    """Let everybody publish."""


async def refusal(work: Awaitable[Any]) -> Close:
    """Return how a hello or a message is refused."""
    with pytest.raises(Close) as refused:
        await work
    return refused.value


async def closed(site: Site, attachment: Attachment) -> int | None:
    """Return the code a transport is told to close with, None where it goes on."""
    await simulated_loop().settle()
    closes = of_kind(site.take(attachment), "close")
    return closes[0][0] if closes else None


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
        assert (dict(node.sessions), node._attachments, await node._store.count(), node.hub._feeds) == ({}, {}, 0, {})
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
        assert (dict(site.node.sessions), await site.node._store.count()) == ({}, 0)
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


# Frames


@simulated
async def test_a_seq_that_one_message_repeats_runs_once() -> None:
    site = chat_site()
    ran = []

    @site.declared.on("count")
    async def count(client: Session, data: int) -> None:
        ran.append(data)

    async with site:
        attachment = await site.attach()
        await site.say(attachment, ["send", 1, "count", 1], ["send", 1, "count", 1], ["send", 2, "count", 2])
        await site.say(attachment, ["send", 2, "count", 2], ["send", 3, "count", 3], ["send", 1, "count", 1])
        assert ran == [1, 2, 3]


@simulated
async def test_outcomes_come_in_order_and_then_the_ack() -> None:
    async with chat_site() as site:
        attachment = await site.attach()
        await site.welcomed(attachment)
        await site.say(
            attachment,
            ["send", 1, "echo", "x"],
            ["send", 2, "nothing", 1],
            ["send", 3, "echo", None],
            ["leave", 4, "a"],
        )
        frames = site.take(attachment)
        assert [frame[:3] for frame in frames] == [
            ["reply", 1, "x"],
            ["error", 2, "unknown_event"],
            ["error", 4, "not_joined"],
            ["ack", 4],
        ]


@pytest.mark.parametrize(
    "frames",
    [
        [["send", 2, "echo", 1]],
        [["send", 1, "echo", 1], ["send", 3, "echo", 1]],
        [["hello", {"v": 1, "new": NEW, "attach": 9}]],
        [["send", 1, "echo", 1], ["hello", {}]],
        [["send", seq, "echo", 1] for seq in range(1, 66)],
    ],
)
@simulated
async def test_a_message_that_breaks_the_protocol_has_no_effect(frames: list[Any]) -> None:
    async with chat_site() as site:
        attachment = await site.attach()
        await site.welcomed(attachment)
        assert (await refusal(site.say(attachment, *frames))).code is CloseCode.BAD_PROTOCOL
        assert site.client(attachment).record.inbox.claimed == 0
        assert of_kind(site.take(attachment), "reply") == []


@simulated
async def test_malformed_frames_are_answered_and_the_session_lives() -> None:
    async with chat_site() as site:
        attachment = await site.attach()
        await site.welcomed(attachment)
        await site.say(attachment, ["send", 1], ["zebra", 2], ["ack", -1], ["send", 2, "echo", "x"])
        frames = site.take(attachment)
        assert [frame[:3] for frame in frames if frame[0] == "error"] == [
            ["error", None, "unknown_kind"],
            ["error", None, "bad_frame"],
            ["error", 1, "bad_frame"],
        ]
        assert of_kind(frames, "reply") == [[2, "x"]]
        assert of_kind(frames, "ack") == [[2]]


@simulated
async def test_a_ping_is_answered_at_once() -> None:
    async with chat_site() as site:
        attachment = await site.attach()
        await site.welcomed(attachment)
        await site.say(attachment, ["ping", 12.5])
        assert site.take(attachment) == [["pong", 12.5]]


@simulated
async def test_what_is_sent_beside_a_stream_is_answered_there_and_on_the_stream() -> None:
    async with chat_site() as site:
        stream = await site.attach(1, "sse")
        token = (await site.welcomed(stream))["token"]
        assert await site.send(1, token, ["send", 1, "echo", "x"]) == [["reply", 1, "x"], ["ack", 1]]
        assert site.take(stream) == [["reply", 1, "x"], ["ack", 1]]
        # Repeated, it is not run again but told again; acknowledged, it is forgotten.
        assert await site.send(1, token, ["send", 1, "echo", "x"]) == [["reply", 1, "x"], ["ack", 1]]
        assert await site.send(1, token, ["ping", 1], acked=1) == [["ack", 1]]


@simulated
async def test_what_is_sent_for_no_session_or_an_older_stream_is_refused() -> None:
    async with chat_site() as site:
        token = (await site.welcomed(await site.attach(1, "sse")))["token"]
        await site.attach(2, "sse", token=token)
        assert (await refusal(site.send(1, token, ["bye"]))).code is CloseCode.STALE_ATTACH
        assert (await refusal(site.send(3, token, ["bye"]))).code is CloseCode.STALE_ATTACH
        assert (await refusal(site.send(2, "forged", ["bye"]))).code is CloseCode.SESSION_LOST


# Rooms


@simulated
async def test_a_newcomer_gets_history_and_then_what_follows() -> None:
    async with chat_site() as site:
        await site.publish("chat/1", 1, 2, 3)
        attachment = await site.attach()
        await site.welcomed(attachment)
        await site.say(attachment, ["join", 1, "chat/1"])
        await site.publish("chat/1", 4)
        frames = site.take(attachment)
        [[seq, room, (_, offset), options]] = of_kind(frames, "joined")
        assert (seq, room, offset, options["recovered"]) == (1, "chat/1", 1, True)
        assert [offset for _, offset, *_ in of_kind(frames, "pub")] == [2, 3, 4]
        assert frames[0][0] == "joined"


@pytest.mark.parametrize(("history", "first"), [(0, 4), (1, 3), (2, 2), (100, 2)])
@simulated
async def test_a_newcomer_asks_for_at_most_what_is_declared(history: int, first: int) -> None:
    async with chat_site() as site:
        await site.publish("chat/1", 1, 2, 3)
        attachment = await site.attach(rooms={"chat/1": {"history": history}})
        await simulated_loop().settle()
        await site.publish("chat/1", 4)
        await simulated_loop().settle()
        assert of_kind(site.take(attachment), "pub")[0][1] == first


@simulated
async def test_on_a_resume_all_rooms_go_on_from_where_the_client_is() -> None:
    async with chat_site() as site:
        first = await site.attach(rooms={"chat/1": {}, "chat/2": {}})
        await simulated_loop().settle()
        frames = site.take(first)
        token = of_kind(frames, "welcome")[0][0]["token"]
        site.release(first)
        [position, *_] = await site.publish("chat/1", "seen", "missed")
        await site.publish("chat/2", "missed")
        second = await site.attach(2, token=token, rooms={"chat/1": {"position": list(position)}})
        await simulated_loop().settle()
        frames = site.take(second)
        assert [(room, place[1]) for _, room, place, _ in of_kind(frames, "joined")] == [("chat/1", 1), ("chat/2", 0)]
        assert of_kind(frames, "pub") == [["chat/1", 2, "n", "missed"], ["chat/2", 1, "n", "missed"]]


@simulated
async def test_a_room_of_another_epoch_is_told_as_lost() -> None:
    async with chat_site() as site:
        await site.publish("chat/1", 1, 2, 3)
        attachment = await site.attach(rooms={"chat/1": {"position": ["another", 2]}})
        await simulated_loop().settle()
        frames = site.take(attachment)
        [[seq, _, place, options]] = of_kind(frames, "joined")
        assert (seq, place[1], options["recovered"], options["lost"]) == (None, 0, False, None)
        assert [offset for _, offset, *_ in of_kind(frames, "pub")] == [1, 2, 3]


@simulated
async def test_rooms_that_cannot_be_joined_are_told_one_by_one() -> None:
    async with chat_site() as site:
        attachment = await site.attach(rooms={"@inbox": {}, "other": {}, "chat/1": {}})
        await simulated_loop().settle()
        frames = site.take(attachment)
        assert [left[:3] for left in of_kind(frames, "left")] == [
            [None, "@inbox", "bad_room"],
            [None, "other", "unknown_room"],
        ]
        assert site.client(attachment).rooms == {"chat/1"}


@simulated
async def test_a_session_is_in_as_many_rooms_as_it_may() -> None:
    async with chat_site(max_session_rooms=2) as site:
        attachment = await site.attach()
        await site.say(attachment, *(["join", seq, f"chat/{seq}"] for seq in (1, 2, 3)), ["join", 4, "chat/1"])
        frames = site.take(attachment)
        assert of_kind(frames, "error")[0][:2] == [3, "too_many_rooms"]
        assert [seq for seq, *_ in of_kind(frames, "joined")] == [1, 2, 4]


@simulated
async def test_a_client_publishes_where_it_is_joined_and_is_named() -> None:
    async with chat_site() as site:
        attachment = await site.attach()
        await site.say(attachment, ["publish", 1, "chat/1", "line", "early"], ["join", 2, "chat/1"])
        await site.say(attachment, ["publish", 3, "chat/1", "line", "x"])
        frames = site.take(attachment)
        assert of_kind(frames, "error")[0][:2] == [1, "not_joined"]
        assert of_kind(frames, "pub") == [["chat/1", 1, "line", "x", {"from": attachment.session_id}]]


@simulated
async def test_rooms_whose_checks_take_long_are_joined_once_and_before_what_relies_on_them() -> None:
    site = chat_site()
    gate = asyncio.Event()
    checked = []

    @site.declared.room("slow/<id>", on_publish=_may_publish)
    async def check(client: Session, id: str) -> None:
        checked.append(id)
        await gate.wait()

    rooms: dict[str, Any] = {"slow/1": {}, "slow/2": {}, "slow/3": {}}
    async with site:
        first = await site.attach(rooms=rooms)
        token = (await site.welcomed(first))["token"]
        await site.say(first, ["publish", 1, "slow/2", "n", "x"])
        # It is cut, comes back before any check is done, and does not want one of the rooms any more.
        del rooms["slow/3"]
        second = await site.attach(2, token=token, rooms=rooms)
        gate.set()
        await simulated_loop().settle()
        frames = site.take(second)
        assert checked == ["1", "2"]
        assert [room for _, room, *_ in of_kind(frames, "joined")] == ["slow/1", "slow/2"]
        assert [room for room, *_ in of_kind(frames, "pub")] == ["slow/2"]
        assert site.client(second).rooms == set(rooms)


@simulated
async def test_publishing_to_a_room_nobody_declared_is_refused() -> None:
    async with chat_site() as site:
        with pytest.raises(Refuse, match="no room is declared"):
            await site.publish("other", 1)
        with pytest.raises(TypeError):
            await site.publish("chat/1", object())


# Time


@simulated
async def test_a_session_whose_client_never_speaks_is_a_ghost() -> None:
    async with chat_site() as site:
        attachment = await site.attach()
        await asyncio.sleep(9.5)
        assert len(site.node.sessions) == 1
        await asyncio.sleep(1)
        assert await closed(site, attachment) == CloseCode.PING_TIMEOUT
        assert site.node.sessions == {}
        assert site.ended == [(attachment.session_id, "never confirmed")]


@simulated
async def test_a_ghost_that_has_lost_its_transport_ends_as_soon() -> None:
    async with chat_site() as site:
        site.release(await site.attach())
        await asyncio.sleep(11.5)
        assert site.node.sessions == {}


@pytest.mark.parametrize(("ping", "grace"), [(25.0, 10.0), (1.0, 0.5), (0.2, 0.1)])
@simulated
async def test_a_client_that_falls_silent_is_dead_within_ping_and_grace(ping: float, grace: float) -> None:
    async with chat_site(ping_seconds=ping, grace_seconds=grace) as site:
        attachment = await site.attach()
        step = grace / 100
        silent_seconds = 0.0
        pings = 0
        while attachment.closing is None:
            await asyncio.sleep(step)
            silent_seconds += step
            if of_kind(site.take(attachment), "ping") and pings < 4:
                pings += 1
                silent_seconds = 0.0
                await site.say(attachment, ["pong", 1])
        assert attachment.closing.code is CloseCode.PING_TIMEOUT
        assert pings == 4
        assert silent_seconds <= ping + grace + 2 * min(0.25, grace / 10) + 2 * step


@simulated
async def test_a_detached_session_lives_as_long_as_it_may_be_resumed() -> None:
    async with chat_site() as site:
        attachment = await site.attach()
        token = (await site.welcomed(attachment))["token"]
        await site.say(attachment, ["pong", 1])
        site.release(attachment)
        await asyncio.sleep(119)
        again = await site.attach(2, token=token)
        assert (await site.welcomed(again))["resumed"] is True
        await site.say(again, ["pong", 1])
        site.release(again)
        await asyncio.sleep(122)
        assert site.node.sessions == {}
        assert site.ended == [(attachment.session_id, "expired")]
        assert (await site.welcomed(await site.attach(3, token=token)))["resumed"] is False


@simulated
async def test_a_stalled_write_is_cut() -> None:
    async with chat_site() as site:
        attachment = await site.attach()
        cut = []
        attachment.abort = lambda: cut.append(simulated_loop().time())
        start = simulated_loop().time()
        await site.say(attachment, ["pong", 1])
        attachment.heartbeat.writing_since = start
        for _ in range(4):
            await site.say(attachment, ["pong", 1])
            await asyncio.sleep(8)
        assert cut
        assert 30.0 <= cut[0] - start <= 30.5
        assert attachment.closing is not None
        assert attachment.closing.code is CloseCode.STALLED


# The end


@simulated
async def test_bye_ends_the_session_after_the_frames_before_it() -> None:
    async with chat_site() as site:
        attachment = await site.attach()
        await site.welcomed(attachment)
        await site.say(attachment, ["send", 1, "echo", "x"], ["bye"])
        frames = site.take(attachment)
        assert [frame[0] for frame in frames] == ["reply", "ack", "close"]
        assert frames[-1][1] == CloseCode.BYE
        assert (dict(site.node.sessions), site.ended) == ({}, [(attachment.session_id, "bye")])


@simulated
async def test_a_session_ends_once() -> None:
    async with chat_site() as site:
        attachment = await site.attach()
        client = site.client(attachment)
        await site.say(attachment, ["bye"])
        site.node.end(client, "again")
        site.release(attachment)
        await asyncio.sleep(200)
        assert site.ended == [(attachment.session_id, "bye")]


@simulated
async def test_a_handler_that_runs_when_its_session_ends_is_cancelled() -> None:
    site = chat_site()
    log = []

    @site.declared.on("slow")
    async def slow(client: Session, data: Any) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            log.append("cancelled")

    @site.declared.on_disconnect
    async def bye(client: Session, reason: str) -> None:
        log.append(reason)

    async with site:
        attachment = await site.attach()
        await site.say(attachment, ["send", 1, "slow", 1], ["send", 2, "echo", 1])
        site.node.end(site.client(attachment), "on purpose")
        await simulated_loop().settle()
        assert log == ["cancelled", "on purpose"]


@simulated
async def test_a_node_that_stops_sends_everybody_away_with_a_time_of_their_own() -> None:
    async with chat_site() as site:
        attachments = [await site.attach(new=f"{n:022}") for n in range(20)]
        draining = asyncio.create_task(site.node.drain())
        await simulated_loop().settle()
        closes = [of_kind(site.take(attachment), "close")[0] for attachment in attachments]
        assert {code for code, *_ in closes} == {CloseCode.GOING_AWAY}
        waits = [options["retry_after"] for _, _, options in closes]
        assert len(set(waits)) > 10
        assert all(0 <= wait <= 3.0 for wait in waits)
        assert (await refusal(site.attach(new="late" * 6))).code is CloseCode.GOING_AWAY
        assert not draining.done()
        for attachment in attachments:
            site.release(attachment)
        await simulated_loop().settle()
        assert draining.done()


@simulated
async def test_who_does_not_leave_in_time_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    async with chat_site(close_seconds=60.0) as site:
        attachment = await site.attach()
        cut = []
        attachment.abort = lambda: cut.append(simulated_loop().time())
        start = simulated_loop().time()
        with caplog.at_level(logging.WARNING, "multitransport"):
            await site.node.drain()
        assert (cut, len(caplog.records)) == ([start + 2.0], 1)


@simulated
async def test_a_node_stops_as_often_as_it_is_asked_and_announces_each_end_once() -> None:
    site = chat_site()
    async with site:
        attachment = await site.attach()
        site.release(attachment)
        await asyncio.gather(site.node.stop(), site.node.stop())
        await site.node.stop()
    assert site.ended == [(attachment.session_id, "stopped")]


@simulated
async def test_a_node_that_stops_does_not_wait_for_a_callback_without_end(caplog: pytest.LogCaptureFixture) -> None:
    site = chat_site()

    @site.declared.on_disconnect
    async def bye(client: Session, reason: str) -> None:
        await asyncio.sleep(3600)

    async with site:
        site.release(await site.attach())
        start = simulated_loop().time()
        with caplog.at_level(logging.CRITICAL, "multitransport"):
            await site.node.stop()
        assert simulated_loop().time() - start <= 2.5


@pytest.mark.parametrize(("seconds", "warns"), [(119.0, True), (120.0, False)])
@simulated
async def test_a_room_that_forgets_sooner_than_sessions_end_is_warned_of(
    seconds: float, warns: bool, caplog: pytest.LogCaptureFixture
) -> None:
    site = Site()
    site.declared.room("brief", retention_seconds=seconds)(anybody)
    with caplog.at_level(logging.WARNING, "multitransport"):
        async with site:
            assert ("'brief'" in caplog.text) is warns
