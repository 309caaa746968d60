from __future__ import annotations

import asyncio
from typing import Any

import pytest

from multitransport.errors import Refuse
from multitransport.node.session import Session
from multitransport.protocol.codes import CloseCode
from tests.simulated import simulated, simulated_loop
from tests.unit.node.chat import chat_site, may_publish, refusal
from tests.unit.node.site import NEW, of_kind

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

    @site.declared.room("slow/<id>", on_publish=may_publish)
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
