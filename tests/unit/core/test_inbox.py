from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multitransport.core.inbox import BrokenSequence, Inbox
from multitransport.protocol.binary import text

WINDOW = 4
MAX_BYTES = 100


def inbox_of(processed: int) -> Inbox:
    """Return an inbox that has processed so many seqs, each with an outcome that says its seq."""
    inbox = Inbox()
    for seq in range(1, processed + 1):
        inbox.claim([seq], WINDOW)
        inbox.commit(seq, b"%d" % seq, MAX_BYTES)
    return inbox


# Claiming


def test_seqs_are_claimed_in_order() -> None:
    inbox = Inbox()
    assert inbox.claim([1, 2], WINDOW) == 0
    assert inbox.claim([3], WINDOW) == 2
    assert inbox.claimed == 3


def test_a_claim_tells_which_seqs_are_repeats() -> None:
    inbox = Inbox()
    inbox.claim([1, 2], WINDOW)
    assert inbox.claim([1, 2, 3], WINDOW) == 2
    assert inbox.claim([2], WINDOW) == 3
    assert inbox.claimed == 3


def test_a_message_without_seqs_claims_nothing() -> None:
    inbox = Inbox()
    assert (inbox.claim([], WINDOW), inbox.claimed) == (0, 0)


@pytest.mark.parametrize("seqs", [[2], [1, 3], [1, 2, 4], [100], [1, 2, 3, 4, 5]])
def test_a_jump_or_too_many_claim_nothing(seqs: list[int]) -> None:
    inbox = Inbox()
    with pytest.raises(BrokenSequence):
        inbox.claim(seqs, WINDOW)
    assert inbox == Inbox()


def test_as_many_are_claimed_as_the_window_says() -> None:
    inbox = Inbox()
    assert inbox.claim([1, 2, 3, 4], WINDOW) == 0
    with pytest.raises(BrokenSequence, match="4"):
        inbox.claim([5], WINDOW)
    inbox.commit(1, None, MAX_BYTES)
    assert inbox.claim([5], WINDOW) == 4


def test_what_is_processed_makes_room_and_what_is_done_out_of_turn_does_not() -> None:
    inbox = Inbox()
    inbox.claim([1, 2, 3, 4], WINDOW)
    inbox.commit(2, None, MAX_BYTES)
    with pytest.raises(BrokenSequence):
        inbox.claim([5], WINDOW)


def test_to_send_a_seq_is_to_have_the_outcomes_a_window_below() -> None:
    inbox = inbox_of(4)
    assert sorted(inbox.outcomes) == [1, 2, 3, 4]
    inbox.claim([5, 6], WINDOW)
    assert (inbox.acked, sorted(inbox.outcomes)) == (2, [3, 4])


# Committing


def test_processed_is_the_contiguous_prefix() -> None:
    inbox = Inbox()
    inbox.claim([1, 2, 3, 4], WINDOW)
    seen = []
    for seq in (3, 2, 4, 1):
        inbox.commit(seq, b"%d" % seq, MAX_BYTES)
        seen.append(inbox.processed)
    assert seen == [0, 0, 0, 4]
    assert inbox.outcomes == {1: b"1", 2: b"2", 3: b"3", 4: b"4"}


def test_a_commit_can_be_repeated() -> None:
    inbox = inbox_of(2)
    inbox.commit(1, b"1", MAX_BYTES)
    assert inbox == inbox_of(2)


def test_no_outcome_is_none() -> None:
    inbox = Inbox()
    inbox.claim([1], WINDOW)
    inbox.commit(1, None, MAX_BYTES)
    assert (inbox.processed, inbox.outcomes) == (1, {})


def test_an_outcome_of_the_largest_size_is_kept_and_a_larger_one_is_not() -> None:
    inbox = Inbox()
    inbox.claim([1, 2], WINDOW)
    inbox.commit(1, b"x" * MAX_BYTES, MAX_BYTES)
    inbox.commit(2, b"x" * (MAX_BYTES + 1), MAX_BYTES)
    assert inbox.outcomes[1] == b"x" * MAX_BYTES
    repeated = inbox.to_repeat()
    assert repeated[1] == b"x" * MAX_BYTES
    assert msgspec.json.decode(text(repeated[2]))[:3] == ["error", 2, "outcome_unknown"]


def test_what_is_kept_has_a_bound_and_what_is_acknowledged_makes_room_again() -> None:
    inbox = Inbox()
    inbox.claim([1, 2, 3, 4], WINDOW)
    for seq in (1, 2):
        inbox.commit(seq, b"x" * (MAX_BYTES // 2), MAX_BYTES)
    inbox.commit(3, b"x", MAX_BYTES)
    inbox.acknowledge(1)
    inbox.commit(4, b"x" * (MAX_BYTES // 2), MAX_BYTES)
    assert inbox.outcomes.keys() == {2, 4}
    inbox.acknowledge(4)
    assert (inbox.outcomes, inbox.kept_bytes) == ({}, 0)


def test_what_could_not_be_kept_is_told_on_the_stream_alone() -> None:
    inbox = Inbox()
    inbox.claim([1, 2, 3], WINDOW)
    inbox.commit(1, b"one", MAX_BYTES)
    inbox.commit(2, b"x" * (MAX_BYTES + 1), MAX_BYTES)
    inbox.commit(3, b"three", MAX_BYTES)
    assert inbox.kept() == ({1: b"one", 3: b"three"}, 1)
    inbox.acknowledge(2)
    assert inbox.kept() == ({3: b"three"}, 3)


def test_what_has_its_place_among_publications_is_told_on_the_stream_alone() -> None:
    inbox = Inbox()
    inbox.claim([1, 2, 3, 4], WINDOW)
    inbox.commit(1, b'["reply",1,"[]"]', MAX_BYTES)
    inbox.commit(2, b'["joined",2,"r",["e",0],{}]', MAX_BYTES)
    inbox.commit(3, b'["left",3,"r"]', MAX_BYTES)
    inbox.commit(4, b'["error",4,"refused",""]', MAX_BYTES)
    told, through = inbox.kept()
    assert (list(told), through) == ([1, 4], 1)
    assert list(inbox.to_repeat()) == [1, 2, 3, 4]
    assert inbox.kept(frozenset({2, 3})) == ({1: told[1], 4: told[4]}, 4), "the client knows where it joined and left"
    inbox.acknowledge(2)
    assert inbox.kept()[1] == 2
    inbox.acknowledge(3)
    assert inbox.kept()[1] == 4


# Acknowledging


def test_what_the_client_had_is_not_told_again_and_stays_until_it_is_acknowledged() -> None:
    inbox = Inbox()
    inbox.claim([1, 2, 3], WINDOW)
    inbox.commit(2, b"two", MAX_BYTES)
    inbox.commit(3, b"x" * (MAX_BYTES + 1), MAX_BYTES)
    assert inbox.to_repeat(frozenset({2, 3, 9})) == {}
    assert inbox.kept(frozenset({2, 3, 9})) == ({}, 0)
    assert list(inbox.to_repeat(frozenset({3}))) == [2]
    assert inbox.outcomes == {2: b"two"}


def test_what_the_client_has_is_forgotten() -> None:
    inbox = inbox_of(3)
    inbox.acknowledge(2)
    assert (inbox.acked, inbox.outcomes) == (2, {3: b"3"})


def test_an_older_acknowledgement_changes_nothing() -> None:
    inbox = inbox_of(3)
    inbox.acknowledge(2)
    inbox.acknowledge(1)
    assert (inbox.acked, inbox.outcomes) == (2, {3: b"3"})


def test_nobody_has_what_is_not_processed() -> None:
    inbox = inbox_of(1)
    inbox.claim([2, 3], WINDOW)
    inbox.acknowledge(3)
    inbox.commit(2, b"2", MAX_BYTES)
    assert (inbox.acked, inbox.outcomes) == (1, {2: b"2"})


def test_an_acknowledgement_of_any_number_is_no_work() -> None:
    inbox = inbox_of(2)
    inbox.acknowledge(2**53 - 1)
    assert (inbox.acked, inbox.outcomes) == (2, {})


def test_an_outcome_that_comes_after_its_acknowledgement_is_not_kept() -> None:
    inbox = inbox_of(2)
    inbox.acknowledge(2)
    inbox.commit(1, b"1", MAX_BYTES)
    assert inbox.outcomes == {}


def test_it_travels() -> None:
    inbox = inbox_of(2)
    inbox.claim([3, 4], WINDOW)
    inbox.commit(4, b"4", MAX_BYTES)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(inbox), type=Inbox) == inbox


@given(st.lists(st.tuples(st.sampled_from(["claim", "commit", "ack"]), st.integers(1, 12)), max_size=80))
def test_no_seq_is_claimed_twice_and_no_more_is_kept_than_a_window(steps: list[tuple[str, int]]) -> None:
    inbox = Inbox()
    ran: list[int] = []
    open_seqs: list[int] = []
    for step, number in steps:
        if step == "claim":
            first = max(1, inbox.claimed + 2 - number)
            seqs = list(range(first, first + number))
            try:
                before = inbox.claim(seqs, WINDOW)
            except BrokenSequence:
                continue
            new = [seq for seq in seqs if seq > before]
            ran += new
            open_seqs += new
        elif step == "commit" and open_seqs:
            seq = open_seqs.pop(number % len(open_seqs))
            inbox.commit(seq, b"%d" % seq, MAX_BYTES)
        elif step == "ack":
            inbox.acknowledge(number)
        assert ran == list(range(1, inbox.claimed + 1))
        assert inbox.acked <= inbox.processed <= inbox.claimed <= inbox.processed + WINDOW
        assert inbox.processed == min(open_seqs, default=inbox.claimed + 1) - 1
        assert set(inbox.outcomes) == {seq for seq in ran if seq > inbox.acked and seq not in open_seqs}
        assert len(inbox.outcomes) <= WINDOW


def test_the_rooms_a_client_may_not_know_it_has_joined() -> None:
    inbox = Inbox()
    inbox.claim([1, 2, 3], WINDOW)
    for seq, room in ((1, "a"), (2, "b")):
        inbox.commit(seq, b'["joined",%d,"%s",["e",0],{}]' % (seq, room.encode()), MAX_BYTES)
    inbox.commit(3, b'["reply",3,"joined"]', MAX_BYTES)
    assert inbox.joined() == {"a", "b"}
    inbox.acknowledge(1)
    assert inbox.joined() == {"b"}


def test_what_is_done_is_told_apart_from_what_is_under_way() -> None:
    inbox = inbox_of(1)
    inbox.claim([2, 3, 4], 64)
    inbox.commit(3, None, 100)
    assert [inbox.is_done(seq) for seq in range(1, 5)] == [True, False, True, False]
