"""Bytes as data: binary messages where the transport has them, base64 elsewhere."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from multitransport.client.events import Asked, Outcome, Publication
from multitransport.client.messages import binary_message, is_binary
from multitransport.client.session import BrokenMessage
from multitransport.errors import Invalid
from multitransport.protocol.binary import split_message
from multitransport.protocol.position import Position
from tests.unit.client.line import Line, frames, joined

BYTES = bytes(range(256))
TEXT = "AAEC"


def head(*elements: Any) -> bytes:
    return msgspec.json.encode(elements)


def read(message: bytes | None) -> tuple[list[Any], bytes]:
    assert message is not None
    assert is_binary(message)
    top, data = split_message(message)
    return msgspec.json.decode(top), data


class TestSending:
    def test_elsewhere_they_are_base64(self) -> None:
        line = Line().attached()
        line.session.request(1, "e", b"\0\1\2")
        line.session.publish(2, "r", "e", bytearray(b"\0\1\2"), key="k")
        line.session.answer("q", memoryview(b""))
        assert line.sent() == [
            ["answer", 1, "q", "", {"b64": True}],
            ["send", 2, "e", TEXT, {"b64": True}],
            ["publish", 3, "r", "e", TEXT, {"key": "k", "b64": True}],
        ]

    def test_where_there_are_binary_messages_each_goes_in_one_of_its_own_in_order(self) -> None:
        line = Line().attached()
        for ticket, data in ((1, 1), (2, BYTES), (3, b""), (4, 4), (5, 5)):
            line.session.request(ticket, "e", data)
        line.session.ping(1.5)
        assert frames(line.session.upstream(line.attach, binary=True)) == [["send", 1, "e", 1], ["ping", 1.5]]
        assert read(line.session.upstream(line.attach, binary=True)) == (["send", 2, "e", None, {}], BYTES)
        assert read(line.session.upstream(line.attach, binary=True)) == (["send", 3, "e", None, {}], b"")
        assert frames(line.session.upstream(line.attach, binary=True)) == [["send", 4, "e", 4], ["send", 5, "e", 5]]
        assert line.session.upstream(line.attach, binary=True) is None

    def test_the_head_has_the_key(self) -> None:
        line = Line().attached()
        line.session.publish(1, "r", "e", BYTES, key="k")
        assert read(line.session.upstream(line.attach, binary=True)) == (
            ["publish", 1, "r", "e", None, {"key": "k"}],
            BYTES,
        )

    def test_their_size_counts_as_that_of_their_text(self) -> None:
        line = Line().attached(max_message=10_000)
        with pytest.raises(Invalid, match="more than the server takes"):
            line.session.request(1, "e", bytes(4_500))
        line.session.request(1, "e", bytes(4_000))


class TestReceiving:
    def line(self) -> Line:
        line = Line().attached()
        line.take(joined(None, 0, unasked=True), joined(None, 0, "@session/s"))
        return line

    def test_publications_questions_and_replies_have_bytes(self) -> None:
        line = self.line()
        line.session.request(7, "e", None)
        line.session.request(8, "e", None)
        line.sent()
        assert line.take(
            ["pub", "r", 1, "e", TEXT, {"b64": True, "from": "x"}],
            ["pub", "@session/s", 1, "e", TEXT, {"b64": True, "ask": "q"}],
            ["reply", 1, TEXT, {"b64": True}],
        ) == [
            Publication("r", "e", b"\0\1\2", Position("e", 1), "x"),
            Asked("q", "e", b"\0\1\2"),
            Outcome(7, b"\0\1\2"),
        ]
        publication = binary_message(head("pub", "r", 2, "e", None, {"from": "x"}), BYTES)
        assert line.session.receive(publication, line.attach) == [Publication("r", "e", BYTES, Position("e", 2), "x")]
        assert line.session.receive(binary_message(head("reply", 2, None), b""), line.attach) == [Outcome(8, b"")]

    def test_text_that_looks_like_base64_is_text(self) -> None:
        line = self.line()
        assert line.take(["pub", "r", 1, "e", TEXT, {}]) == [Publication("r", "e", TEXT, Position("e", 1))]

    @pytest.mark.parametrize(
        "message",
        [
            b"\0",
            b"\0\0\0\0",
            b"\0\0\0\0[]",
            b"\0\0\0\xff" + head("reply", 1, None),
            b"\0\0\0\x05" + head("reply", 1, None),
            binary_message(head("ack", 1), b""),
            binary_message(head("weather", 1, 2, 3, 4), b""),
            binary_message(head("pub", "r", 1), b""),
            binary_message(head(), b""),
            binary_message(b"{}", b""),
            head("pub", "r", 1, "e", "!", {"b64": True}),
            head("pub", "r", 1, "e", 5, {"b64": True}),
            head("reply", 1, "AAE", {"b64": True}),
        ],
    )
    def test_what_lies_about_itself_is_a_broken_message(self, message: bytes) -> None:
        line = self.line()
        with pytest.raises(BrokenMessage):
            line.session.receive(message, line.attach)
