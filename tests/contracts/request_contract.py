"""What every transport does with frames that want processing."""

from __future__ import annotations

from multitransport.testing.waiting import eventually
from tests.contracts.transport_contract import TransportContract, closed_by
from tests.contracts.wires import wire

__all__ = ["RequestContract"]


class RequestContract(TransportContract):
    """Frames that want processing: once each, in order, each with its outcome."""

    async def test_each_outcome_is_told(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one:
            await one.open(["send", 1, "echo", {"a": [1, None, "é"]}])
            assert await one.outcome(1) == ["reply", 1, {"a": [1, None, "é"]}]
            await one.say(["send", 2, "note", "x"], ["send", 3, "refuse", None], ["send", 4, "nothing", None])
            assert (await one.outcome(3))[1:] == [3, "too_late", "the shop is closed"]
            assert (await one.outcome(4))[2] == "unknown_event"
            assert served.application.ran == [{"a": [1, None, "é"]}, "x"]

    async def test_what_has_no_reply_is_acknowledged(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one:
            await one.open()
            await one.say(["send", 1, "note", "x"])
            assert await one.outcome(1) == ["ack", 1]

    async def test_data_that_does_not_fit_names_the_field(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one:
            await one.open(["send", 1, "greet", {"name": "ann", "times": "two"}], ["send", 2, "greet", {"name": "ann"}])
            _, _, code, message = await one.outcome(1)
            assert code == "invalid"
            assert "times" in message
            assert await one.outcome(2) == ["reply", 2, "hello ann"]

    async def test_a_repeat_is_not_run_again(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one:
            one.acknowledges = False
            await one.open(["send", 1, "echo", "first"], ["send", 1, "echo", "twice in a message"])
            assert await one.outcome(1) == ["reply", 1, "first"]
            one.seen.clear()
            await one.say(["send", 1, "echo", "again"], ["send", 2, "echo", "second"])
            assert await one.outcome(1) == ["reply", 1, "first"]
            assert await one.outcome(2) == ["reply", 2, "second"]
            assert served.application.ran == ["first", "second"]

    async def test_a_repeat_whose_outcome_was_acknowledged_is_covered_by_ack(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one:
            await one.open(["send", 1, "echo", "first"])
            await one.outcome(1)
            await one.say(["ack", 1])
            one.seen.clear()
            await one.say(["send", 1, "echo", "again"])
            assert await one.outcome(1) == ["ack", 1]
            assert served.application.ran == ["first"]

    async def test_an_outcome_too_large_to_keep_is_told_once(self, transport: str) -> None:
        async with self.serve(max_outcome_bytes=1000) as served, wire(transport, served) as one:
            one.acknowledges = False
            await one.open()
            waiting = await one.held("reply")
            await one.say(["send", 1, "large", 2000])
            assert len((await waiting)[2]) == 2000
            one.seen.clear()
            await one.say(["send", 1, "large", 2000])
            assert (await one.next("error"))[:3] == ["error", 1, "outcome_unknown"]

    async def test_the_window_is_as_wide_as_it_says(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one:
            window = (await one.open())["window"]
            await one.say(*(["send", seq, "wait", seq] for seq in range(1, window + 1)))
            assert (await closed_by(one, ["send", window + 1, "note", None])).code == 3503
            served.application.gate.set()

    async def test_a_slow_handler_holds_nothing_else_up(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one:
            await one.open(["join", 1, "log/a"], ["send", 2, "wait", "slow"])
            await one.outcome(1)
            await served.application.publish("log/a", 1)
            assert await one.publications(1) == [1]
            served.application.gate.set()
            assert await one.outcome(2) == ["reply", 2, "slow"]

    async def test_a_concurrent_handler_lets_the_next_frames_pass(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one:
            await one.open(
                ["send", 1, "wait beside", "first"], ["send", 2, "wait beside", "second"], ["send", 3, "echo", 3]
            )
            assert await one.outcome(3) == ["reply", 3, 3]
            assert not [frame for frame in one.seen if frame == ["ack", 3]], "the first is not processed"
            assert served.application.ran == [3]
            await one.drop()
            assert (await one.open())["seq"] == 3
            served.application.gate.set()
            told = [await one.next("reply") for _ in range(2)]
            assert sorted(told) == [["reply", 1, "first"], ["reply", 2, "second"]], "it had the third"
            while (await one.next("reply", "ack")) != ["ack", 3]:
                pass

    async def test_a_handler_that_never_returns_stops_only_its_own_session(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one, wire(transport, served) as other:
            stuck = await one.open(["send", 1, "wait", "for ever"], ["send", 2, "echo", "behind it"])
            waiting = await one.held("pong", "reply")
            await one.say(["ping", 5])
            assert await waiting == ["pong", 5]
            await other.open(["join", 1, "log/a"], ["send", 2, "echo", "at once"])
            assert await other.outcome(2) == ["reply", 2, "at once"]
            # Nor does it outlive its session.
            await served.application.rt.disconnect(session=stuck["session"])
            await eventually(lambda: served.application.disconnected == [(stuck["session"], "disconnected")])
            assert served.application.ran == ["at once"]
