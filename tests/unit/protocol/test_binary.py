from __future__ import annotations

import base64

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multitransport.protocol import codec
from multitransport.protocol.binary import Blob, encode_data, messages, split_message, text
from multitransport.protocol.codec import BadMessage, Malformed, decode_binary, decode_message
from multitransport.protocol.frames import Answer, Publish, Send


def test_data_that_is_no_bytes_is_a_frame_of_text() -> None:
    assert encode_data(("reply", 1), {"a": 1}, {}) == b'["reply",1,{"a":1}]'
    assert encode_data(("pub", "r", 1, "e"), 5, {"key": "k"}) == b'["pub","r",1,"e",5,{"key":"k"}]'


def test_bytes_have_a_frame_of_base64_and_a_message_of_their_own() -> None:
    blob = encode_data(("reply", 1), b"\x00\xff", {})
    assert isinstance(blob, Blob)
    assert blob.frame == b'["reply",1,"AP8=",{"b64":true}]'
    assert blob.message == b'\x00\x00\x00\x10["reply",1,null]\x00\xff'
    assert (text(blob), text(b"[]")) == (blob.frame, b"[]")


def test_options_stand_in_both_forms() -> None:
    blob = encode_data(("pub", "r", 1, "e"), bytearray(b"x"), {"key": "k"})
    assert isinstance(blob, Blob)
    assert msgspec.json.decode(blob.frame)[-1] == {"key": "k", "b64": True}
    assert split_message(blob.message) == (b'["pub","r",1,"e",null,{"key":"k"}]', b"x")


def test_messages_keep_the_order_of_frames() -> None:
    blob = Blob(b"-", b"\x00")
    assert messages([b"1", b"2", blob, blob, b"3"]) == ["1\n2", b"\x00", b"\x00", "3"]
    assert messages([blob]) == [b"\x00"]
    assert messages([]) == []


@pytest.mark.parametrize(
    "message",
    [b"", b"\x00\x00", b"\x00\x00\x00\x00", b"\x00\x00\x00\x05[]", b"\xff\xff\xff\xff[]", b"\x00\x00\x00\x00[]"],
)
def test_a_head_that_lies_about_its_length_is_told(message: bytes) -> None:
    with pytest.raises(ValueError, match="head"):
        split_message(message)
    with pytest.raises(BadMessage):
        decode_binary(message)


def binary(head: bytes, data: bytes = b"\x01\x02") -> bytes:
    return len(head).to_bytes(4) + head + data


def test_a_binary_message_is_its_frame_with_the_bytes_as_data() -> None:
    [send] = decode_binary(binary(b'["send",1,"e",null]'))
    [publish] = decode_binary(binary(b'["publish",2,"r","e",null,{"key":"k"}]', b""))
    [answer] = decode_binary(binary(b'["answer",3,"id",null]'))
    assert (isinstance(send, Send), isinstance(publish, Publish), isinstance(answer, Answer)) == (True, True, True)
    assert [getattr(frame, "data", None) for frame in (send, publish, answer)] == [b"\x01\x02", b"", b"\x01\x02"]


@pytest.mark.parametrize("head", [b"x", b"{}", b'["bye"]', b'["join",1,"r"]', b'["ack",1]', b'["bye"]\n["bye"]'])
def test_a_head_that_is_no_frame_with_data_is_a_bad_message(head: bytes) -> None:
    with pytest.raises(BadMessage):
        decode_binary(binary(head))


@pytest.mark.parametrize("head", [b'["send",1,"e",null]\n', b'\n["send",1,"e",null]', b"[]\n" * 300_000])
def test_a_head_of_several_lines_is_refused_before_any_is_decoded(head: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "decode_message", None)
    with pytest.raises(BadMessage, match="line"):
        decode_binary(binary(head))


def test_a_malformed_head_is_a_malformed_frame() -> None:
    [frame] = decode_binary(binary(b'["send",7]'))
    assert isinstance(frame, Malformed)
    assert (frame.code, frame.seq) == ("bad_frame", 7)


@given(st.binary(max_size=50))
def test_base64_says_the_same(data: bytes) -> None:
    [frame] = decode_message(b'["send",1,"e","%s",{"b64":true}]' % base64.b64encode(data))
    assert getattr(frame, "data", None) == data


@pytest.mark.parametrize("data", ['"*"', "5", "null", '"AA"'])
def test_what_is_no_base64_is_a_bad_frame(data: str) -> None:
    [frame] = decode_message(f'["send",1,"e",{data},{{"b64":true}}]')
    assert isinstance(frame, Malformed)
    assert (frame.code, frame.seq) == ("bad_frame", 1)
