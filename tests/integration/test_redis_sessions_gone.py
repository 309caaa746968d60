"""Nodes that are gone before their lease is over: what is taken from them, and what they may say if they live."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from msgspec import structs

from multitransport.testing.proxy import FaultProxy
from multitransport.testing.waiting import eventually
from tests.redis_server import RedisServer
from tests.redis_stores import BRIEF, Store, make, stores

LASTING = structs.replace(BRIEF, lease_seconds=4.0)
"""A lease that does not end in these tests; a second after its renewal a node is late."""


@asynccontextmanager
async def moved() -> AsyncIterator[tuple[FaultProxy, Store, Store]]:
    """Give two stores, the first behind a proxy, and a session that the second has from the first, which is busy."""
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(RedisServer())
        proxy = await stack.enter_async_context(FaultProxy(redis.url))
        through = f"redis://127.0.0.1:{proxy.port}"
        one, other = await stack.enter_async_context(stores(through, redis.url, timing=LASTING))
        await make(one)
        await one.claim("s1", 1, [1, 2], 8)
        await other.attach("s1", 2)
        yield proxy, one, other


async def cut_off(proxy: FaultProxy) -> None:
    await proxy.refuse()
    proxy.cut()


def taken_for_gone(by: Store, *unheard: str) -> Callable[[], Awaitable[bool]]:
    """Return what tells whether nobody is busy any more with the session."""

    async def settled() -> bool:
        record = by._speaking.mirrors["s1"].record
        await by.settle("s1", await by.gone(set(filter(None, (record.holders or {}).values())), unheard))
        return set((record.holders or {}).values()) == {""}

    return settled


async def stays_busy(by: Store, *unheard: str) -> bool:
    """Tell whether it is waited for throughout the time after which a node is late."""
    settled = taken_for_gone(by, *unheard)
    async with asyncio.timeout(10):
        for _ in range(15):
            if await settled():
                return False
            await asyncio.sleep(0.1)
    return True


async def test_who_is_out_of_hearing_and_late_is_gone_long_before_its_lease_ends() -> None:
    async with moved() as (proxy, one, other):
        node = one.node
        await cut_off(proxy)
        await eventually(taken_for_gone(other, node), 3.0)
        assert await other.reclaim("s1", [1])
        assert await other.commit("s1", 1, b"unknown", 100) is True
        late = [asyncio.create_task(one.commit("s1", seq, b"done", 100)) for seq in (1, 2)]
        await proxy.accept()
        assert await asyncio.gather(*late) == [False, False]
        await other.settle("s1")
        inbox = other._speaking.mirrors["s1"].record.inbox
        assert (inbox.outcomes, inbox.processed, one.node, one.losses) == ({1: b"unknown"}, 1, node, 0)
        assert await one.finish("s1") == other.node


async def test_who_comes_back_before_anybody_took_it_for_gone_has_its_say() -> None:
    async with moved() as (proxy, one, other):
        await cut_off(proxy)
        late = asyncio.create_task(one.commit("s1", 1, b"done", 100))
        await eventually(lambda: one._line().fault)
        await proxy.accept()
        assert await late is True
        await other.settle("s1", await other.gone([one.node], [one.node]))
        assert other._speaking.mirrors["s1"].record.inbox.outcomes == {1: b"done"}


async def test_who_is_only_out_of_hearing_is_waited_for() -> None:
    async with moved() as (_, one, other):
        assert await stays_busy(other, one.node)
        assert await one.commit("s1", 1, b"done", 100) is True


async def test_who_is_only_late_is_waited_for() -> None:
    async with moved() as (proxy, _, other):
        await cut_off(proxy)
        assert await stays_busy(other)


@pytest.mark.parametrize("late", ["connection", "renewal"])
async def test_who_was_late_itself_takes_nobody_for_gone(late: str) -> None:
    """Perhaps it was Redis that was away, and the others come any moment."""
    async with moved() as (proxy, one, other):
        await cut_off(proxy)
        if late == "connection":
            other._line().restart("for the test")  # type: ignore[attr-defined]
            await eventually(lambda: other._line().connections == 2)
            await other._lease.checked()
        else:
            await asyncio.sleep(1.0)  # so that its lease is old enough
            other._lease._renewed_at -= 1.0
            await other._lease.checked()
        settled = taken_for_gone(other, one.node)
        assert not await settled()
        await eventually(settled, 3.0)


async def test_who_is_not_back_yet_when_redis_is_is_waited_for_though_its_lease_is_long_over() -> None:
    async with moved() as (proxy, one, other):
        await cut_off(proxy)
        other._line().restart("for the test")  # type: ignore[attr-defined]
        await eventually(lambda: other._line().connections == 2)
        await other._lease.checked()
        nodes = other._lease._keys[0]
        await other._fencing.call(nodes, "ZADD", nodes, other._lease.now - 2_000, one.node)
        assert await other.gone([one.node]) == set()
