"""What every session store is tested for."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

import pytest
import pytest_asyncio

from multitransport.brokers.base import LastWord, SessionStore, StaleAttach
from multitransport.core.inbox import BrokenSequence
from multitransport.core.session import SessionRecord
from multitransport.protocol.binary import Blob, text
from multitransport.protocol.position import Position

__all__ = ["SessionStoreContract"]

SOON = 0.15
"""When something is over that these tests wait for."""
LATER = 60.0
"""When something is over that they do not wait for."""


class SessionStoreContract(ABC):
    """The contract of a SessionStore, as far as one node is concerned."""

    pytestmark = pytest.mark.asyncio

    @abstractmethod
    def open_store(self) -> AbstractAsyncContextManager[SessionStore]:
        """Return a store without records that was not started, for the time of one test."""

    async def pass_time(self, seconds: float) -> None:
        """Let so much of the store's time pass, which is below a second."""
        await asyncio.sleep(seconds)

    @pytest_asyncio.fixture
    async def store(self) -> AsyncIterator[SessionStore]:
        """A store that serves a node and keeps one record, that of session ``s1``."""
        async with self.open_store() as store:
            await store.start(_not_lost)
            await store.create(new("s1"), LATER)
            yield store
            await store.stop()

    # Nodes

    async def test_its_node_lives_and_may_speak(self, store: SessionStore) -> None:
        assert (await store.nodes(), store.fault) == ([store.node], None)

    async def test_a_session_is_spoken_for_by_the_node_that_made_it(self, store: SessionStore) -> None:
        assert await store.owner("s1") == store.node
        assert (found := await store.find("s1"))
        assert (found.node, found.holders) == (store.node, None)

    async def test_of_nobody_else_there_is_anything_to_take(self, store: SessionStore) -> None:
        assert (await store.adopt(LATER), await store.take("s1", "another", LATER)) == ([], None)
        assert (await store.take("s2", store.node, LATER), await store.owner("s1")) == (None, store.node)

    async def test_with_one_node_there_is_nothing_to_settle_or_to_finish(self, store: SessionStore) -> None:
        record, former = await store.attach("s1", 1)
        await store.join("s1", "a", Position("e", 1))
        await store.settle("s1", ["another"])
        assert (former, await store.finish("s1"), await store.finish("s2")) == (None, store.node, None)
        assert (record.attach, record.rooms, await store.find("s1")) == (1, {"a": Position("e", 1)}, record)

    # Making

    async def test_a_record_is_found_as_it_was_made(self, store: SessionStore) -> None:
        made = await store.create(new("s2", user_id="ann"), LATER)
        assert made == await store.find("s2") == new("s2", user_id="ann", node=store.node)

    async def test_what_is_not_there_is_none(self, store: SessionStore) -> None:
        assert (await store.find("s2"), await store.owner("s2"), await store.last_word("s2")) == (None, None, None)
        assert await store.end("s2") is False

    async def test_the_same_new_from_the_same_user_is_the_same_session(self, store: SessionStore) -> None:
        kept = await store.create(SessionRecord("s2", "new of s1", b"other", None, 0), LATER)
        assert kept == new("s1", node=store.node)
        assert await store.find("s2") is None

    async def test_the_same_new_from_another_user_is_another_session(self, store: SessionStore) -> None:
        for session_id, user_id in [("s2", "ann"), ("s3", "bob"), ("s4", "")]:
            kept = await store.create(SessionRecord(session_id, "new of s1", b"", user_id, 0), LATER)
            assert kept.session_id == session_id

    async def test_racing_hellos_make_one_session(self, store: SessionStore) -> None:
        racing = [SessionRecord(f"s{n}", "new", b"", None, 0) for n in range(10, 20)]
        kept = await asyncio.gather(*(store.create(each, LATER) for each in racing))
        assert len({each.session_id for each in kept}) == 1

    async def test_the_sessions_of_a_user_are_found(self, store: SessionStore) -> None:
        for session_id, user_id in [("s2", "ann"), ("s3", "bob"), ("s4", "ann"), ("s5", "")]:
            await store.create(new(session_id, user_id), LATER)
        await store.attach("s4", 1)
        found = [sorted(await store.of_user(user_id)) for user_id in ("ann", "bob", "", "carl")]
        assert found == [["s2", "s4"], ["s3"], ["s5"], []]
        await store.end("s2")
        await store.end("s3")
        assert [await store.of_user("ann"), await store.of_user("bob")] == [["s4"], []]

    # Attaching

    async def test_an_attach_is_raised(self, store: SessionStore) -> None:
        await store.attach("s1", 3, credential=b"first")
        assert (found := await store.find("s1"))
        assert (found.attach, found.secret_hash, found.credential) == (3, b"secret", b"first")
        await store.attach("s1", 4, b"changed", b"second")
        assert (found := await store.find("s1"))
        assert (found.attach, found.secret_hash, found.credential) == (4, b"changed", b"second")

    async def test_the_record_given_to_who_attaches_is_kept_up_to_date(self, store: SessionStore) -> None:
        record, _ = await store.attach("s1", 1)
        await store.claim("s1", 1, [1], 4)
        await store.commit("s1", 1, b"one", 100)
        await store.join("s1", "a", Position("e", 5))
        await store.attach("s1", 2)
        assert (record.attach, record.inbox.outcomes, record.rooms) == (2, {1: b"one"}, {"a": Position("e", 5)})
        assert await store.find("s1") == record

    @pytest.mark.parametrize("attach", [1, 2, 3])
    async def test_an_attach_that_is_not_above_changes_nothing(self, store: SessionStore, attach: int) -> None:
        await store.attach("s1", 3, credential=b"first")
        await store.detach("s1", 3, SOON)
        with pytest.raises(StaleAttach):
            await store.attach("s1", attach, b"changed", b"second")
        assert (found := await store.find("s1"))
        assert (found.attach, found.secret_hash, found.credential) == (3, b"secret", b"first")
        await self.pass_time(SOON)
        assert await store.expired() == ["s1"]

    async def test_of_racing_attaches_one_wins(self, store: SessionStore) -> None:
        results = await asyncio.gather(*(store.attach("s1", 1) for _ in range(10)), return_exceptions=True)
        assert sum(isinstance(result, StaleAttach) for result in results) == 9

    # Frames

    async def test_seqs_are_claimed_for_the_highest_attach(self, store: SessionStore) -> None:
        await store.attach("s1", 2)
        assert await store.claim("s1", 2, [1, 2], 4) == 0
        assert await store.claim("s1", 2, [2, 3], 4) == 2
        for attach in (1, 3):
            with pytest.raises(StaleAttach):
                await store.claim("s1", attach, [4], 4)
        assert (found := await store.find("s1"))
        assert found.inbox.claimed == 3

    @pytest.mark.parametrize("seqs", [[2], [1, 3], [1, 2, 3, 4, 5]])
    async def test_a_broken_sequence_claims_nothing(self, store: SessionStore, seqs: list[int]) -> None:
        await store.attach("s1", 1)
        with pytest.raises(BrokenSequence):
            await store.claim("s1", 1, seqs, 4)
        assert (found := await store.find("s1"))
        assert found.inbox.claimed == 0

    async def test_of_racing_claims_one_is_the_first(self, store: SessionStore) -> None:
        await store.attach("s1", 1)
        before = await asyncio.gather(*(store.claim("s1", 1, [1], 4) for _ in range(10)))
        assert sorted(before) == [0] + [1] * 9

    async def test_claims_that_do_not_wait_for_each_other_are_taken_in_order(self, store: SessionStore) -> None:
        await store.attach("s1", 1)
        before = await asyncio.gather(*(store.claim("s1", 1, [n], 8) for n in range(1, 9)))
        assert before == [0, 1, 2, 3, 4, 5, 6, 7]

    async def test_outcomes_are_kept_until_they_are_acknowledged(self, store: SessionStore) -> None:
        await store.attach("s1", 1)
        await store.claim("s1", 1, [1, 2, 3, 4], 4)
        for seq, outcome in [(1, b"one"), (2, None), (4, b"four")]:
            await store.commit("s1", seq, outcome, 100)
        assert (found := await store.find("s1"))
        assert (found.inbox.processed, found.inbox.outcomes) == (2, {1: b"one", 4: b"four"})
        await store.acknowledge("s1", 1)
        await store.commit("s1", 3, b"x" * 101, 100)
        assert (found := await store.find("s1"))
        assert (found.inbox.processed, found.inbox.acked, sorted(found.inbox.outcomes)) == (4, 1, [4])
        assert text(found.inbox.to_repeat()[3]).startswith(b'["error",3,"outcome_unknown"')

    async def test_what_is_processed_already_stays_as_it_is(self, store: SessionStore) -> None:
        await store.attach("s1", 1)
        await store.claim("s1", 1, [1, 2, 3], 4)
        await store.commit("s1", 1, Blob(b"frame", b"\x00message"), 100)
        noted = [
            await store.commit("s1", seq, outcome, 100)
            for seq, outcome in [(3, b"three"), (1, b"other"), (3, None), (3, b"other")]
        ]
        assert noted == [True, False, False, False]
        assert (found := await store.find("s1"))
        assert (found.inbox.processed, found.inbox.early) == (1, {3})
        assert found.inbox.outcomes == {1: Blob(b"frame", b"\x00message"), 3: b"three"}

    async def test_what_an_application_keeps_with_a_session_is_found(self, store: SessionStore) -> None:
        record, _ = await store.attach("s1", 1, credential=b"first")
        record.data, record.metas, record.credential = {"cart": [1], "name": "größe"}, {"a": {"x": 1}}, b"second"
        await store.save("s1")
        record.data["cart"].append(2)
        del record.data["name"]
        await store.save("s1")
        assert (found := await store.find("s1"))
        assert (found.data, found.metas, found.credential) == ({"cart": [1, 2]}, {"a": {"x": 1}}, b"second")

    # Rooms

    async def test_rooms_are_kept_with_where_they_were_joined(self, store: SessionStore) -> None:
        await store.join("s1", "a", Position("e", 5))
        await store.join("s1", "b", Position("e", 1))
        await store.join("s1", "a", Position("e", 7))
        await store.leave("s1", "b")
        await store.leave("s1", "c")
        assert (found := await store.find("s1"))
        assert found.rooms == {"a": Position("e", 7)}

    async def test_the_rooms_a_session_is_in_unasked_are_told_apart(self, store: SessionStore) -> None:
        for room in ("a", "b", "c"):
            await store.join("s1", room, Position("e", 5), unasked=True)
        await store.leave("s1", "b")
        await store.join("s1", "b", Position("e", 6))
        await store.join("s1", "c", Position("e", 6))
        assert (found := await store.find("s1"))
        assert found.unasked == {"a"}

    async def test_a_session_that_is_not_there_is_not_made(self, store: SessionStore) -> None:
        with pytest.raises(StaleAttach):
            await store.attach("s2", 1)
        with pytest.raises(StaleAttach):
            await store.claim("s2", 1, [1], 4)
        assert await store.commit("s2", 1, b"1", 100) is False
        await store.acknowledge("s2", 1)
        await store.join("s2", "a", Position("e", 1))
        await store.leave("s2", "a")
        await store.save("s2")
        await store.settle("s2")
        await store.detach("s2", 1, 0.0)
        await store.remove("s2")
        assert (await store.find("s2"), await store.expired()) == (None, [])

    # Ends

    async def test_a_record_that_is_never_attached_expires(self, store: SessionStore) -> None:
        await store.create(new("s5"), SOON)
        assert await store.expired() == []
        await self.pass_time(SOON)
        assert await store.expired() == ["s5"]

    async def test_a_detached_session_expires_at_its_time_and_is_told_once(self, store: SessionStore) -> None:
        await store.attach("s1", 1)
        await store.detach("s1", 1, SOON)
        assert await store.expired() == []
        await self.pass_time(SOON)
        assert (await store.expired(), await store.expired()) == (["s1"], [])
        assert await store.find("s1") is not None

    async def test_an_attached_session_does_not_expire(self, store: SessionStore) -> None:
        await store.attach("s1", 1)
        await store.detach("s1", 1, SOON)
        await store.attach("s1", 2)
        await self.pass_time(SOON)
        assert await store.expired() == []

    async def test_one_that_is_attached_at_the_last_moment_expires_another_time(self, store: SessionStore) -> None:
        await store.attach("s1", 1)
        await store.detach("s1", 1, 0.0)
        await self.pass_time(SOON)
        assert await store.expired() == ["s1"]
        await store.attach("s1", 2)
        assert await store.expired() == []
        await store.detach("s1", 2, 0.0)
        await self.pass_time(SOON)
        assert await store.expired() == ["s1"]

    async def test_an_older_transport_detaches_nothing(self, store: SessionStore) -> None:
        await store.attach("s1", 2)
        await store.detach("s1", 1, 0.0)
        await self.pass_time(SOON)
        assert await store.expired() == []

    async def test_an_end_is_claimed_once(self, store: SessionStore) -> None:
        await store.attach("s1", 1)
        assert sorted(await asyncio.gather(*(store.end("s1") for _ in range(5)))) == [False] * 4 + [True]
        assert (await store.find("s1"), await store.owner("s1")) == (None, None)
        with pytest.raises(StaleAttach):
            await store.attach("s1", 2)
        with pytest.raises(StaleAttach):
            await store.claim("s1", 1, [1], 4)

    async def test_a_session_that_ended_does_not_expire(self, store: SessionStore) -> None:
        await store.attach("s1", 1)
        await store.detach("s1", 1, 0.0)
        await store.end("s1")
        await self.pass_time(SOON)
        assert await store.expired() == []

    @pytest.mark.parametrize("how", ["ended", "removed"])
    async def test_a_session_that_is_gone_can_be_made_anew(self, store: SessionStore, how: str) -> None:
        await store.attach("s1", 1)
        await store.end("s1")
        if how == "removed":
            await store.remove("s1")
        made = await store.create(SessionRecord("s2", "new of s1", b"", None, 0), LATER)
        assert (made.session_id, made.attach, await store.expired()) == ("s2", 0, [])

    # Last words

    async def test_a_last_word_is_told_once_and_a_final_one_each_time(self, store: SessionStore) -> None:
        for session_id, word in [("s1", LastWord(4000, "later")), ("s2", LastWord(4500, "größe")), ("s3", None)]:
            await store.create(new(session_id), LATER)
            await store.end(session_id, word, LATER)
            await store.remove(session_id)
        told = [[await store.last_word(session_id) for session_id in ("s1", "s2", "s3")] for _ in range(2)]
        final = LastWord(4500, "größe")
        assert told == [[LastWord(4000, "later"), final, None], [None, final, None]]

    async def test_a_last_word_is_kept_for_its_time(self, store: SessionStore) -> None:
        await store.end("s1", LastWord(4500, "never"), SOON)
        assert await store.end("s1", LastWord(4000, "other"), LATER) is False
        assert await store.last_word("s1") == LastWord(4500, "never")
        await self.pass_time(SOON)
        assert await store.last_word("s1") is None


def new(session_id: str, user_id: str | None = None, node: str = "") -> SessionRecord:
    """Return a new session's record."""
    return SessionRecord(session_id, f"new of {session_id}", b"secret", user_id, 0, node=node)


def _not_lost() -> None:
    raise AssertionError("the lease was lost")
