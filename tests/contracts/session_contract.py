"""What every transport does for the life of a session."""

from __future__ import annotations

import asyncio

import pytest

from multitransport.testing.waiting import eventually
from tests.contracts.application import Application
from tests.contracts.served import served
from tests.contracts.transport_contract import TransportContract, closed_by
from tests.contracts.wires import TRANSPORTS, Closed, WebSocketWire, Wire, wire
from tests.redis_server import RedisServer

__all__ = ["SessionContract"]


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
            tokens = served.application.node._admission._tokens
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
            assert (await closed_by(one, ["send", 2, "echo", "é" * 2000])).code == 3502
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

    async def test_a_drain_has_clients_move_while_they_are_served(self, transport: str) -> None:
        async with (
            RedisServer() as redis,
            self.serve(broker=redis.url, drain_seconds=1.0) as served,
            wire(transport, served) as one,
        ):
            await one.open(["join", 1, "log/a"])
            await one.outcome(1)
            waiting = await one.held("move")
            draining = asyncio.create_task(served.application.node.drain())
            assert await waiting == ["move"]
            if transport == "poll":  # the next one goes to another node
                with pytest.raises(Closed) as closed:
                    await one.next("pub")
                assert closed.value.code == 3000
            else:
                await served.application.publish("log/a", 1)
                assert await one.publications(1) == [1]
                _, code, _, options = await one.next("close")
                assert code == 3000
                assert 0 <= options["retry_after"] <= 0.2
            await draining


async def _hung_up(one: Wire, code: int, reason: str) -> None:
    """On a WebSocket the code and the reason are also those of its own close."""
    if isinstance(one, WebSocketWire):
        hangup = await one.hangup()
        assert (hangup.code, hangup.reason) == (code, reason)
