"""What an application does with sessions and rooms from the server's side."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from multitransport.errors import BrokerUnavailable, Refuse, RoomFull
from multitransport.node.attachment import Attachment
from multitransport.node.session import Session
from multitransport.node.verbs import Published, draft_of
from multitransport.protocol.codes import CloseCode
from multitransport.protocol.position import Position
from tests.simulated import simulated, simulated_loop
from tests.unit.node.site import NEW, Site, of_kind


def site_of(**settings: Any) -> Site:
    site = Site(**settings)

    @site.declared.on_connect
    def connect(client: Session) -> None:
        client.user_id = client.cookies.get("user")

    def nobody(client: Session, **values: Any) -> bool:
        return False

    site.declared.room("log/<id>", history=2)(lambda client, **values: None)
    site.declared.room("state", mode="state", max_keys=2)(lambda client: None)
    site.declared.room("closed")(nobody)
    return site


async def come(site: Site, user: str = "", room: str | None = None) -> Attachment:
    cookie = f"user={user}" if user else ""
    attachment = await site.attach(new=f"{len(site.attachments):02d}{NEW}", cookie=cookie)
    await site.say(attachment, *([["join", 1, room]] if room else [["pong", 0]]))
    return attachment


async def publish(site: Site, room: str, data: Any, *, volatile: bool = False, **options: Any) -> Position | None:
    position = await site.node.verbs.publish(room, draft_of("e", data, **options), volatile=volatile)
    await simulated_loop().settle()
    return position


def read(site: Site, attachment: Attachment) -> list[Any]:
    """Return the data of what a client was sent since the last look."""
    return [pub[3] for pub in of_kind(site.take(attachment), "pub")]


# Publishing


@simulated
async def test_an_excluded_session_is_not_sent_it() -> None:
    async with site_of() as site:
        one, other = await come(site, room="log/1"), await come(site, room="log/1")
        await publish(site, "log/1", "x", exclude=one.session_id)
        assert (read(site, one), read(site, other)) == ([], ["x"])


@simulated
async def test_what_is_volatile_has_no_position_and_is_not_kept() -> None:
    async with site_of() as site:
        one = await come(site, room="log/1")
        assert await publish(site, "log/1", "now", volatile=True) is None
        assert read(site, one) == ["now"]
        assert (await site.node.verbs.read("log/1", None)).publications == []


@simulated
async def test_a_repeated_id_is_the_publication_it_repeats() -> None:
    async with site_of() as site:
        one = await come(site, room="log/1")
        positions = [await publish(site, "log/1", n, id="same") for n in (1, 2)]
        assert positions[0] == positions[1]
        assert read(site, one) == [1]


@simulated
async def test_several_rooms_get_it_all_or_none() -> None:
    async with site_of() as site:
        verbs = site.node.verbs
        positions = await verbs.publish_all(["log/1", "log/2"], draft_of("e", 1), volatile=False)
        assert [position and position.offset for position in positions] == [1, 1]
        with pytest.raises(Refuse):
            await verbs.publish_all(["log/1", "nothing"], draft_of("e", 2), volatile=False)
        with pytest.raises(ValueError, match="key"):
            await verbs.publish_all(["log/1", "state"], draft_of("e", 2), volatile=False)
        assert [each.data for each in (await verbs.read("log/1", 9)).publications] == [1]


@pytest.mark.parametrize("options", [{"key": ""}, {"key": "k" * 256}, {"key": 7}, {"id": ""}, {"deleted": True}])
def test_what_no_publication_can_be(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"characters|key="):
        draft_of("e", 1, **options)


@pytest.mark.parametrize("event", ["", "e" * 256, None, 7])
def test_an_event_is_a_name(event: Any) -> None:
    with pytest.raises(ValueError, match="event is 1 to 255 characters"):
        draft_of(event, 1)


def test_what_is_deleted_has_no_data() -> None:
    assert (draft_of("e", b"bytes", key="k", deleted=True).data, draft_of("e", b"b").binary) == (b"null", True)


@simulated
async def test_a_state_room_that_is_full_says_so() -> None:
    async with site_of() as site:
        await publish(site, "state", 1, key="a")
        await publish(site, "state", 2, key="b")
        with pytest.raises(RoomFull, match="2 keys"):
            await publish(site, "state", 3, key="c")
        await publish(site, "state", None, key="a", deleted=True)
        await publish(site, "state", 3, key="c")
        assert (await site.node.verbs.read("state", None)).state == {"b": 2, "c": 3}


@pytest.mark.parametrize("room", ["@presence/log/1", "@other", "nothing", ""])
def test_the_servers_own_rooms_are_nobody_elses(room: str) -> None:
    @simulated
    async def test() -> None:
        async with site_of() as site:
            with pytest.raises(Refuse):
                await publish(site, room, 1)
            with pytest.raises(Refuse):
                await site.node.verbs.join(room, "ann", None)
            with pytest.raises(Refuse):
                await site.node.verbs.leave(room, "ann", None)

    test()


# Inboxes


@simulated
async def test_a_user_is_all_the_sessions_there_are_now() -> None:
    async with site_of() as site:
        one, other = await come(site, "ann"), await come(site, "bob")
        await publish(site, "@user/ann", 1)
        second = await come(site, "ann")
        await publish(site, "@user/ann", 2)
        assert (read(site, one), read(site, second), read(site, other)) == ([1, 2], [2], [])
        await publish(site, f"@session/{one.session_id}", 3)
        assert (read(site, one), read(site, second)) == ([3], [])


@simulated
async def test_what_is_for_nobody_is_kept_by_nobody() -> None:
    async with site_of(max_rooms=3) as site:
        for n in range(10):
            position = await publish(site, f"@user/u{n}", n)
            assert position is not None
            assert position.offset == 1
            await publish(site, f"@session/s{n}", n, volatile=True)
        await come(site, room="log/1")
        assert list(site.node.hub._feeds) == ["log/1"]


@simulated
async def test_a_users_inbox_goes_with_the_last_session() -> None:
    async with site_of() as site:
        one, two = await come(site, "ann"), await come(site, "ann")
        await publish(site, "@user/ann", 1)
        site.node.end(site.client(one), "bye")
        await publish(site, "@user/ann", 2)
        assert read(site, two) == [1, 2]
        site.node.end(site.client(two), "bye")
        await simulated_loop().settle()
        assert site.node.hub._feeds == {}


@simulated
async def test_an_inbox_for_which_there_is_no_room_is_the_servers_trouble() -> None:
    async with site_of(max_rooms=1) as site:
        await come(site, "ann", room="log/1")
        with pytest.raises(BrokerUnavailable):
            await publish(site, "@user/ann", 1)


# Moves


@simulated
async def test_the_server_joins_and_takes_out_without_asking() -> None:
    async with site_of() as site:
        one, two = await come(site, "ann"), await come(site, "ann")
        await site.node.verbs.join("closed", "ann", None)
        await site.node.verbs.join("closed", "ann", None)
        for each in (one, two):
            assert [joined[:2] for joined in of_kind(site.take(each), "joined")] == [[None, "closed"]]
        await site.node.verbs.leave("closed", None, one.session_id)
        await publish(site, "closed", "x")
        [left] = of_kind(site.take(one), "left")
        assert left[:3] == [None, "closed", "removed"]
        assert (read(site, two), site.client(one).rooms) == (["x"], frozenset())


@simulated
async def test_who_is_taken_out_and_put_in_again_at_once_hears_of_both() -> None:
    async with site_of() as site:
        one = await come(site, "ann")
        await site.node.verbs.join("closed", "ann", None)
        site.take(one)
        await site.node.verbs.leave("closed", "ann", None)
        await publish(site, "closed", "missed")
        await site.node.verbs.join("closed", "ann", None)
        told = [frame for frame in site.take(one) if frame[0] in ("left", "joined")]
        assert [frame[:3] for frame in told] == [["left", None, "closed"], ["joined", None, "closed"]]
        assert told[1][3][1] == 1


@simulated
async def test_a_session_that_has_ended_is_not_moved() -> None:
    async with site_of() as site:
        client = site.client(await come(site, "ann"))
        site.node.end(client, "bye")
        await site.node._dispatch.take_in(client, "log/1")
        await site.node.verbs.join("log/1", "ann", None)
        assert client.rooms == frozenset()


@simulated
async def test_a_move_is_bound_by_the_rooms_a_session_may_be_in() -> None:
    async with site_of(max_session_rooms=1) as site:
        await come(site, "ann", room="log/1")
        with pytest.raises(Refuse) as refused:
            await site.node.verbs.join("log/2", "ann", None)
        assert refused.value.code == "too_many_rooms"


@pytest.mark.parametrize("names", [(None, None), ("ann", "s")])
def test_a_session_is_named_one_way(names: tuple[str | None, str | None]) -> None:
    @simulated
    async def test() -> None:
        async with site_of() as site:
            with pytest.raises(TypeError, match="either user= or session="):
                await site.node.verbs.join("log/1", *names)

    test()


@simulated
async def test_a_user_is_disconnected_with_a_code_of_the_application() -> None:
    async with site_of() as site:
        one, two, other = await come(site, "ann"), await come(site, "ann"), await come(site, "bob")
        await site.node.verbs.disconnect("ann", None, 4501, "banned")
        closes = [of_kind(site.take(each), "close") for each in (one, two, other)]
        assert closes == [[[4501, "banned"]], [[4501, "banned"]], []]
        await simulated_loop().settle()
        assert sorted(site.ended) == sorted((each.session_id, "banned") for each in (one, two))


@pytest.mark.parametrize("code", [1000, 3000, CloseCode.GOING_AWAY, 3999, 5000])
def test_other_codes_are_not_the_applications(code: int) -> None:
    @simulated
    async def test() -> None:
        async with site_of() as site:
            one = await come(site, "ann")
            with pytest.raises(ValueError, match="4000 to 4999"):
                await site.node.verbs.disconnect("ann", None, code, "")
            assert one.session_id in site.node.sessions

    test()


@simulated
async def test_a_handler_may_end_its_own_session() -> None:
    site = site_of()

    @site.declared.on("quit")
    async def end_me(client: Session, data: Any) -> None:
        await site.node.verbs.disconnect(None, client.session_id, CloseCode.ENDED, "as you wish")

    async with site:
        one = await come(site)
        await site.say(one, ["send", 1, "quit", None])
        assert of_kind(site.take(one), "close") == [[CloseCode.ENDED, "as you wish"]]
        assert site.ended == [(one.session_id, "as you wish")]


# Reading


@simulated
async def test_a_page_and_what_follows_from_its_position_have_no_gap() -> None:
    async with site_of() as site:
        for n in (1, 2, 3):
            await publish(site, "log/1", n)
        page = await site.node.verbs.read("log/1", None)
        assert page.publications == [Published(2, "e", 2), Published(3, "e", 3)]
        await publish(site, "log/1", 4)
        one = await come(site)
        await site.say(one, ["join", 1, "log/1", {"position": list(page.position)}])
        assert read(site, one) == [4]


@pytest.mark.parametrize(("history", "offsets"), [(0, []), (1, [3]), (9, [1, 2, 3]), (-1, [])])
def test_a_page_has_as_much_history_as_is_asked_for(history: int, offsets: list[int]) -> None:
    @simulated
    async def test() -> None:
        async with site_of() as site:
            for n in (1, 2, 3):
                await publish(site, "log/1", bytes([n]))
            page = await site.node.verbs.read("log/1", history)
            assert [(each.offset, each.data) for each in page.publications] == [(n, bytes([n])) for n in offsets]
            assert page.position.offset == 3

    test()


@simulated
async def test_whom_the_server_takes_out_while_a_check_runs_neither_joins_nor_publishes() -> None:
    site = site_of()
    go = asyncio.Event()

    async def wait(client: Session, *said: Any) -> None:
        await go.wait()

    site.declared.room("slow")(wait)
    site.declared.room("quiet", on_publish=wait)(lambda client: None)
    async with site:
        one = await come(site, room="quiet")
        two = await come(site)
        await site.say(one, ["publish", 2, "quiet", "e", "x"])
        await site.say(two, ["join", 1, "slow"])
        three = await site.attach(new=f"03{NEW}", rooms={"slow": {}})
        await simulated_loop().settle()
        await site.node.verbs.leave("quiet", None, one.session_id)
        for each in (two, three):
            await site.node.verbs.leave("slow", None, each.session_id)
        go.set()
        await simulated_loop().settle()
        assert [error[:2] for error in of_kind(site.take(one), "error")] == [[2, "not_joined"]]
        assert [error[:2] for error in of_kind(site.take(two), "error")] == [[1, "removed"]]
        assert [left[:3] for left in of_kind(site.take(three), "left")] == [[None, "slow", "removed"]]
        assert (site.client(two).rooms, site.client(three).rooms) == (frozenset(), frozenset())
        assert (await site.node.verbs.read("quiet", 10)).position.offset == 0
        await site.say(two, ["join", 2, "slow"])
        assert site.client(two).rooms == {"slow"}


@simulated
async def test_a_session_without_place_keeps_no_other_of_the_user_out() -> None:
    async with site_of(max_session_rooms=1) as site:
        full, free = await come(site, "ann", room="log/1"), await come(site, "ann")
        with pytest.raises(Refuse) as refused:
            await site.node.verbs.join("closed", "ann", None)
        assert refused.value.code == "too_many_rooms"
        assert [set(site.client(each).rooms) for each in (full, free)] == [{"log/1"}, {"closed"}]
