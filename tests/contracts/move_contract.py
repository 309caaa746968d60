"""What every transport does where the server moves sessions by its own will."""

from __future__ import annotations

import asyncio

import pytest

from multitransport import Refuse
from multitransport.testing.waiting import eventually
from tests.contracts.transport_contract import TransportContract
from tests.contracts.wires import Closed, WebSocketWire, wire

__all__ = ["MoveContract"]

ANN = {"Authorization": "Bearer ann"}


class MoveContract(TransportContract):
    """Joins, leaves and ends by the server."""

    @pytest.mark.parametrize("by", ["user", "session"])
    async def test_a_session_is_joined_to_a_room(self, transport: str, by: str) -> None:
        async with self.serve() as served, wire(transport, served, headers=ANN) as one:
            mine = await one.open()
            named = {"user": "ann"} if by == "user" else {"session": mine["session"]}
            await served.application.rt.join("silent/a", **named)
            joined = await one.rejoined()
            assert joined[:3] == ["joined", None, "silent/a"]
            assert joined[4] == {"mode": "log", "recovered": True, "unasked": True}
            await served.application.publish("silent/a", 1)
            assert await one.publications(1) == [1]
            await one.drop()
            await served.application.publish("silent/a", 2)
            assert (await one.open())["resumed"]
            assert await one.publications(1) == [2]
            # Once it asks for the room itself, it is there by its own will.
            await one.say(["join", 1, "silent/a", {"position": one.positions["silent/a"]}])
            assert (await one.outcome(1))[4] == {"mode": "log", "recovered": True}
            with pytest.raises(Refuse):
                await served.application.rt.join("nowhere", **named)

    async def test_to_join_it_where_it_is_already_changes_nothing(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one:
            mine = await one.open(["join", 1, "log/a"])
            await one.outcome(1)
            await served.application.publish("log/a", 1)
            await served.application.rt.join("log/a", session=mine["session"])
            await served.application.publish("log/a", 2)
            assert await one.publications(2) == [1, 2]

    async def test_a_session_that_is_away_hears_of_it_when_it_is_back(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served, headers=ANN) as one:
            await one.open(["join", 1, "log/a"])
            await one.outcome(1)
            await one.confirm()
            await one.drop()
            await served.application.rt.join("log/b", user="ann")
            await served.application.rt.leave("log/a", user="ann")
            await served.application.publish("log/a", "unheard")
            await served.application.publish("log/b", "heard")
            assert (await one.open())["resumed"]
            told = {(frame := await one.next("joined", "left"))[2]: frame for _ in range(2)}
            assert told["log/b"][:2] == ["joined", None]
            assert told["log/a"][:4] == ["left", None, "log/a", "removed"]
            assert await one.publications(1) == ["heard"]

    async def test_a_session_is_taken_out_of_a_room(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served, headers=ANN) as one:
            await one.open(["join", 1, "log/a"], ["join", 2, "log/b"])
            await one.outcome(2)
            waiting = await one.held("left")
            await served.application.rt.leave("log/a", user="ann")
            assert (await waiting)[:4] == ["left", None, "log/a", "removed"]
            await served.application.publish("log/a", "unheard")
            await served.application.publish("log/b", "heard")
            assert await one.publications(1) == ["heard"]
            # It may ask again.
            await one.say(["join", 3, "log/a", {"history": 0}])
            assert (await one.outcome(3))[0] == "joined"

    async def test_presence_follows_the_moves(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served, headers=ANN) as one:
            await one.open()
            await one.confirm()
            rt = served.application.rt
            await rt.join("team/a", user="ann")
            await one.until(lambda: one.values.get("@presence/team/a"))
            assert [each.id for each in await rt.members("team/a")] == ["user:ann"]
            await rt.leave("team/a", user="ann")
            assert await rt.members("team/a") == []
            while (await one.next("left"))[2] != "team/a":
                pass

    @pytest.mark.parametrize("code", [4499, 4500, 3512])
    async def test_a_session_is_ended_with_a_code(self, transport: str, code: int) -> None:
        async with self.serve() as served, wire(transport, served) as one, wire("websocket", served) as other:
            mine = await one.open()
            await other.open()
            waiting = await one.held("close")
            await served.application.rt.disconnect(session=mine["session"], code=code, reason="paid too little é")
            assert (await waiting)[1:3] == [code, "paid too little é"]
            if isinstance(one, WebSocketWire):
                hangup = await one.hangup()
                assert (hangup.code, hangup.reason) == (code, "paid too little é")
            assert list(served.application.node.sessions) != []
            assert mine["session"] not in served.application.node.sessions
            if code == 4499:
                welcome = await one.open()
                assert (welcome["resumed"], welcome["seq"]) == (False, 0)
            else:
                with pytest.raises(Closed) as again:
                    await one.open()
                assert again.value.code == code
            await other.say(["send", 1, "echo", "well"])
            assert await other.outcome(1) == ["reply", 1, "well"]

    @pytest.mark.parametrize("code", [4499, 4500])
    async def test_one_that_is_ended_while_it_is_away_is_told_when_it_comes_back(
        self, transport: str, code: int
    ) -> None:
        async with self.serve() as served, wire(transport, served) as one:
            mine = await one.open(["join", 1, "log/a"])
            await one.outcome(1)
            await one.drop()
            await eventually(lambda: served.application.attached == [])
            await served.application.rt.disconnect(session=mine["session"], code=code)
            await eventually(lambda: served.application.disconnected == [(mine["session"], "disconnected")])
            with pytest.raises(Closed) as told:
                await one.open()
            assert told.value.code == code
            if code == 4499:
                welcome = await one.open()
                assert (welcome["resumed"], welcome["seq"]) == (False, 0)
                assert welcome["session"] != mine["session"]
                assert (await one.rejoined())[2] == "log/a"
            else:
                with pytest.raises(Closed) as told:
                    await one.open()
                assert told.value.code == code

    async def test_all_sessions_of_a_user_are_ended(self, transport: str) -> None:
        async with (
            self.serve() as served,
            wire(transport, served, headers=ANN) as one,
            wire("websocket", served, headers=ANN) as two,
            wire(transport, served) as other,
        ):
            for each in (one, two, other):
                await each.open()
            waiting = [await each.held("close") for each in (one, two)]
            for wrong in (1000, 3000, 3999, 5000):
                with pytest.raises(ValueError, match="application"):
                    await served.application.rt.disconnect(user="ann", code=wrong)
            await served.application.rt.disconnect(user="ann")
            assert [(await each)[1] for each in waiting] == [3512, 3512]
            assert len(served.application.node.sessions) == 1

    async def test_a_room_may_disconnect_who_falls_behind(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one:
            await one.open(["join", 1, "strict/a"])
            await one.outcome(1)
            waiting = await one.held("close", "pub")
            # All at once, so that no reader has a chance in between.
            await asyncio.gather(*(served.application.publish("strict/a", number) for number in range(20)))
            assert (await waiting)[:2] == ["close", 3009]
            assert (await one.open())["resumed"]
            assert (await one.rejoined())[4] == {"mode": "log", "recovered": False, "lost": 15}
            assert await one.publications(5) == [15, 16, 17, 18, 19]

    async def test_who_keeps_up_stays(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one:
            await one.open(["join", 1, "strict/a"])
            await one.outcome(1)
            for number in range(30):
                await served.application.publish("strict/a", number)
                assert await one.publications(1) == [number]
