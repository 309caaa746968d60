"""One session's frames in order, beside them what is concurrent, and handlers that never return."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from multitransport.node.attachment import Close
from multitransport.node.session import Session
from multitransport.protocol.codes import CloseCode
from tests.simulated import simulated, simulated_loop
from tests.unit.node.site import NEW, Site, of_kind


class Work:
    """A site with handlers that are done when the test says so."""

    def __init__(self, **settings: Any) -> None:
        self.site = Site(**settings)
        self.ran: list[Any] = []
        self.cancelled: list[Any] = []
        self.done: dict[Any, asyncio.Event] = {}
        self.site.declared.on("ordered")(self.handle)
        self.site.declared.on("beside", concurrent=True)(self.handle)

    async def handle(self, client: Session, data: Any) -> Any:
        self.ran.append(data)
        try:
            await self.done.setdefault(data, asyncio.Event()).wait()
        except asyncio.CancelledError:
            self.cancelled.append(data)
            raise
        return data

    async def finish(self, *data: Any) -> None:
        for each in data:
            self.done.setdefault(each, asyncio.Event()).set()
        await simulated_loop().settle()


@simulated
async def test_frames_run_one_after_another() -> None:
    work = Work()
    async with work.site as site:
        one = await site.attach()
        await site.say(one, ["send", 1, "ordered", "a"], ["send", 2, "ordered", "b"])
        assert work.ran == ["a"]
        await work.finish("b", "a")
        assert (work.ran, of_kind(site.take(one), "reply")) == (["a", "b"], [[1, "a"], [2, "b"]])


@simulated
async def test_frames_do_not_wait_for_what_is_concurrent() -> None:
    work = Work()
    async with work.site as site:
        one = await site.attach()
        await site.say(one, ["send", 1, "beside", "a"], ["send", 2, "beside", "b"], ["send", 3, "ordered", "c"])
        assert work.ran == ["c", "a", "b"]
        await work.finish("c", "b")
        frames = site.take(one)
        assert of_kind(frames, "reply") == [[3, "c"], [2, "b"]]
        assert of_kind(frames, "ack") == [[0]]
        await work.finish("a")
        frames = site.take(one)
        assert (of_kind(frames, "reply"), of_kind(frames, "ack")) == ([[1, "a"]], [[3]])
        assert not site.client(one).tasks


@simulated
async def test_no_more_run_beside_one_another_than_the_window_holds() -> None:
    work = Work(window=4)
    async with work.site as site:
        one = await site.attach()
        await site.say(one, *(["send", seq, "beside", seq] for seq in range(1, 5)))
        with pytest.raises(Close) as refused:
            await site.say(one, ["send", 5, "beside", 5])
        assert (refused.value.code, len(site.client(one).tasks or ())) == (CloseCode.BAD_PROTOCOL, 4)


@simulated
async def test_what_never_returns_stops_nobody_else() -> None:
    work = Work()
    async with work.site as site:
        stuck, other = await site.attach(), await site.attach(new=f"x{NEW}")
        await site.say(stuck, ["send", 1, "ordered", "for ever"], ["send", 2, "ordered", "after"])
        await site.say(other, ["pong", 1])
        for _ in range(10):
            await asyncio.sleep(20)
            for each in (stuck, other):
                assert len(of_kind(site.take(each), "ping")) <= 2
                await site.say(each, ["ping", 1])
                assert of_kind(site.take(each), "pong") == [[1]]
        await work.finish("x")
        await site.say(other, ["send", 1, "ordered", "x"])
        assert (work.ran, of_kind(site.take(other), "reply")) == (["for ever", "x"], [[1, "x"]])
        began = simulated_loop().time()
    assert simulated_loop().time() - began < 10
    assert work.cancelled == ["for ever"]


@pytest.mark.parametrize("event", ["ordered", "beside"])
def test_what_runs_is_over_before_the_session_is_said_to_be(event: str) -> None:
    @simulated
    async def test() -> None:
        work = Work()
        seen = []
        work.site.declared.on_disconnect(lambda client, reason: seen.append(list(work.cancelled)))
        async with work.site as site:
            one = await site.attach()
            await site.say(one, ["send", 1, event, "a"])
            site.node.end(site.client(one), "bye")
            await simulated_loop().settle()
            assert seen == [["a"]]

    test()


@simulated
async def test_a_cut_cancels_nothing_and_the_outcome_waits() -> None:
    work = Work()
    async with work.site as site:
        one = await site.attach()
        token = (await site.welcomed(one))["token"]
        await site.say(one, ["send", 1, "beside", "a"], ["send", 2, "ordered", "b"])
        site.release(one)
        await work.finish("a", "b")
        again = await site.attach(2, token=token)
        assert of_kind(site.take(again), "reply") == [[1, "a"], [2, "b"]]
        assert (work.cancelled, sorted(work.ran)) == ([], ["a", "b"])


@simulated
async def test_a_concurrent_handler_that_fails_is_one_error() -> None:
    site = Site()

    @site.declared.on("fail", concurrent=True)
    async def fail(client: Session, data: Any) -> None:
        raise ValueError("on purpose")

    async with site:
        one = await site.attach()
        await site.say(one, ["send", 1, "fail", None], ["send", 2, "fail", None])
        assert [error[:2] for error in of_kind(site.take(one), "error")] == [[1, "failed"], [2, "failed"]]


@simulated
async def test_bye_waits_for_what_is_concurrent_too() -> None:
    work = Work()
    async with work.site as site:
        one = await site.attach()
        await site.say(one, ["send", 1, "beside", "a"], ["bye"])
        assert (work.ran, site.ended) == (["a"], [])
        await work.finish("a")
        assert (work.cancelled, site.ended) == ([], [(one.session_id, "bye")])
        assert of_kind(site.take(one), "reply") == [[1, "a"]]


@simulated
async def test_a_session_that_said_bye_expires_though_a_concurrent_handler_never_returns() -> None:
    work = Work()
    async with work.site as site:
        one = await site.attach()
        await site.say(one, ["send", 1, "beside", "for ever"], ["bye"])
        site.release(one)
        await asyncio.sleep(site.settings.resume_seconds + 1)
        assert (work.cancelled, site.ended) == (["for ever"], [(one.session_id, "expired")])
