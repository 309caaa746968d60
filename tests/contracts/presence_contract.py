"""What every transport shows of who is in a room."""

from __future__ import annotations

from typing import Any

import pytest

from multitransport.testing.waiting import eventually
from tests.contracts.served import Served
from tests.contracts.transport_contract import TransportContract
from tests.contracts.wires import TRANSPORTS, Wire, wire

__all__ = ["PresenceContract"]

TEAM = "team/a"
ROOM = "@presence/team/a"
ANN = {"Authorization": "Bearer ann"}


class PresenceContract(TransportContract):
    """A newcomer gets the members, and then exact changes."""

    async def test_a_newcomer_gets_the_members_and_then_each_change(self, transport: str) -> None:
        async with (
            self.serve() as served,
            wire(transport, served, headers=ANN) as ann,
            wire(transport, served) as other,
        ):
            mine = await enter(ann)
            await ann.holds(ROOM, shown(mine, user="ann"))
            theirs = await enter(other)
            both = shown(mine, user="ann") | shown(theirs)
            await other.holds(ROOM, both)
            await ann.holds(ROOM, both)
            await other.say(["leave", 2, TEAM])
            assert (await other.outcome(2))[:3] == ["left", 2, TEAM]
            await ann.holds(ROOM, shown(mine, user="ann"))
            assert changes(ann) == [mine[0], theirs[0], f"{theirs[0]} left"]
            assert await who(served) == ["user:ann"]

    async def test_presence_is_joined_and_left_with_its_room(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one:
            await one.open(["join", 1, TEAM])
            assert (await one.outcome(1))[2] == TEAM
            joined = await one.rejoined()
            assert joined[2] == ROOM
            assert joined[4] == {"mode": "state", "recovered": True}
            await one.say(["leave", 2, TEAM])
            await one.outcome(2)
            await one.drop()
            await one.open(rooms={})
            assert not next(iter(served.application.node.sessions.values())).record.rooms

    async def test_two_sessions_of_a_user_are_one_member(self, transport: str) -> None:
        async with (
            self.serve() as served,
            wire(transport, served, headers=ANN) as phone,
            wire("websocket", served, headers=ANN) as desktop,
        ):
            one, two = await enter(phone), await enter(desktop)
            await phone.holds(ROOM, shown(one, user="ann") | shown(two, user="ann"))
            [ann] = await served.application.rt.members(TEAM)
            assert (ann.id, [meta.session for meta in ann.metas]) == ("user:ann", [one[0], two[0]])
            await desktop.say(["leave", 2, TEAM])
            await phone.holds(ROOM, shown(one, user="ann"))
            assert await who(served) == ["user:ann"]

    async def test_a_session_says_what_others_see_of_it(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one, wire(transport, served) as two:
            mine, theirs = await enter(one), await enter(two)
            await one.say(["presence", 2, TEAM, {"status": "away", "typing": True}])
            assert await one.outcome(2) == ["ack", 2]
            away = shown(mine, {"status": "away", "typing": True})
            for each in (one, two):
                await each.holds(ROOM, away | shown(theirs))
            client = served.application.node.sessions[theirs[0]]
            await client.presence(TEAM, "by the server")
            for each in (two, one):
                await each.holds(ROOM, away | shown(theirs, "by the server"))

    async def test_presence_where_one_is_not_is_refused(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one:
            await one.open(["join", 1, "log/a"])
            await one.outcome(1)
            await one.say(["presence", 2, TEAM, 1], ["presence", 3, "log/a", 1], ["presence", 4, ROOM, 1])
            assert [(await one.outcome(seq))[2] for seq in (2, 3, 4)] == ["not_joined"] * 3

    async def test_a_cut_within_the_grace_is_neither_leave_nor_join(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one, wire("websocket", served) as watcher:
            mine = await enter(one)
            await enter(watcher)
            await watcher.until(lambda: len(watcher.values[ROOM]) == 2)
            watcher.seen.clear()
            for _ in range(3):
                await one.drop()
                assert (await one.open())["resumed"]
            await one.say(["presence", 2, TEAM, "back"])
            await watcher.until(lambda: changes(watcher))
            assert changes(watcher) == [mine[0]]
            assert watcher.values[ROOM].items() >= shown(mine, "back").items()

    async def test_another_transport_is_a_change_of_the_meta(self, transport: str) -> None:
        other = TRANSPORTS[TRANSPORTS.index(transport) - 1]
        async with (
            self.serve() as served,
            wire(transport, served) as one,
            wire(other, served) as two,
            wire("websocket", served) as watcher,
        ):
            session_id, _ = await enter(one)
            await enter(watcher)
            await watcher.until(lambda: len(watcher.values[ROOM]) == 2)
            watcher.seen.clear()
            two.takes_over(one)
            assert (await two.open())["resumed"]
            await watcher.until(lambda: changes(watcher))
            assert changes(watcher) == [session_id]
            assert watcher.values[ROOM].items() >= shown((session_id, other)).items()

    async def test_after_the_grace_it_has_left_and_a_resume_joins_it_again(self, transport: str) -> None:
        async with (
            self.serve(presence_seconds=0.1) as served,
            wire(transport, served) as one,
            wire("websocket", served) as watcher,
        ):
            session_id, _ = await enter(one)
            await enter(watcher)
            await one.say(["presence", 2, TEAM, "busy"])
            await one.drop()
            await watcher.until(lambda: f"{session_id} left" in changes(watcher))
            watcher.seen.clear()
            assert (await one.open())["resumed"]
            await watcher.until(lambda: changes(watcher))
            assert watcher.values[ROOM].items() >= shown((session_id, transport), "busy").items(), "as it was"

    @pytest.mark.parametrize("end", ["bye", "expired", "disconnected"])
    async def test_a_session_that_ends_leaves_once(self, transport: str, end: str) -> None:
        settings = {"resume_seconds": 0.3, "presence_seconds": 0.1} if end == "expired" else {}
        async with (
            self.serve(**settings) as served,
            wire(transport, served) as one,
            wire("websocket", served) as watcher,
        ):
            session_id, _ = await enter(one)
            theirs = await enter(watcher)
            if end == "bye":
                await one.say(["bye"])
            elif end == "disconnected":
                await served.application.rt.disconnect(session=session_id)
            await one.drop()
            await eventually(lambda: served.application.disconnected)
            assert served.application.disconnected == [(session_id, end)]
            await watcher.say(["presence", 2, TEAM, "last"])
            await watcher.holds(ROOM, shown(theirs, "last"))
            assert changes(watcher).count(f"{session_id} left") == 1
            assert await who(served) == [f"session:{theirs[0]}"]

    async def test_one_that_has_shown_no_life_is_nobody(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one:
            mine = await one.open(["join", 1, TEAM])
            session = served.application.node.sessions[mine["session"]]
            await eventually(lambda: session.rooms)
            assert await who(served) == []
            await one.confirm()
            await eventually(lambda: served.application.rt.members(TEAM))
            await one.until(lambda: one.values.get(ROOM))
            assert list(one.values[ROOM]) == [mine["session"]]


async def enter(one: Wire) -> tuple[str, str]:
    """Join the room with presence and return what is seen of the session: its id and its transport."""
    session_id = (await one.open(["join", 1, TEAM]))["session"]
    await one.confirm()
    await one.until(lambda: session_id in one.values.get(ROOM, {}))
    return session_id, one.transport


def shown(one: tuple[str, str], meta: Any = None, *, user: str | None = None) -> dict[str, Any]:
    """Return what the presence room holds of a session: its key, and who it is, its transport and what it says."""
    session_id, transport = one
    return {session_id: {"user": user, "transport": transport, "meta": meta}}


def changes(one: Wire) -> list[str]:
    """Return the changes of sessions there were to see and are not yet taken, in order."""
    told = [frame for frame in one.seen if frame[0] == "pub" and frame[1] == ROOM]
    return [frame[5]["key"] + " left" * frame[5].get("deleted", False) for frame in told]


async def who(served: Served) -> list[str]:
    """Return the ids of the members as the server has them."""
    return [each.id for each in await served.application.rt.members(TEAM)]
