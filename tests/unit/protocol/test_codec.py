from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from multitransport.protocol.codec import BadMessage, Malformed, decode_message
from multitransport.protocol.codes import ErrorCode
from multitransport.protocol.frames import Ack, Bye, Leave, Send, encode
from multitransport.protocol.position import MAX_COUNT

VECTORS = json.loads((Path(__file__).parents[2] / "vectors/frames.json").read_text(encoding="utf-8"))
DEEP = 10_000
NEW = "abcdefghijklmnopqrstuv"


def vectors(section: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("vector", VECTORS[section], ids=lambda vector: vector["name"])


def without_none(value: Any) -> Any:
    """Return JSON as it would be had nobody written what is null in its objects."""
    if isinstance(value, dict):
        return {key: without_none(each) for key, each in value.items() if each is not None}
    return [without_none(each) for each in value] if isinstance(value, list) else value


@vectors("good")
def test_good_frames(vector: dict[str, Any]) -> None:
    decoded = msgspec.json.decode(encode(decode_message(vector["message"])))
    assert without_none(decoded) == without_none(vector["frames"])


@vectors("good")
def test_bytes_are_read_as_text_is(vector: dict[str, Any]) -> None:
    text = vector["message"]
    assert encode(decode_message(text.encode())) == encode(decode_message(text))


@vectors("malformed")
def test_a_malformed_frame_is_told_from_its_neighbours(vector: dict[str, Any]) -> None:
    before, malformed, after = decode_message(f'["ack",1]\n{vector["message"]}\n["bye"]')
    assert (before, after) == (Ack(1), Bye())
    assert isinstance(malformed, Malformed)
    assert (malformed.code, malformed.seq) == (vector["code"], vector["seq"])
    assert malformed.message


@vectors("undecodable")
def test_an_undecodable_message(vector: dict[str, Any]) -> None:
    message = base64.b64decode(vector["base64"]) if "base64" in vector else vector["message"]
    with pytest.raises(BadMessage, match=r"."):
        decode_message(message)


@pytest.mark.parametrize(
    "message",
    [
        "[" * DEEP,
        "[" * DEEP + "]" * DEEP,
        '["send",1,"e",' + "[" * DEEP + "]" * DEEP + "]",
        '["send",1,"e",' + '{"a":' * DEEP + "1" + "}" * DEEP + "]",
        '["zebra",' + "[" * DEEP + "]" * DEEP + "]",
        '["ack",' + "[" * DEEP + "]" * DEEP + "]",
        f'["hello",{{"v":1,"new":"{NEW}","attach":1,"auth":' + "[" * DEEP + "]" * DEEP + "}]",
    ],
    ids=lambda message: message[:20],
)
def test_what_nests_too_deep(message: str) -> None:
    with pytest.raises(BadMessage):
        decode_message(message)


def test_a_lone_surrogate_that_no_wire_can_carry() -> None:
    with pytest.raises(BadMessage):
        decode_message('["leave",1,"\ud83d"]')


def test_a_number_that_python_itself_would_not_read() -> None:
    with pytest.raises(BadMessage):
        decode_message(f'["ack",{"9" * 100_000}]')


def test_a_number_in_data_is_left_to_the_handler() -> None:
    [frame] = decode_message(f'["send",1,"e",{"9" * 100_000}]')
    assert isinstance(frame, Send)
    assert len(frame.data) == 100_000


def test_a_frame_that_is_nearly_a_hello_is_known_as_one() -> None:
    [malformed] = decode_message('["hello",{"v":1}]')
    assert isinstance(malformed, Malformed)
    assert (malformed.kind, malformed.code) == ("hello", ErrorCode.BAD_FRAME)
    assert "new" in malformed.message


def test_the_name_of_an_unknown_kind_is_not_repeated_at_length() -> None:
    [malformed] = decode_message(json.dumps(["z" * 100_000]))
    assert isinstance(malformed, Malformed)
    assert len(malformed.message) < 200


def test_a_message_of_many_frames_keeps_their_order() -> None:
    message = "\n".join(f'["leave",{seq},"a"]' for seq in range(1, 10_001))
    assert decode_message(message) == [Leave(seq, "a") for seq in range(1, 10_001)]


def test_a_cr_does_not_travel_on_as_the_end_of_a_line() -> None:
    [frame] = decode_message('["send",1,"e",{"a":\r1}]\r')
    assert isinstance(frame, Send)
    assert bytes(frame.data) == b'{"a": 1}'


DATA = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
SEQS = st.integers(1, MAX_COUNT)
FRAMES = (
    st.tuples(st.just("send"), SEQS, st.text(min_size=1, max_size=255), DATA, st.just({}))
    | st.tuples(st.just("leave"), SEQS, st.text())
    | st.tuples(st.just("ack"), st.integers(0, MAX_COUNT))
    | st.tuples(st.just("bye"))
)


@given(st.lists(FRAMES, min_size=1))
def test_what_a_client_writes_is_what_the_server_reads(frames: list[tuple[Any, ...]]) -> None:
    message = b"\n".join(encode(frame) for frame in frames)
    decoded = decode_message(message)
    assert msgspec.json.decode(encode(decoded)) == [list(frame) for frame in frames]


@given(st.lists(DATA | FRAMES), st.sampled_from(["\n", "\r\n", "\n\n"]))
def test_any_arrays_are_frames_or_malformed_ones(values: list[Any], line_end: str) -> None:
    arrays = [value for value in values if isinstance(value, list | tuple)]
    message = line_end.join([*(encode(each).decode() for each in arrays), '["bye"]'])
    assert len(decode_message(message)) == len(arrays) + 1


@given(st.binary() | st.text())
@example('["send",1,"e",1e999]')
def test_any_message_is_read_or_refused(message: str | bytes) -> None:
    try:
        frames = decode_message(message)
    except BadMessage:
        return
    assert frames
