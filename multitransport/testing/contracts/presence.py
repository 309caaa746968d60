"""What every presence store is tested for."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

import pytest
import pytest_asyncio

from multitransport.brokers.base import Member, Meta, PresenceStore

__all__ = ["PresenceStoreContract"]

PHONE = Meta("s1", "sse", {"status": "away"})
DESKTOP = Meta("s2", "websocket")


class PresenceStoreContract(ABC):
    """The contract of a PresenceStore."""

    pytestmark = pytest.mark.asyncio

    @abstractmethod
    def open_presence(self) -> AbstractAsyncContextManager[PresenceStore]:
        """Return a store without members, for the time of one test."""

    @pytest_asyncio.fixture
    async def presence(self) -> AsyncIterator[PresenceStore]:
        """A store without members."""
        async with self.open_presence() as store:
            yield store

    async def test_nobody_is_in_a_room_nobody_entered(self, presence: PresenceStore) -> None:
        assert await presence.members("a") == []

    async def test_who_enters_is_a_member(self, presence: PresenceStore) -> None:
        ann = Member("user:ann", "ann", [PHONE])
        assert await presence.enter("a", "user:ann", "ann", PHONE) == ann
        anonymous = Member("session:s2", None, [DESKTOP])
        assert await presence.enter("a", "session:s2", None, DESKTOP) == anonymous
        assert sorted(await presence.members("a"), key=lambda each: each.id) == [anonymous, ann]
        assert await presence.members("b") == []

    async def test_to_enter_twice_changes_nothing(self, presence: PresenceStore) -> None:
        await presence.enter("a", "user:ann", "ann", PHONE)
        assert await presence.enter("a", "user:ann", "ann", Meta("s1", "sse", {"status": "away"})) is None
        assert await presence.members("a") == [Member("user:ann", "ann", [PHONE])]

    @pytest.mark.parametrize(
        "changed", [Meta("s1", "poll", {"status": "away"}), Meta("s1", "sse", "ü\x00"), Meta("s1", None)]
    )
    async def test_a_meta_changes(self, presence: PresenceStore, changed: Meta) -> None:
        await presence.enter("a", "user:ann", "ann", PHONE)
        await presence.enter("a", "user:ann", "ann", DESKTOP)
        member = await presence.enter("a", "user:ann", "ann", changed)
        assert member is not None
        assert sorted(each.session for each in member.metas) == ["s1", "s2"]
        assert changed in member.metas
        assert await presence.members("a") == [member]

    async def test_a_member_is_there_until_its_last_session_has_left(self, presence: PresenceStore) -> None:
        await presence.enter("a", "user:ann", "ann", PHONE)
        both = await presence.enter("a", "user:ann", "ann", DESKTOP)
        assert both == Member("user:ann", "ann", [PHONE, DESKTOP])
        one = await presence.exit("a", "s1")
        assert one == Member("user:ann", "ann", [DESKTOP])
        assert await presence.members("a") == [one]
        assert await presence.exit("a", "s2") == Member("user:ann", "ann", [])
        assert await presence.members("a") == []
        assert both == Member("user:ann", "ann", [PHONE, DESKTOP]), "what was returned stays as it was"

    async def test_who_is_not_in_cannot_leave(self, presence: PresenceStore) -> None:
        assert await presence.exit("a", "s1") is None
        await presence.enter("a", "user:ann", "ann", PHONE)
        assert await presence.exit("a", "s2") is None
        assert await presence.exit("b", "s1") is None
        assert await presence.exit("a", "s1") is not None
        assert await presence.exit("a", "s1") is None

    async def test_rooms_are_apart(self, presence: PresenceStore) -> None:
        for room in ("a", "b"):
            assert await presence.enter(room, "user:ann", "ann", PHONE) is not None
        await presence.exit("a", "s1")
        assert await presence.members("a") == []
        assert await presence.members("b") == [Member("user:ann", "ann", [PHONE])]

    async def test_who_has_left_may_enter_again(self, presence: PresenceStore) -> None:
        for _ in range(2):
            assert await presence.enter("a", "user:ann", "ann", PHONE) == Member("user:ann", "ann", [PHONE])
            assert await presence.exit("a", "s1") == Member("user:ann", "ann", [])

    async def test_of_racing_changes_each_is_told_once(self, presence: PresenceStore) -> None:
        entered = await asyncio.gather(*(presence.enter("a", "user:ann", "ann", PHONE) for _ in range(10)))
        assert sum(each is not None for each in entered) == 1
        left = await asyncio.gather(*(presence.exit("a", "s1") for _ in range(10)))
        assert sum(each is not None for each in left) == 1

    async def test_racing_sessions_of_a_member_are_all_there(self, presence: PresenceStore) -> None:
        metas = [Meta(f"s{n}", "poll") for n in range(20)]
        told = await asyncio.gather(*(presence.enter("a", "user:ann", "ann", meta) for meta in metas))
        assert sorted(len(each.metas) for each in told if each is not None) == list(range(1, 21))
        [member] = await presence.members("a")
        assert sorted(each.session for each in member.metas) == sorted(each.session for each in metas)
        left = await asyncio.gather(*(presence.exit("a", meta.session) for meta in metas))
        assert sorted(len(each.metas) for each in left if each is not None) == list(range(20))
        assert await presence.members("a") == []
