"""Event streams, read however they are cut."""

from __future__ import annotations

import pytest

from multitransport.client import stream
from multitransport.client.carrier import TransportLost
from multitransport.client.stream import EventStreamDecoder
from multitransport.protocol.eventstream import comment, encode_event, encode_message

FRAMES = [b'["welcome",{}]\n["ack",0]', '["pub","r",1,"e","ä\u2028€"]'.encode(), b'["ping",1]']


def test_what_the_server_encodes_comes_back() -> None:
    assert EventStreamDecoder().feed(b"".join(encode_message(frames) for frames in FRAMES)) == FRAMES


def test_it_may_be_cut_anywhere() -> None:
    text = b"".join(encode_message(frames) for frames in FRAMES)
    for size in range(1, 20):
        decoder = EventStreamDecoder()
        chunks = [text[i : i + size] for i in range(0, len(text), size)]
        assert [message for chunk in chunks for message in decoder.feed(chunk)] == FRAMES


@pytest.mark.parametrize("end", [b"\r\n", b"\r", b"\n"])
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_every_kind_of_line_end_counts(end: bytes, size: int) -> None:
    text = end.join([b"data: a", b"data: b", b"", b"data:c", b"", b""]) + b": end\n"
    decoder = EventStreamDecoder()
    got = [message for i in range(0, len(text), size) for message in decoder.feed(text[i : i + size])]
    assert got == [b"a\nb", b"c"]


def test_other_fields_and_comments_are_skipped() -> None:
    text = b"\xef\xbb\xbf" + comment("warm")
    text += encode_event("x", event="cpu", id="e:1", retry_ms=5) + b"event: nothing\n\n"
    assert EventStreamDecoder().feed(text) == [b"x"]


def test_an_endless_event_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "MAX_RECEIVED_BYTES", 100)
    decoder = EventStreamDecoder()
    decoder.feed(b"data: " + b"x" * 80)
    with pytest.raises(TransportLost, match="more than 100 bytes"):
        decoder.feed(b"x" * 80)
