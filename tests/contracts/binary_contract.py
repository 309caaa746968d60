"""What every transport does with bytes."""

from __future__ import annotations

import pytest

from tests.contracts.transport_contract import TransportContract
from tests.contracts.wires import TRANSPORTS, wire

__all__ = ["BinaryContract"]

BYTES = [b"", b"\x00", b"\n\r\n", b"\xff\xfe\x00 not UTF-8", bytes(range(256)) * 300]


class BinaryContract(TransportContract):
    """Bytes arrive as bytes, and on a WebSocket they travel as such."""

    async def test_bytes_arrive_between_what_is_json(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one:
            await one.open(["join", 1, "log/a"])
            await one.outcome(1)
            mixed = [each for data in BYTES for each in (data, {"size": len(data)})]
            await served.application.publish("log/a", *mixed)
            assert await one.publications(len(mixed)) == mixed
            assert one.base64 == (0 if transport == "websocket" else len(BYTES))

    async def test_bytes_are_kept_as_other_publications_are(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one:
            await served.application.publish("log/a", b"\x01", 2, b"")
            await one.open(["join", 1, "log/a"])
            assert await one.publications(3) == [b"\x01", 2, b""]
            await one.drop()
            await served.application.publish("log/a", b"\x04")
            await one.open()
            assert await one.publications(1) == [b"\x04"]

    async def test_volatile_bytes(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one:
            await one.open(["join", 1, "log/a"])
            await one.outcome(1)
            waiting = await one.held("pub")
            await served.application.rt.publish("log/a", "frame", b"\x00\xff", volatile=True)
            assert await waiting == ["pub", "log/a", None, "frame", b"\x00\xff"]

    @pytest.mark.parametrize("data", BYTES, ids=len)
    async def test_a_handler_gets_and_returns_bytes(self, transport: str, data: bytes) -> None:
        async with self.serve() as served, wire(transport, served) as one:
            await one.open()
            await one.say_bytes(["send", 1, "echo", None], data)
            assert await one.outcome(1) == ["reply", 1, data]
            assert served.application.ran == [data]
            # The reply may come twice over HTTP, on the way up and on the stream.
            assert (one.base64 == 0) == (transport == "websocket")

    async def test_a_reply_of_bytes_is_repeated_after_a_cut(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one:
            one.acknowledges = False
            await one.open()
            await one.say_bytes(["send", 1, "echo", None], b"\xff")
            await one.outcome(1)
            one.seen.clear()
            await one.drop()
            await one.open()
            assert await one.outcome(1) == ["reply", 1, b"\xff"]
            assert served.application.ran == [b"\xff"]

    async def test_a_room_of_mixed_transports(self, transport: str) -> None:
        async with (
            self.serve() as served,
            wire(transport, served) as speaker,
            wire(TRANSPORTS[0], served) as websocket,
            wire(TRANSPORTS[1], served) as sse,
            wire(TRANSPORTS[2], served) as poll,
        ):
            for each in (speaker, websocket, sse, poll):
                await each.open(["join", 1, "log/a"])
                await each.outcome(1)
            for seq, data in enumerate(BYTES, 2):
                await speaker.say_bytes(["publish", seq, "log/a", "said", None], data)
            for each in (speaker, websocket, sse, poll):
                assert await each.publications(len(BYTES)) == BYTES
            assert websocket.base64 == 0
            assert sse.base64 == poll.base64 == len(BYTES)

    async def test_bytes_for_a_typed_handler(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one:
            await one.open()
            await one.say_bytes(["send", 1, "greet", None], b"ann")
            assert (await one.outcome(1))[2] == "invalid"
