"""Requests by the server, and that none is left behind."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from multitransport.errors import Failed, OutcomeUnknown, Refuse, Refused, TimedOut
from multitransport.node.attachment import Attachment
from multitransport.node.session import Session
from tests.simulated import simulated, simulated_loop
from tests.unit.node.site import NEW, Site, of_kind


def hall_site(**settings: Any) -> Site:
    site = Site(**settings)
    site.declared.room("hall")(lambda client: None)
    site.declared.room("empty")(lambda client: None)
    return site


async def come(site: Site) -> Attachment:
    attachment = await site.attach(new=f"{len(site.attachments):02d}{NEW}")
    await site.say(attachment, ["join", 1, "hall"])
    return attachment


async def asked(site: Site, attachment: Attachment) -> list[tuple[str, str, Any]]:
    """Return what a client is asked: the id, the event and the data of each."""
    await simulated_loop().settle()
    pubs = of_kind(site.take(attachment), "pub")
    return [(pub[4]["ask"], pub[2], pub[3]) for pub in pubs if "ask" in pub[4]]


def errors(frames: list[Any]) -> list[Any]:
    return [frame[1] for frame in of_kind(frames, "error")]


@simulated
async def test_an_answer_is_what_the_request_returns_and_a_second_one_is_told() -> None:
    async with hall_site() as site:
        one = await come(site)
        work = asyncio.create_task(site.client(one).request("color", {"of": "sky"}))
        [(ask, event, data)] = await asked(site, one)
        await site.say(one, ["answer", 2, ask, "blue"], ["answer", 3, ask, "red"], ["answer", 4, "never", 1])
        assert (event, data, await work) == ("color", {"of": "sky"}, "blue")
        assert errors(site.take(one)) == ["unknown_ask"] * 2
        assert len(site.node.verbs.asks) == 0


@pytest.mark.parametrize(("code", "error"), [("busy", Refused), ("failed", Failed), ("timed_out", TimedOut)])
def test_an_error_in_place_of_an_answer_is_raised(code: str, error: type[Exception]) -> None:
    @simulated
    async def test() -> None:
        async with hall_site() as site:
            one = await come(site)
            work = asyncio.create_task(site.client(one).request("color"))
            [(ask, _, _)] = await asked(site, one)
            await site.say(one, ["answer_error", 2, ask, code, "no"])
            with pytest.raises(error, match="no"):
                await work

    test()


@simulated
async def test_only_who_is_asked_can_answer() -> None:
    async with hall_site() as site:
        one, other = await come(site), await come(site)
        work = asyncio.create_task(site.client(one).request("color", timeout=5))
        [(ask, _, _)] = await asked(site, one)
        await site.say(other, ["answer", 2, ask, "mine"])
        assert errors(site.take(other)) == ["unknown_ask"]
        with pytest.raises(TimedOut, match="5 s"):
            await work


@simulated
async def test_a_session_that_ends_answers_nothing_any_more() -> None:
    async with hall_site() as site:
        one = await come(site)
        client = site.client(one)
        work = asyncio.create_task(client.request("color", timeout=1000))
        await simulated_loop().settle()
        site.node.end(client, "bye")
        with pytest.raises(OutcomeUnknown):
            await work
        began = simulated_loop().time()
        with pytest.raises(OutcomeUnknown, match="no session"):
            await client.request("color")
        assert (simulated_loop().time(), len(site.node.verbs.asks)) == (began, 0)
        assert not [room for room in site.node.hub._feeds if room.startswith("@session")]


@simulated
async def test_a_question_waits_for_a_client_that_is_away() -> None:
    async with hall_site() as site:
        one = await come(site)
        token = (await site.welcomed(one))["token"]
        client = site.client(one)
        site.release(one)
        work = asyncio.create_task(client.request("color", timeout=60))
        await asyncio.sleep(30)
        again = await site.attach(2, token=token)
        [(ask, _, _)] = await asked(site, again)
        await site.say(again, ["answer", 2, ask, "late"])
        assert await work == "late"


@simulated
async def test_an_answer_that_comes_too_late_is_told() -> None:
    async with hall_site() as site:
        one = await come(site)
        with pytest.raises(TimedOut):
            await site.client(one).request("color", timeout=1)
        [(ask, _, _)] = await asked(site, one)
        await site.say(one, ["answer", 2, ask, 1])
        assert errors(site.take(one)) == ["unknown_ask"]


@simulated
async def test_a_request_that_is_cancelled_leaves_nothing() -> None:
    async with hall_site() as site:
        work = asyncio.create_task(site.client(await come(site)).request("color"))
        await simulated_loop().settle()
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        assert len(site.node.verbs.asks) == 0


@simulated
async def test_more_questions_than_a_client_may_have_are_refused() -> None:
    async with hall_site(max_asks=2) as site:
        client = site.client(await come(site))
        work = [asyncio.create_task(client.request("color", timeout=5)) for _ in range(2)]
        await simulated_loop().settle()
        with pytest.raises(Refused) as refused:
            await client.request("color")
        assert refused.value.code == "too_many_asks"
        answers = await site.node.verbs.request_all("hall", "color", None, 1)
        assert list(answers.errors) == [client.session_id]
        assert [type(each) for each in await asyncio.gather(*work, return_exceptions=True)] == [TimedOut] * 2
        with pytest.raises(TimedOut):
            await client.request("color", timeout=1)


@pytest.mark.parametrize("thousands", [2, pytest.param(100, marks=pytest.mark.faults)])
def test_many_requests_that_time_out_leave_nothing(thousands: int) -> None:
    @simulated
    async def test() -> None:
        async with hall_site(max_asks=1000) as site:
            one = await come(site)
            token = (await site.welcomed(one))["token"]
            client, inbox = site.client(one), f"@session/{one.session_id}"
            site.release(one)  # who is not there need not be written to
            for _ in range(thousands):
                work = (client.request("color", timeout=1) for _ in range(1000))
                outcomes = await asyncio.gather(*work, return_exceptions=True)
                assert {type(each) for each in outcomes} == {TimedOut}
            assert (len(site.node.verbs.asks), site.node.verbs.asks._pending) == (0, {})
            assert len(asyncio.all_tasks()) < 10
            await site.attach(2, token=token)
            assert len(site.node.hub._feeds[inbox].log) <= 256
            site.node.end(client, "bye")
            await simulated_loop().settle()
            assert inbox not in site.node.hub._feeds

    test()


# A whole room


@simulated
async def test_a_room_is_asked_and_it_is_told_who_did_not_answer() -> None:
    async with hall_site() as site:
        good, bad, silent, gone = [await come(site) for _ in range(4)]
        outside = await site.attach(new=f"xx{NEW}")
        work = asyncio.create_task(site.node.verbs.request_all("hall", "color", None, 5))
        [(ask, _, _)] = await asked(site, good)
        await site.say(good, ["answer", 2, ask, "blue"])
        [(ask, _, _)] = await asked(site, bad)
        await site.say(bad, ["answer_error", 2, ask, "busy", "later"])
        site.node.end(site.client(gone), "bye")
        assert await asked(site, outside) == []
        answers = await work
        assert answers.answers == {good.session_id: "blue"}
        assert {session: error.code for session, error in answers.errors.items()} == {bad.session_id: "busy"}
        assert sorted(answers.missing) == sorted([silent.session_id, gone.session_id])
        assert len(site.node.verbs.asks) == 0


@simulated
async def test_when_all_have_answered_nobody_waits_for_the_time_to_pass() -> None:
    async with hall_site() as site:
        one = await come(site)
        began = simulated_loop().time()
        work = asyncio.create_task(site.node.verbs.request_all("hall", "color", None, 5))
        [(ask, _, _)] = await asked(site, one)
        await site.say(one, ["answer", 2, ask, None])
        assert (await work).answers == {one.session_id: None}
        assert simulated_loop().time() == began


@simulated
async def test_an_empty_room_answers_at_once_and_an_unknown_one_is_told() -> None:
    async with hall_site() as site:
        answers = await site.node.verbs.request_all("empty", "color", None, 5)
        assert (answers.answers, answers.errors, answers.missing) == ({}, {}, [])
        with pytest.raises(Refuse):
            await site.node.verbs.request_all("nothing", "color", None, 5)


@simulated
async def test_one_that_cannot_be_asked_keeps_no_answer_of_the_others() -> None:
    async with hall_site(max_rooms=2) as site:
        one, two = await come(site), await come(site)
        work = asyncio.create_task(site.node.verbs.request_all("hall", "color", None, 5))
        [(ask, _, _)] = await asked(site, one)
        await site.say(one, ["answer", 2, ask, "red"])
        answers = await work
        assert answers.answers == {one.session_id: "red"}
        assert {each: type(error) for each, error in answers.errors.items()} == {two.session_id: Failed}


@simulated
async def test_a_large_room_is_asked_without_a_task_for_each() -> None:
    async with hall_site() as site:
        for _ in range(250):
            await come(site)
        work = asyncio.create_task(site.node.verbs.request_all("hall", "color", None, 5))
        await simulated_loop().settle()
        assert (len(site.node.verbs.asks), len(asyncio.all_tasks()) < 10) == (250, True)
        assert len((await work).missing) == 250


@simulated
async def test_a_check_cannot_ask_a_client_that_has_no_session_yet() -> None:
    site = hall_site()
    told = []

    @site.declared.on_connect
    async def connect(client: Session) -> None:
        try:
            await client.request("color")
        except OutcomeUnknown as error:
            told.append(error.code)

    async with site:
        await site.attach()
        assert told == ["outcome_unknown"]


@simulated
async def test_a_session_that_expires_while_it_is_asked_will_not_answer() -> None:
    async with hall_site(resume_seconds=1.0) as site:
        one = await come(site)
        work = asyncio.create_task(site.client(one).request("color", timeout=60.0))
        await simulated_loop().settle()
        site.release(one)
        started = simulated_loop().time()
        with pytest.raises(OutcomeUnknown):
            await work
        assert simulated_loop().time() - started < 3.0
