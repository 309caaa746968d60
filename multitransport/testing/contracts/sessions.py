"""What every session store is tested for."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

import pytest
import pytest_asyncio

from multitransport.brokers.base import SessionStore, StaleAttach
from multitransport.core.inbox import BrokenSequence
from multitransport.core.session import SessionRecord
from multitransport.protocol.binary import text
from multitransport.protocol.position import Position

__all__ = ["SessionStoreContract"]

SOON = 2e9
"""Later than any time of these tests: when a record expires that is never attached."""


class SessionStoreContract(ABC):
    """The contract of a SessionStore."""

    pytestmark = pytest.mark.asyncio

    @abstractmethod
    def open_store(self) -> AbstractAsyncContextManager[SessionStore]:
        """Return a store without records, for the time of one test."""

    @pytest_asyncio.fixture
    async def store(self) -> AsyncIterator[SessionStore]:
        """A store that keeps one record, that of session ``s1``."""
        async with self.open_store() as store:
            await store.create(record("s1"), SOON)
            yield store

    async def test_a_record_is_found_as_it_was_made(self, store: SessionStore) -> None:
        await store.create(record("s2", user_id="ann"), SOON)
        assert await store.find("s2") == record("s2", user_id="ann")
        assert await store.count() == 2

    async def test_what_is_not_there_is_none(self, store: SessionStore) -> None:
        assert await store.find("s2") is None
        assert await store.remove("s2") is None

    async def test_the_same_new_from_the_same_user_is_the_same_session(self, store: SessionStore) -> None:
        kept = await store.create(SessionRecord("s2", "new of s1", b"other", None, 0), SOON)
        assert kept == record("s1")
        assert (await store.find("s2"), await store.count()) == (None, 1)

    async def test_the_same_new_from_another_user_is_another_session(self, store: SessionStore) -> None:
        for session_id, user_id in [("s2", "ann"), ("s3", "bob"), ("s4", "")]:
            kept = await store.create(SessionRecord(session_id, "new of s1", b"", user_id, 0), SOON)
            assert kept.session_id == session_id
        assert await store.count() == 4

    async def test_racing_hellos_make_one_session(self, store: SessionStore) -> None:
        racing = [SessionRecord(f"s{n}", "new", b"", None, 0) for n in range(10, 20)]
        kept = await asyncio.gather(*(store.create(each, SOON) for each in racing))
        assert len({each.session_id for each in kept}) == 1

    async def test_a_record_that_is_never_attached_expires(self, store: SessionStore) -> None:
        await store.create(SessionRecord("s5", "new of s5", b"", None, 0), 50.0)
        assert await store.expired(49.0) == []
        assert [each.session_id for each in await store.expired(50.0)] == ["s5"]

    async def test_an_attach_is_raised(self, store: SessionStore) -> None:
        await store.attach("s1", 3)
        assert (found := await store.find("s1"))
        assert (found.attach, found.secret_hash) == (3, b"secret")
        await store.attach("s1", 4, b"changed")
        assert (found := await store.find("s1"))
        assert (found.attach, found.secret_hash) == (4, b"changed")

    @pytest.mark.parametrize("attach", [1, 2, 3])
    async def test_an_attach_that_is_not_above_changes_nothing(self, store: SessionStore, attach: int) -> None:
        await store.attach("s1", 3)
        await store.detach("s1", 3, 50.0)
        with pytest.raises(StaleAttach):
            await store.attach("s1", attach, b"changed")
        assert (found := await store.find("s1"))
        assert (found.attach, found.secret_hash) == (3, b"secret")
        assert [each.session_id for each in await store.expired(50.0)] == ["s1"]

    async def test_of_racing_attaches_one_wins(self, store: SessionStore) -> None:
        results = await asyncio.gather(*(store.attach("s1", 1) for _ in range(10)), return_exceptions=True)
        assert results.count(None) == 1
        assert sum(isinstance(result, StaleAttach) for result in results) == 9

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
        await store.commit("s2", 1, b"1", 100)
        await store.acknowledge("s2", 1)
        await store.join("s2", "a", Position("e", 1))
        await store.leave("s2", "a")
        await store.detach("s2", 1, 0.0)
        assert (await store.find("s2"), await store.count(), await store.expired(1.9e9)) == (None, 1, [])

    async def test_a_detached_session_expires_at_its_time(self, store: SessionStore) -> None:
        await store.attach("s1", 1)
        await store.detach("s1", 1, 50.0)
        assert await store.expired(49.9) == []
        assert [each.session_id for each in await store.expired(50.0)] == ["s1"]
        assert (await store.expired(60.0), await store.find("s1"), await store.count()) == ([], None, 0)

    async def test_an_attached_session_does_not_expire(self, store: SessionStore) -> None:
        await store.attach("s1", 1)
        await store.detach("s1", 1, 50.0)
        await store.attach("s1", 2)
        assert await store.expired(1.9e9) == []

    async def test_an_older_transport_detaches_nothing(self, store: SessionStore) -> None:
        await store.attach("s1", 2)
        await store.detach("s1", 1, 50.0)
        assert await store.expired(1.9e9) == []

    @pytest.mark.parametrize("how", ["removed", "expired"])
    async def test_a_session_that_is_gone_can_be_made_anew(self, store: SessionStore, how: str) -> None:
        await store.attach("s1", 1)
        await store.detach("s1", 1, 50.0)
        gone = await store.remove("s1") if how == "removed" else (await store.expired(50.0))[0]
        assert gone is not None
        assert (gone.session_id, gone.attach) == ("s1", 1)
        assert await store.count() == 0
        made = await store.create(SessionRecord("s2", "new of s1", b"", None, 0), SOON)
        assert (made.session_id, made.attach) == ("s2", 0)
        assert await store.expired(1.9e9) == []


def record(session_id: str, user_id: str | None = None) -> SessionRecord:
    """Return a new session's record."""
    return SessionRecord(session_id, f"new of {session_id}", b"secret", user_id, 0)
