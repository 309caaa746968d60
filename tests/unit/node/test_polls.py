"""Polls: what ends one at once, and what a client is told with it that it must not poll on for as fast as it can."""

from __future__ import annotations

import asyncio
from typing import Any

from multitransport.node.session import Session
from tests.simulated import simulated, simulated_loop
from tests.unit.node.site import Site, of_kind

FRAMES = ["send", 1, "beside", "a"], ["send", 2, "echo", "b"]


class Polling:
    """A client that polls on; frame 1 runs until ``gate`` opens, beside frame 2."""

    def __init__(self) -> None:
        self.site = Site()
        self.gate = asyncio.Event()
        self.polls = 0
        self.heard: list[Any] = []
        self._acked = 0
        self._had: set[int] = set()
        self._token: str | None = None

        @self.site.declared.on("beside", concurrent=True)
        async def beside(client: Session, data: Any) -> Any:
            await self.gate.wait()
            return data

        @self.site.declared.room("hall")
        async def join_hall(client: Session) -> None: ...

        @self.site.declared.on("echo")
        async def echo(client: Session, data: Any) -> Any:
            return data

    async def poll(self, *frames: list[Any], seconds: float = 20.0) -> float:
        """Poll, with these frames; return how long that was held."""
        self.polls += 1
        began = simulated_loop().time()
        attachment = await self.site.attach(self.polls, "poll", token=self._token, acked=self._acked, had=self._had)
        if frames:
            await self.site.say(attachment, *frames)
        told = asyncio.Event()
        attachment.on_news = told.set
        if not attachment.news:
            simulated_loop().call_later(seconds, told.set)
            await told.wait()
        self._hear(self.site.take(attachment))
        self.site.release(attachment)
        return simulated_loop().time() - began

    def _hear(self, frames: list[Any]) -> None:
        self.heard += frames
        self._token = of_kind(frames, "welcome")[0][0]["token"]
        self._acked = max([self._acked, *(through for [through] in of_kind(frames, "ack"))])
        self._had |= {seq for kind in ("reply", "joined", "left") for seq, *_ in of_kind(frames, kind) if seq}


@simulated
async def test_a_client_that_had_an_outcome_polls_no_faster_while_what_comes_before_it_takes_long() -> None:
    polling = Polling()
    async with polling.site:
        await polling.poll(*FRAMES)
        assert of_kind(polling.heard, "reply") == [[2, "b"]]
        assert await polling.poll() == 20.0, "it is told nothing twice"
        assert of_kind(polling.heard, "reply") == [[2, "b"]]
        held = asyncio.create_task(polling.poll())
        await simulated_loop().settle()
        polling.gate.set()
        assert await held == 0, "that is new"
        assert of_kind(polling.heard, "reply") == [[2, "b"], [1, "a"]]
        assert await polling.poll() == 20.0, "it has all of it"


@simulated
async def test_a_room_joined_and_left_while_what_comes_before_takes_long_ends_no_further_poll() -> None:
    polling = Polling()
    async with polling.site:
        await polling.poll(FRAMES[0], ["join", 2, "hall"], ["leave", 3, "hall"])
        assert of_kind(polling.heard, "left") == [[3, "hall"]]
        assert await polling.poll() == 20.0
        assert of_kind(polling.heard, "left") == [[3, "hall"]]
        polling.gate.set()


@simulated
async def test_an_outcome_that_an_answer_was_lost_with_is_told_again_at_once_where_all_before_it_is_done() -> None:
    polling = Polling()
    polling.gate.set()
    async with polling.site:
        await polling.poll(*FRAMES)
        polling._acked = 0
        polling._had.clear()
        assert await polling.poll() == 0


@simulated
async def test_what_other_nodes_were_asked_about_a_session_without_any_news_ends_no_poll() -> None:
    polling = Polling()
    async with polling.site as site:
        await polling.poll(FRAMES[0])
        held = asyncio.create_task(polling.poll())
        await simulated_loop().settle()
        [client] = site.node.sessions.values()
        await site.node._moves.settle(client)
        assert await held == 20.0
        polling.gate.set()
