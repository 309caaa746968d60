from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multitransport.brokers.base import LastWord
from multitransport.brokers.redis.sessions.mirrors import Mirror
from multitransport.brokers.redis.sessions.records import ForeignRecord, Records, decode_word, encode_word
from multitransport.core.inbox import Inbox
from multitransport.core.session import SessionRecord
from multitransport.protocol.binary import Blob, text
from multitransport.protocol.position import Position

KEY = b"P:session:{.s1}"
RECORDS = Records(["old", "new"])

names = st.text(max_size=8)
numbers = st.integers(0, 2**53 - 1)
data = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | names
    | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=5,
)
kept = st.none() | st.dictionaries(names, data, min_size=1, max_size=3)
outcomes = st.dictionaries(numbers, st.binary(max_size=20) | st.builds(Blob, st.binary(), st.binary()), max_size=4)
some = st.none() | st.sets(numbers, min_size=1, max_size=3)


@st.composite
def records(draw: st.DrawFn) -> SessionRecord:
    processed, undone = draw(st.integers(0, 2**53 - 8)), draw(st.integers(0, 4))
    early = draw(some) if undone == 0 else {processed + 2}
    inbox = Inbox(processed + undone, processed, draw(numbers), draw(outcomes), 0, draw(some), early)
    inbox.kept_bytes = sum(len(text(outcome)) for outcome in inbox.outcomes.values())
    positions = st.builds(Position, st.text("abc:", min_size=1, max_size=8), numbers)
    rooms = draw(st.dictionaries(names, positions, max_size=3))
    unasked = {room for room in rooms if draw(st.booleans())} or None
    user_id = draw(st.none() | names)
    claimed = range(inbox.processed + 1, inbox.claimed + 1)
    holders = {
        seq: draw(st.none() | names.filter(lambda name: name != "-")) for seq in claimed if not inbox.is_done(seq)
    } or None
    secret_hash, credential = draw(st.binary(max_size=32)), draw(st.binary(max_size=32))
    return SessionRecord(
        "s1",
        draw(names),
        secret_hash,
        user_id,
        draw(numbers),
        rooms,
        inbox,
        unasked,
        credential,
        draw(kept),
        draw(kept),
        "n.1",
        holders,
        draw(some),
        ending=draw(st.booleans()),
    )


def fields_of(record: SessionRecord) -> list[bytes]:
    fields: list[Any] = RECORDS.encode(KEY, record)
    for pair in Mirror("n.1", record, "").changes().changed.items():
        fields += pair
    fields += ["n", record.node, "t", 3, "x", 5, "w", "nonce n.0", "g", "replication"]
    if record.ending:
        fields += ["z", "n.2 nonce"]
    return [each if isinstance(each, bytes) else str(each).encode() for each in fields]


@given(records())
def test_a_record_is_read_as_it_was_written(record: SessionRecord) -> None:
    found = RECORDS.decode(KEY, "s1", fields_of(record))
    assert found.record == record
    assert (found.term, found.expires, found.former) == (3, 5, "n.0")
    mirror = Mirror("n.1", found.record, "")
    mirror.values = found.values
    assert mirror.changes() == ([], {}, {})


@given(records(), st.data())
def test_whatever_is_in_its_place_is_read_or_refused(record: SessionRecord, drawn: st.DataObject) -> None:
    fields = fields_of(record)
    place = drawn.draw(st.integers(0, len(fields) - 1))
    fields[place] = drawn.draw(st.binary(max_size=40))
    with contextlib.suppress(ForeignRecord):
        found = RECORDS.decode(KEY, "s1", fields)
        assert (found.record.new, found.record.user_id) == (record.new, record.user_id)
        assert found.record.secret_hash == record.secret_hash


def test_an_identity_counts_under_its_key_and_with_any_of_the_secret_keys() -> None:
    sealed = Records(["old"]).identity(KEY, "new", "ann", b"hash")
    assert RECORDS.verify(KEY, sealed).user_id == "ann"
    for key, keys in [(KEY + b"x", ["old"]), (KEY, ["new"]), (KEY, ["other"])]:
        with pytest.raises(ForeignRecord, match="signature"):
            Records(keys).verify(key, sealed)
    with pytest.raises(ForeignRecord, match="version"):
        RECORDS.verify(KEY, b"2" + sealed[1:])


@pytest.mark.parametrize("word", [LastWord(3000, ""), LastWord(4500, "größe")])
def test_a_last_word_is_read_as_it_was_written(word: LastWord) -> None:
    assert decode_word(encode_word(word)) == word


@pytest.mark.parametrize(
    "found", [b"", b"f", b"f\xff", b"f\x92\x01\xa0", b"f\x92\xcd\x10\x00\xc4\x00", b"f" + b"\x91" * 5000]
)
def test_what_is_no_last_word_is_none(found: bytes) -> None:
    assert decode_word(found) is None
