from __future__ import annotations

import msgspec

from multitransport.core.publication import Draft, Publication, Slice, at_frame, publish_frame
from multitransport.protocol.binary import Blob
from multitransport.protocol.position import Position


def published(offset: int, draft: Draft) -> Publication:
    return Publication(offset, draft, publish_frame("r", offset, draft), 0.0)


def test_a_frame_says_what_there_is_to_say_and_no_more() -> None:
    assert publish_frame("r", 1, Draft("e", b'{"x": 1}')) == b'["pub","r",1,"e",{"x": 1}]'
    draft = Draft("e", b"null", key="k", deleted=True, source="s1", exclude="s2", ask="a", id="i")
    frame = publish_frame("r", None, draft)
    assert isinstance(frame, bytes)
    told = {"key": "k", "deleted": True, "from": "s1", "ask": "a"}
    assert msgspec.json.decode(frame) == ["pub", "r", None, "e", None, told]


def test_bytes_are_both_base64_and_a_message() -> None:
    publication = published(1, Draft("e", b"\x00", binary=True))
    assert isinstance(publication.encoded, Blob)
    assert publication.frame == b'["pub","r",1,"e","AA==",{"b64":true}]'
    assert (publication.event, publication.data, publication.size) == ("e", b"\x00", len(publication.frame))


def test_a_slice_is_all_its_frames_and_its_tail() -> None:
    tail = at_frame("r", Position("e1", 2))
    cut = Slice([published(1, Draft("e", b"1")), published(2, Draft("e", b"\x00", binary=True))], 2, tail)
    assert cut.frames.split(b"\n") == [
        b'["pub","r",1,"e",1]',
        b'["pub","r",2,"e","AA==",{"b64":true}]',
        b'["at","r",["e1",2]]',
    ]
    assert cut.messages() == [
        '["pub","r",1,"e",1]',
        b'\x00\x00\x00\x16["pub","r",2,"e",null]\x00',
        '["at","r",["e1",2]]',
    ]
    assert cut.event.count(b"data: ") == 3


def test_a_slice_without_what_excludes_a_session_still_moves_it() -> None:
    cut = Slice([published(1, Draft("e", b"1")), published(2, Draft("e", b"2", exclude="me"))], 2)
    assert cut.excluded == {"me"}
    tail = at_frame("r", Position("e1", 2))
    mine = cut.without("me", tail)
    assert mine.frames == b'["pub","r",1,"e",1]\n' + tail
    assert (mine.last, mine.excluded) == (2, set())


def test_a_slice_without_what_excludes_a_session_has_no_more_than_needed() -> None:
    cut = Slice([published(1, Draft("e", b"1", exclude="me")), published(2, Draft("e", b"2"))], 2)
    assert cut.without("me", b"tail").frames == b'["pub","r",2,"e",2]'
    ended = Slice(cut.publications, 2, b"its own")
    assert ended.without("me", None).frames == b'["pub","r",2,"e",2]\nits own'
    assert ended.without("me", None, 1).frames == ended.frames
