"""Messages taken: each frame claimed once, answers at once, and a broken message without any effect."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from multitransport.node.attachment import Close
from multitransport.node.session import Session
from multitransport.protocol.codec import decode_message
from multitransport.protocol.codes import CloseCode
from tests.simulated import simulated, simulated_loop
from tests.unit.node.site import NEW, Site, of_kind

HELLO = ["hello", {"v": 1, "new": NEW, "attach": 2}]


def asking_site() -> tuple[Site, list[Any]]:
    """Return a site, and what its handlers ran with. ``ask`` asks the client that sent it."""
    site, ran = Site(window=4), list[Any]()

    @site.declared.on("echo")
    async def echo(client: Session, data: Any) -> Any:
        ran.append(data)
        return data

    @site.declared.on("ask")
    async def ask(client: Session, data: Any) -> Any:
        return await client.request("question", data)

    return site, ran


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        ([HELLO], CloseCode.BAD_PROTOCOL),
        ([["hello", 1]], CloseCode.BAD_PROTOCOL),
        ([["send", 3, "echo", "jump"]], CloseCode.BAD_PROTOCOL),
        ([["send", seq, "echo", seq] for seq in range(2, 7)], CloseCode.BAD_PROTOCOL),
    ],
)
def test_a_broken_message_has_no_effect(broken: list[Any], code: CloseCode) -> None:
    @simulated
    async def test() -> None:
        site, ran = asking_site()
        async with site:
            one = await site.attach()
            with pytest.raises(Close) as refused:
                await site.say(one, ["send", 1, "echo", "x"], *broken)
            assert (refused.value.code, ran) == (code, [])
            await site.say(one, ["send", 1, "echo", "y"])
            assert ran == ["y"]

    test()


@simulated
async def test_an_answer_overtakes_the_frame_whose_handler_waits_for_it() -> None:
    site, _ = asking_site()
    async with site:
        one = await site.attach()
        await site.say(one, ["send", 1, "ask", "x"], ["send", 2, "echo", "after"])
        [pub] = of_kind(site.take(one), "pub")
        assert pub[2:4] == ["question", "x"]
        await site.say(one, ["answer", 3, pub[4]["ask"], "because"])
        frames = site.take(one)
        assert of_kind(frames, "reply") == [[1, "because"], [2, "after"]]
        assert of_kind(frames, "ack")[-1] == [3]


@simulated
async def test_an_answer_that_is_repeated_counts_once() -> None:
    site, _ = asking_site()
    async with site:
        one = await site.attach()
        await site.say(one, ["send", 1, "ask", "x"])
        answer = ["answer", 2, of_kind(site.take(one), "pub")[0][4]["ask"], 7]
        await site.say(one, answer, answer)
        await site.say(one, answer)
        frames = site.take(one)
        assert (of_kind(frames, "reply"), of_kind(frames, "error")) == ([[1, 7]], [])


@simulated
async def test_an_answer_that_cannot_be_read_is_invalid_and_the_next_one_may_do() -> None:
    site, _ = asking_site()
    async with site:
        one = await site.attach()
        work = asyncio.create_task(site.client(one).request("question"))
        await simulated_loop().settle()
        ask = of_kind(site.take(one), "pub")[0][4]["ask"]
        await site.node.receive(one, _decoded(f'["answer",1,"{ask}",1e999]'), alive=True)
        await site.say(one, ["answer", 2, ask, 1])
        assert (await work, [error[:2] for error in of_kind(site.take(one), "error")]) == (1, [[1, "invalid"]])


@simulated
async def test_a_repeat_is_told_its_outcome_and_does_not_run() -> None:
    site, ran = asking_site()
    async with site:
        one = await site.attach()
        await site.say(one, ["send", 1, "echo", "x"])
        site.take(one)
        await site.say(one, ["send", 1, "echo", "x"])
        frames = site.take(one)
        assert (of_kind(frames, "reply"), of_kind(frames, "ack"), ran) == ([[1, "x"]], [[1]], ["x"])


@simulated
async def test_what_is_sent_beside_a_stream_of_another_attach_is_refused() -> None:
    site, ran = asking_site()
    async with site:
        token = (await site.welcomed(await site.attach(1, "sse")))["token"]
        assert of_kind(await site.send(1, token, ["send", 1, "echo", "x"]), "reply") == [[1, "x"]]
        for attach in (2, 7):
            with pytest.raises(Close) as refused:
                await site.send(attach, token, ["send", 2, "echo", "y"])
            assert refused.value.code is CloseCode.STALE_ATTACH
        with pytest.raises(Close) as lost:
            await site.send(1, "no token", ["send", 2, "echo", "y"])
        assert (lost.value.code, ran) == (CloseCode.SESSION_LOST, ["x"])


@simulated
async def test_bye_waits_for_the_frames_before_it() -> None:
    site, ran = asking_site()
    async with site:
        one = await site.attach()
        await site.say(one, ["send", 1, "echo", "x"], ["bye"], ["send", 2, "echo", "too late"])
        assert (ran, site.ended) == (["x"], [(one.session_id, "bye")])


def _decoded(message: str) -> Any:
    return decode_message(message.encode())
