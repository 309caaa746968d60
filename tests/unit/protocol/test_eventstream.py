from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
from sse_starlette import ServerSentEvent

from multitransport.protocol.eventstream import comment, encode_event, encode_message

TEXT = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\r\n\0:é"))
WITHOUT_NUL = TEXT.map(lambda text: text.replace("\0", ""))


@given(TEXT, st.none() | WITHOUT_NUL, st.none() | WITHOUT_NUL, st.none() | st.integers(0, 10**9))
@example("", None, None, None)
@example("a\r\nb\rc\nd\n", "x\r\ny", "1\n2", 0)
def test_an_event_is_written_as_another_implementation_writes_it(
    data: str, event: str | None, event_id: str | None, retry_ms: int | None
) -> None:
    other = ServerSentEvent(data, event=event, id=event_id, retry=retry_ms, sep="\n")
    assert encode_event(data, event=event, id=event_id, retry_ms=retry_ms) == other.encode()


@given(TEXT)
@example("")
def test_a_comment_is_written_as_another_implementation_writes_it(text: str) -> None:
    assert comment(text) == ServerSentEvent(comment=text, sep="\n").encode()


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n")), min_size=1))
def test_frames_are_written_as_another_implementation_writes_them(frames: list[str]) -> None:
    message = "\n".join(frames)
    assert encode_message(message.encode()) == ServerSentEvent(message, sep="\n").encode()


def test_a_nul_is_dropped_where_a_reader_would_trip_over_it() -> None:
    assert encode_event("x", id="1\0:2", event="a\0b") == b"id: 1:2\nevent: ab\ndata: x\n\n"


def test_bytes_as_they_are_on_the_wire() -> None:
    assert encode_message(b'["ack",1]\n["bye"]') == b'data: ["ack",1]\ndata: ["bye"]\n\n'
    assert encode_event("1", event="cpu", id="e1:5", retry_ms=10) == b"id: e1:5\nevent: cpu\ndata: 1\nretry: 10\n\n"
    assert comment("warm") == b": warm\n\n"
