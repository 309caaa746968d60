from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from multitransport.protocol import frames
from multitransport.protocol.frames import (
    SEQUENCED,
    Ack,
    Answer,
    AnswerError,
    Bye,
    ClientFrame,
    DataOptions,
    Hello,
    HelloOptions,
    Join,
    JoinOptions,
    Leave,
    Ping,
    Pong,
    Presence,
    Publish,
    Send,
    encode,
)
from multitransport.protocol.position import Position

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        (Join(1, "a"), '["join",1,"a",{"position":null,"history":null,"max_rate":null}]'),
        (
            Join(1, "a", JoinOptions(Position("e", 2))),
            '["join",1,"a",{"position":["e",2],"history":null,"max_rate":null}]',
        ),
        (Leave(2, "a"), '["leave",2,"a"]'),
        (Send(3, "e", Raw(b"[1]")), '["send",3,"e",[1],{}]'),
        (Publish(4, "a", "e", Raw(b"null")), '["publish",4,"a","e",null,{}]'),
        (Publish(4, "a", "e", Raw(b"1"), DataOptions(key="k")), '["publish",4,"a","e",1,{"key":"k"}]'),
        (Presence(4, "a", Raw(b"{}")), '["presence",4,"a",{}]'),
        (Answer(4, "i", Raw(b"1")), '["answer",4,"i",1,{}]'),
        (AnswerError(4, "i", "busy", "later"), '["answer_error",4,"i","busy","later"]'),
        (Ack(5), '["ack",5]'),
        (Ping(1.5), '["ping",1.5]'),
        (Pong(2.5), '["pong",2.5]'),
        (Bye(), '["bye"]'),
    ],
)
def test_a_frame_is_an_array_that_begins_with_its_kind(frame: ClientFrame, text: str) -> None:
    assert encode(frame).decode() == text


def test_what_hello_leaves_out_has_its_default() -> None:
    hello = msgspec.json.decode('["hello",{"v":1,"new":"abcdefghijklmnopqrstuv","attach":1}]', type=Hello)
    assert hello == Hello(HelloOptions(v=1, new="abcdefghijklmnopqrstuv", attach=1))
    assert bytes(hello.options.auth) == b"null"
    assert (hello.options.token, hello.options.acked, hello.options.rooms, hello.options.wait) == (None, 0, {}, None)


def test_kinds_with_a_seq_are_those_that_have_the_field() -> None:
    kinds = {each.__struct_config__.tag for each in ClientFrame.__args__ if "seq" in each.__struct_fields__}
    assert kinds == SEQUENCED


@given(st.lists(JSON, max_size=5))
def test_a_server_frame_is_one_line_that_reads_as_it_was(elements: list[Any]) -> None:
    encoded = encode(elements)
    assert b"\n" not in encoded
    assert b"\r" not in encoded
    assert msgspec.json.decode(encoded) == elements


def test_a_model_is_encoded_as_what_it_says() -> None:
    class Model:
        def model_dump(self, *, mode: str) -> dict[str, str]:
            return {"mode": mode}

    assert encode([1, {"in": Model()}]) == b'[1,{"in":{"mode":"json"}}]'


@pytest.mark.parametrize("value", [object(), [object()], pytest])
def test_what_json_cannot_say_is_told(value: object) -> None:
    with pytest.raises(TypeError):
        encode(value)


def test_every_public_name_is_there() -> None:
    assert all(hasattr(frames, name) for name in frames.__all__)
