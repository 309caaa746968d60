"""What every transport does with the publications of log rooms."""

from __future__ import annotations

import asyncio

import pytest

from tests.contracts.served import Served
from tests.contracts.transport_contract import TransportContract
from tests.contracts.wires import Frame, wire

__all__ = ["RoomContract"]


class RoomContract(TransportContract):
    """Publications: in order, once, and nothing lost in silence."""

    async def test_publications_arrive_once_and_in_order(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one:
            await one.open(["join", 1, "log/a"], ["join", 2, "log/b"])
            await one.outcome(2)
            for number in range(300):
                await served.application.publish("log/a" if number % 3 else "log/b", number)
            got = await one.publications(300)
            assert [n for n in got if n % 3] == [n for n in range(300) if n % 3]
            assert [n for n in got if not n % 3] == [n for n in range(300) if not n % 3]

    @pytest.mark.parametrize(("asked", "got"), [(None, [3, 4, 5]), (2, [4, 5]), (0, []), (100, [3, 4, 5])])
    async def test_a_newcomer_gets_history(self, transport: str, asked: int | None, got: list[int]) -> None:
        async with self.serve() as served, wire(transport, served) as one:
            await served.application.publish("log/a", 1, 2, 3, 4, 5)
            await one.open(["join", 1, "log/a", {} if asked is None else {"history": asked}])
            joined = await one.outcome(1)
            assert joined[3][1] == 5 - len(got)
            assert joined[4] == {"mode": "log", "recovered": True}
            await served.application.publish("log/a", 6)
            assert await one.publications(len(got) + 1) == [*got, 6]

    async def test_a_room_named_in_hello_is_joined(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one:
            await served.application.publish("log/a", 1, 2, 3, 4, 5)
            await one.open(rooms={"log/a": {"history": 1}, "members/a": {}})
            told = {(frame := await one.next("joined", "left"))[2]: frame for _ in range(2)}
            assert told["log/a"][:2] == ["joined", None]
            assert told["members/a"][:4] == ["left", None, "members/a", "refused"]
            assert await one.publications(1) == [5]

    async def test_a_resume_goes_on_where_it_was(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one:
            first = await one.open(["join", 1, "log/a"])
            await one.outcome(1)
            await served.application.publish("log/a", 1, 2)
            assert await one.publications(2) == [1, 2]
            await one.drop()
            await served.application.publish("log/a", 3, 4)
            welcome = await one.open()
            assert welcome["resumed"]
            assert welcome["session"] == first["session"]
            assert welcome["seq"] == 1
            assert await one.publications(2) == [3, 4]

    async def test_without_a_position_a_resume_begins_where_the_room_was_joined(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one:
            await one.open(["join", 1, "log/a"])
            await one.outcome(1)
            await served.application.publish("log/a", 1, 2)
            await one.drop()
            one.positions.clear()
            assert (await one.open())["resumed"]
            assert await one.publications(2) == [1, 2]

    async def test_what_retention_did_not_keep_is_counted(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one:
            await one.open(["join", 1, "short/a"])
            await one.outcome(1)
            await one.drop()
            await served.application.publish("short/a", *range(20))
            await one.open()
            joined = await one.rejoined()
            assert joined[4] == {"mode": "log", "recovered": False, "lost": 15}
            assert await one.publications(5) == [15, 16, 17, 18, 19]

    async def test_an_attached_reader_that_is_overrun_skips_with_a_counted_gap(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one:
            await one.open(["join", 1, "short/a"])
            _, _, _, position, _ = await one.outcome(1)
            waiting = await one.held("gap", "pub")
            # All at once, so that no reader has a chance in between.
            await asyncio.gather(*(served.application.publish("short/a", number) for number in range(20)))
            assert await waiting == ["gap", "short/a", [position[0], 15], 15]
            assert await one.publications(5) == [15, 16, 17, 18, 19]

    async def test_another_epoch_is_told_and_what_there_is_follows(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one:
            await served.application.publish("log/a", 1, 2)
            for position in (["other", 1], [(await _epoch(served)), 99]):
                one.positions = {"log/a": position}
                await one.drop()
                await one.open()
                joined = await one.rejoined()
                assert joined[3][1] == 0
                assert joined[4] == {"mode": "log", "recovered": False, "lost": None}
                assert await one.publications(2) == [1, 2]

    async def test_a_member_publishes_and_hears_itself(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one:
            welcome = await one.open(["join", 1, "log/a"])
            await one.outcome(1)
            await one.say(["publish", 2, "log/a", "said", {"text": "é\u2028"}])
            await one.say(["publish", 3, "log/a", "said", "forbidden"])
            told: dict[str, Frame] = {}
            while len(told) < 2:
                frame = await one.next("pub", "error")
                told[frame[0]] = frame
            assert told["pub"][3:] == ["said", {"text": "é\u2028"}, {"from": welcome["session"]}]
            assert told["error"][1:] == [3, "bad_words", "not here"]

    async def test_who_may_not_publish_is_told(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one:
            await one.open(["join", 1, "silent/a"])
            await one.outcome(1)
            await one.say(["publish", 2, "silent/a", "said", 1], ["publish", 3, "log/a", "said", 1])
            assert (await one.outcome(2))[2] == "refused"
            assert (await one.outcome(3))[2] == "not_joined"

    async def test_after_leaving_nothing_follows(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one:
            await one.open(["join", 1, "log/a"], ["join", 2, "log/b"])
            await one.outcome(2)
            await one.say(["leave", 3, "log/a"])
            assert (await one.outcome(3))[:3] == ["left", 3, "log/a"]
            await served.application.publish("log/a", "unheard")
            await served.application.publish("log/b", "heard")
            assert await one.publications(1) == ["heard"]
            await one.say(["leave", 4, "log/a"])
            assert (await one.outcome(4))[2] == "not_joined"

    @pytest.mark.parametrize(("room", "code"), [("members/a", "refused"), ("nowhere", "unknown_room")])
    async def test_a_refused_join_costs_only_itself(self, transport: str, room: str, code: str) -> None:
        async with self.serve() as served, wire(transport, served) as one:
            await one.open(["join", 1, room], ["join", 2, "log/a"])
            assert (await one.outcome(1))[:3] == ["error", 1, code]
            assert (await one.outcome(2))[0] == "joined"


async def _epoch(served: Served) -> str:
    return (await served.application.rt.publish("log/other", "said", 0)).epoch
