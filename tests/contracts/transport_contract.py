"""What every transport does, whatever serves it. A subclass names the server."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any, ClassVar

import pytest

from multitransport.testing.waiting import eventually
from tests.contracts.application import Application
from tests.contracts.served import Served, served
from tests.contracts.wires import TRANSPORTS, Closed, Frame, WebSocketWire, Wire, wire

__all__ = ["TransportContract"]


@pytest.mark.parametrize("transport", TRANSPORTS)
class TransportContract:
    """Each test runs once over each transport, on a server of its own."""

    server: ClassVar[str]

    @pytest.fixture(autouse=True)
    def _nothing_is_logged(self, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
        yield
        assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []

    @contextlib.asynccontextmanager
    async def serve(self, **settings: Any) -> AsyncIterator[Served]:
        """Serve the application of the contracts."""
        async with served(self.server, Application(**settings)) as way:
            yield way


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
            assert (await _closed_by(one, ["send", window + 1, "note", None])).code == 3503
            served.application.gate.set()

    async def test_a_slow_handler_holds_nothing_else_up(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one:
            await one.open(["join", 1, "log/a"], ["send", 2, "wait", "slow"])
            await one.outcome(1)
            await served.application.publish("log/a", 1)
            assert await one.publications(1) == [1]
            served.application.gate.set()
            assert await one.outcome(2) == ["reply", 2, "slow"]


class SessionContract(TransportContract):
    """The life of a session: who may have it, what carries it, and how it ends."""

    async def test_the_welcome_says_what_binds_the_client(self, transport: str) -> None:
        settings = {"ping_seconds": 7.0, "grace_seconds": 3.0, "resume_seconds": 50.0, "max_message_bytes": 5000}
        async with self.serve(**settings) as served, wire(transport, served) as one:
            welcome = await one.open()
            assert welcome == {
                "v": 1,
                "session": welcome["session"],
                "token": welcome["token"],
                "resumed": False,
                "seq": 0,
                "window": 64,
                "ping": 7.0,
                "grace": 3.0,
                "resume": 50.0,
                "max_message": 5000,
                "transport": transport,
            }

    async def test_a_ping_is_answered(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one:
            await one.open()
            waiting = await one.held("pong")
            await one.say(["ping", 12.5])
            assert await waiting == ["pong", 12.5]

    async def test_the_connect_check_sees_the_session_and_the_headers(self, transport: str) -> None:
        application = Application()
        origin = {"X-Trace": "abc"}
        async with served(self.server, application) as way:
            origin["Origin"] = way.url.removesuffix("/realtime")
            cookie = f"session={application.cookies('ann')['session']}"
            async with wire(transport, way, headers={**origin, "Cookie": cookie}) as one:
                await one.open(["send", 1, "who", None], ["join", 2, "members/a"])
                assert await one.outcome(1) == ["reply", 1, ["ann", "abc", transport]]
                assert (await one.outcome(2))[0] == "joined"
        assert application.connected[0] == ("ann", False)

    async def test_a_refusal_brings_the_applications_code_and_makes_nothing(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one:
            with pytest.raises(Closed) as closed:
                await one.open(auth="refuse me")
            assert (closed.value.code, closed.value.reason) == (3505, "come back tomorrow")
            assert closed.value.options == {"code": "not_today"}
            assert not list(served.application.node.sessions)
            await _hung_up(one, 3505, "come back tomorrow")

    async def test_another_user_may_not_resume(self, transport: str) -> None:
        async with (
            self.serve() as served,
            wire(transport, served, headers={"Authorization": "Bearer ann"}) as ann,
            wire(transport, served, headers={"Authorization": "Bearer eve"}) as eve,
        ):
            mine = await ann.open(["join", 1, "log/a"])
            await ann.outcome(1)
            eve.takes_over(ann)
            with pytest.raises(Closed) as closed:
                await eve.open()
            assert closed.value.code == 3506
            await served.application.publish("log/a", "still here")
            assert await ann.publications(1) == ["still here"]
            # With the `new` alone she gets a session of her own.
            eve.token = None
            assert (await eve.open())["session"] != mine["session"]

    @pytest.mark.parametrize("kind", ["forged", "of another key", "of another secret", "no token at all"])
    async def test_a_token_that_is_none_makes_a_new_session(self, transport: str, kind: str) -> None:
        async with self.serve() as served, wire(transport, served) as one, wire(transport, served) as other:
            mine = await one.open()
            token = str(mine["token"])
            tokens = served.application.node.admission._tokens
            other.token = {
                "forged": token[:-4] + ("aaaa" if token[-4:] != "aaaa" else "bbbb"),
                "of another key": type(tokens)(["another key"]).sign(mine["session"], "whatever"),
                "of another secret": tokens.sign(mine["session"], "guessed"),
                "no token at all": "nonsense",
            }[kind]
            welcome = await other.open()
            assert not welcome["resumed"]
            assert welcome["session"] != mine["session"]
            assert len(served.application.node.sessions) == 2

    async def test_a_second_transport_supersedes_the_first(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one, wire(transport, served) as two:
            await one.open(["join", 1, "log/a"])
            await one.outcome(1)
            waiting = await one.held("close")
            two.takes_over(one)
            assert (await two.open())["resumed"]
            assert (await waiting)[1] == 3500
            await _hung_up(one, 3500, "a newer transport carries this session")
            await served.application.publish("log/a", 1)
            assert await two.publications(1) == [1]
            assert len(served.application.node.sessions) == 1

    async def test_a_delayed_attach_is_refused_and_changes_nothing(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one, wire(transport, served) as late:
            await one.open(["join", 1, "log/a"])
            await one.outcome(1)
            late.takes_over(one)
            late.attach -= 1
            with pytest.raises(Closed) as closed:
                await late.open()
            assert closed.value.code == 3006
            await served.application.publish("log/a", 1)
            assert await one.publications(1) == [1]

    async def test_the_same_new_makes_one_session(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one, wire(transport, served) as two:
            first = await one.open(["send", 1, "echo", "once"])
            await one.outcome(1)
            two.new, two.attach = one.new, one.attach
            second = await two.open()
            assert second["session"] == first["session"]
            assert second["resumed"]
            assert second["seq"] == 1
            assert await two.outcome(1) == ["reply", 1, "once"]

    async def test_a_transport_the_configuration_leaves_out_is_not_allowed(self, transport: str) -> None:
        others = [name for name in TRANSPORTS if name != transport]
        async with self.serve(transports=others) as served, wire(transport, served) as one:
            with pytest.raises(Closed) as closed:
                await one.open()
            assert closed.value.code == 3008
            assert served.application.connected == []

    async def test_the_hook_keeps_a_client_from_a_transport(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one:
            served.application.forbidden_transports.add(transport)
            with pytest.raises(Closed) as closed:
                await one.open()
            assert closed.value.code == 3008
            assert not list(served.application.node.sessions)

    async def test_messages_are_taken_up_to_the_limit(self, transport: str) -> None:
        async with self.serve(max_message_bytes=4000) as served, wire(transport, served) as one:
            await one.open()
            await one.say(["send", 1, "echo", "x" * 3500])
            assert (await one.outcome(1))[2] == "x" * 3500
            assert (await _closed_by(one, ["send", 2, "echo", "é" * 2000])).code == 3502
            await _hung_up(one, 3502, "the message is over 4000 bytes")

    async def test_bye_ends_the_session_after_what_was_before_it(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one:
            welcome = await one.open()
            waiting = await one.held("close")
            await one.say(["send", 1, "note", "last"], ["bye"])
            assert (await waiting)[1:] == [3509, "bye"]
            await _hung_up(one, 3509, "bye")
            assert served.application.ran == ["last"]
            await eventually(lambda: served.application.disconnected == [(welcome["session"], "bye")])

    async def test_a_drain_sends_everybody_off_with_a_time_to_come_back(self, transport: str) -> None:
        async with self.serve(retry_seconds=3.0, drain_seconds=0.3) as served, wire(transport, served) as one:
            await one.open()
            waiting = await one.held("close")
            await served.application.node.drain()
            _, code, _, options = await waiting
            assert code == 3000
            assert 0 <= options["retry_after"] <= 3
            with pytest.raises(Closed) as closed:
                await one.open()
            assert closed.value.code == 3000
            assert "retry_after" in closed.value.options


async def _epoch(served: Served) -> str:
    return (await served.application.rt.publish("log/other", "said", 0)).epoch


async def _closed_by(one: Wire, frame: Frame) -> Closed:
    """Send a frame that ends the transport, and return how it did."""
    try:
        await one.say(frame)
        await one.next("nothing else")
    except Closed as closed:
        return closed
    raise AssertionError


async def _hung_up(one: Wire, code: int, reason: str) -> None:
    """On a WebSocket the code and the reason are also those of its own close."""
    if isinstance(one, WebSocketWire):
        hangup = await one.hangup()
        assert (hangup.code, hangup.reason) == (code, reason)
