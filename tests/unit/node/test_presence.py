"""Who is seen in a room: through cuts, resumes, moves and ends, without ghosts."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from multitransport.core.log import Retention
from multitransport.core.publication import Draft
from multitransport.errors import Refuse
from multitransport.node import presence, rooms
from multitransport.node.attachment import Attachment
from multitransport.node.session import Session
from tests.simulated import simulated, simulated_loop
from tests.unit.node.site import NEW, Site, of_kind

PRESENCE_SECONDS = 10.0


def team_site(**settings: Any) -> Site:
    """Return a site whose users are who their cookies say."""
    site = Site(**settings)

    @site.declared.on_connect
    def connect(client: Session) -> None:
        client.user_id = client.cookies.get("user")

    @site.declared.room("team/<id>", presence=True)
    def team(client: Session, id: str) -> None:
        """Let everybody in."""

    site.declared.room("plain")(lambda client: None)
    return site


async def come(site: Site, user: str = "", transport: str = "websocket", room: str = "team/1") -> Attachment:
    """Return the transport of a new session that has joined the room and shown life."""
    new = f"{len(site.attachments):02d}{NEW}"
    attachment = await site.attach(transport=transport, new=new, cookie=f"user={user}" if user else "")
    await site.say(attachment, ["join", 1, room])
    return attachment


async def seen(site: Site, room: str = "team/1") -> list[tuple[str, list[str | None]]]:
    """Return the members, each with the transports of its sessions."""
    await simulated_loop().settle()
    members = await site.node.verbs.members(room)
    return [(each.id, [meta.transport for meta in each.metas]) for each in members]


def told(site: Site, attachment: Attachment) -> list[Any]:
    """Return what a member was told of others since the last look."""
    return [pub for pub in of_kind(site.take(attachment), "pub") if pub[0] == "@presence/team/1"]


@simulated
async def test_two_tabs_are_one_member_who_leaves_with_the_last() -> None:
    async with team_site() as site:
        watcher = await come(site)
        one, two = await come(site, "ann"), await come(site, "ann", "sse")
        assert (await seen(site))[1:] == [("user:ann", ["websocket", "sse"])]
        site.node.end(site.client(one), "bye")
        assert (await seen(site))[1:] == [("user:ann", ["sse"])]
        told(site, watcher)
        site.node.end(site.client(two), "bye")
        assert [each[0] for each in await seen(site)] == [f"session:{watcher.session_id}"]
        assert [(pub[3], pub[4]["deleted"]) for pub in told(site, watcher)] == [(None, True)]


@simulated
async def test_a_session_that_never_shows_life_is_never_shown() -> None:
    async with team_site() as site:
        ghost = await site.attach()
        await site.say(ghost, ["join", 1, "team/1"], alive=False)
        assert await seen(site) == []
        await site.say(ghost, ["pong", 1])
        assert len(await seen(site)) == 1


@simulated
async def test_a_cut_within_the_grace_is_one_change_of_the_transport_and_nothing_else() -> None:
    async with team_site() as site:
        watcher, one = await come(site), await come(site, "ann")
        token = (await site.welcomed(one))["token"]
        told(site, watcher)
        site.release(one)
        await asyncio.sleep(PRESENCE_SECONDS - 1)
        assert told(site, watcher) == []
        await site.attach(2, "sse", token=token, cookie="user=ann")
        assert (await seen(site))[1:] == [("user:ann", ["sse"])]
        [pub] = told(site, watcher)
        assert pub[3] == {"user": "ann", "transport": "sse", "meta": None}


@simulated
async def test_who_is_away_for_longer_leaves_once_and_is_back_with_what_it_said() -> None:
    async with team_site() as site:
        watcher, one = await come(site), await come(site, "ann")
        token = (await site.welcomed(one))["token"]
        await site.say(one, ["presence", 2, "team/1", {"mood": "busy"}])
        site.release(one)
        told(site, watcher)
        await asyncio.sleep(PRESENCE_SECONDS + 1)
        [pub] = told(site, watcher)
        assert pub[4] == {"key": one.session_id, "deleted": True}
        await site.attach(2, token=token, cookie="user=ann")
        await simulated_loop().settle()
        [pub] = told(site, watcher)
        assert pub[3]["meta"] == {"mood": "busy"}


@simulated
async def test_who_expires_while_it_is_absent_does_not_leave_twice() -> None:
    async with team_site(resume_seconds=30.0) as site:
        watcher, one = await come(site), await come(site, "ann")
        site.release(one)
        told(site, watcher)
        await asyncio.sleep(40)
        assert len(told(site, watcher)) == 1
        assert [each[0] for each in await seen(site)] == [f"session:{watcher.session_id}"]


@simulated
async def test_who_is_away_for_long_is_not_shown_by_what_the_server_does_meanwhile() -> None:
    async with team_site() as site:
        one = await come(site, "ann")
        client, token = site.client(one), (await site.welcomed(one))["token"]
        site.release(one)
        await asyncio.sleep(PRESENCE_SECONDS + 1)
        await client.presence("team/1", "still there")
        await site.node.verbs.join("team/2", "ann", None)
        assert (await seen(site), await seen(site, "team/2")) == ([], [])
        await site.attach(2, token=token, cookie="user=ann")
        assert [len(await seen(site, room)) for room in ("team/1", "team/2")] == [1, 1]


@simulated
async def test_who_is_between_two_polls_is_there_and_its_transport_stays() -> None:
    async with team_site() as site:
        one = await come(site, "ann", "poll")
        client = site.client(one)
        site.release(one)
        await client.presence("team/1", 1)
        await site.node.verbs.join("team/2", None, client.session_id)
        assert await seen(site) == await seen(site, "team/2") == [("user:ann", ["poll"])]


@simulated
async def test_who_comes_back_while_it_is_taken_out_is_shown() -> None:
    async with team_site() as site:
        one = await come(site, "ann")
        client, token = site.client(one), (await site.welcomed(one))["token"]
        site.release(one)
        client.missed = False
        absent = asyncio.create_task(site.node.presence.refresh(client))
        await site.attach(2, token=token, cookie="user=ann")
        await absent
        assert await seen(site) == [("user:ann", ["websocket"])]


@simulated
async def test_who_leaves_is_forgotten_with_what_it_said() -> None:
    async with team_site() as site:
        one = await come(site, "ann")
        client = site.client(one)
        await site.say(one, ["presence", 2, "team/1", "x"], ["leave", 3, "team/1"])
        assert (await seen(site), dict(client.metas), client.record.rooms) == ([], {}, {})
        await site.say(one, ["join", 4, "team/1"])
        [member] = await site.node.verbs.members("team/1")
        assert member.metas[0].meta is None


@simulated
async def test_what_a_session_says_is_kept_as_it_was_said() -> None:
    async with team_site() as site:
        watcher, one = await come(site), await come(site, "ann")
        client, told_of = site.client(one), {"at": 1}
        await client.presence("team/1", told_of)
        told_of["at"] = 2
        told(site, watcher)
        await client.presence("team/1", told_of)
        await client.presence("team/1", {"at": 2})
        await simulated_loop().settle()
        assert [pub[3]["meta"] for pub in told(site, watcher)] == [{"at": 2}]


@simulated
async def test_what_a_session_may_not_say() -> None:
    async with team_site(max_meta_bytes=10) as site:
        one = await come(site)
        client = site.client(one)
        await site.say(one, ["join", 2, "plain"])
        for room, meta, code in [
            ("team/1", "x" * 9, "invalid"),
            ("team/2", 1, "not_joined"),
            ("plain", 1, "not_joined"),
        ]:
            with pytest.raises(Refuse) as refused:
                await client.presence(room, meta)
            assert refused.value.code == code
        with pytest.raises(TypeError):
            await client.presence("team/1", object())
        assert dict(client.metas) == {}


@simulated
async def test_members_are_only_of_rooms_with_presence() -> None:
    async with team_site() as site:
        with pytest.raises(ValueError, match="presence=True"):
            await site.node.verbs.members("plain")
        with pytest.raises(Refuse, match="nothing"):
            await site.node.verbs.members("nothing")
        assert await site.node.verbs.members("team/9") == []


@simulated
async def test_one_more_tab_costs_the_same_however_many_there_are() -> None:
    async with team_site() as site:
        watcher = await come(site)
        tabs = []
        for _ in range(4):
            told(site, watcher)
            tabs.append(await come(site, "ann"))
            [pub] = told(site, watcher)
            assert pub[3:] == [{"user": "ann", "transport": "websocket", "meta": None}, {"key": tabs[-1].session_id}]
        await site.client(tabs[0]).presence("team/1", "newest")
        [_, ann] = await site.node.verbs.members("team/1")
        assert [meta.session for meta in ann.metas] == [tab.session_id for tab in (*tabs[1:], tabs[0])]


@simulated
async def test_who_finds_no_place_among_the_others_is_there_unseen(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(rooms, "_PRESENCE", Retention(keys=2, seconds=300.0, bytes=1 << 20))
    async with team_site() as site:
        first = await come(site, "u0")
        others = [await come(site, f"u{n}") for n in (1, 2, 3)]
        assert [member for member, _ in await seen(site)] == ["user:u0", "user:u1"]
        assert "team/1" in site.client(others[2]).rooms
        assert [record.getMessage() for record in caplog.records] == [
            "not everybody in 'team/1' is shown to the others: '@presence/team/1' holds 2 keys, as many as it may"
        ]
        token = (await site.welcomed(others[2]))["token"]
        site.node.end(site.client(first), "bye")
        await simulated_loop().settle()
        await site.attach(2, token=token, cookie="user=u3")
        assert [member for member, _ in await seen(site)] == ["user:u1", "user:u3"]


@simulated
async def test_a_change_for_which_there_is_no_place_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "_PRESENCE", Retention(keys=9, seconds=300.0, bytes=300))
    async with team_site() as site:
        one = await come(site, "ann")
        client = site.client(one)
        await client.presence("team/1", "small")
        with pytest.raises(Refuse) as refused:
            await client.presence("team/1", "x" * 400)
        assert refused.value.code == "too_many_keys"
        [member] = await site.node.verbs.members("team/1")
        assert (member.metas[0].meta, client.metas["team/1"]) == ("small", "small")
        site.node.end(client, "bye")
        assert await seen(site) == []


@simulated
async def test_many_sessions_come_and_go_and_leave_nothing() -> None:
    async with team_site() as site:
        for n in range(50):
            one = await come(site, f"u{n % 5}")
            await site.say(one, ["presence", 2, "team/1", n])
            if n % 2:
                site.release(one)
                await asyncio.sleep(1)
        for client in list(site.node.sessions.values()):
            site.node.end(client, "bye")
        assert await seen(site) == []
        assert len(site.node.presence._turns) == 0


@simulated
async def test_a_welcome_does_not_wait_for_a_presence_room_that_is_busy() -> None:
    async with team_site() as site:
        ann, bob = await come(site, "ann"), await come(site, "bob")
        token = (await site.welcomed(ann))["token"]
        site.release(ann)
        await asyncio.sleep(PRESENCE_SECONDS + 1)
        site.take(bob)
        name = "@presence/team/1"
        retention = site.node.rooms.retention(name)
        for _ in range(retention.count // 2 - 1):
            await site.node.hub.publish(name, Draft("member", b"{}", key="no session"), retention)
        hello = site.attach(2, token=token, cookie="user=ann")
        with pytest.raises(StopIteration):
            hello.send(None)
        assert await seen(site) == [("user:bob", ["websocket"]), ("user:ann", ["websocket"])]


@simulated
async def test_of_so_many_full_rooms_only_it_is_remembered_that_it_was_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "_PRESENCE", Retention(keys=1))
    monkeypatch.setattr(presence, "_FULL_ROOMS", 2)
    async with team_site() as site:
        for room in ("team/1", "team/2", "team/3"):
            await come(site, "ann", room=room)
            await come(site, "bob", room=room)
        assert 0 < len(site.node.presence._full) <= 2
