"""The browser client's own interface, in a real browser, against the application of the contracts, over every
transport.
"""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Page

from multitransport.testing.proxy import FaultProxy
from multitransport.testing.waiting import eventually
from tests.contracts.application import Application
from tests.e2e.plain import TRANSPORTS, Visit

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_requests_end_in_a_reply_or_an_error_that_says_why(visit: Visit, transport: str) -> None:
    page = await visit(transport)
    outcomes = await page.evaluate("""() => Promise.all([
        rt.request("echo", { text: "é\\u2028😀" }), rt.request("note", 1), rt.send("note", 2),
        rt.request("greet", { name: "Ann", times: "x" }), rt.request("refuse"), rt.request("fail"),
        rt.request("nothing"), rt.request("large", 60000).then((text) => text.length),
    ].map(outcome))""")
    assert outcomes[:3] == [{"value": {"text": "é\u2028😀"}}, {"value": None}, {"value": None}]
    assert [each["code"] for each in outcomes[3:7]] == ["invalid", "too_late", "failed", "unknown_event"]
    assert "times" in outcomes[3]["message"]
    assert outcomes[7] == {"value": 60000}
    assert await page.evaluate("rt.status.transport") == transport


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_large_reply_arrives(visit: Visit, transport: str) -> None:
    page = await visit(transport)
    assert await page.evaluate("outcome(rt.request('large', 200000).then((text) => text.length))") == {"value": 200000}


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_room_gives_its_history_and_what_follows_once(visit: Visit, app: Application, transport: str) -> None:
    await app.publish("log/a", 1, 2, 3, 4)
    page = await visit(transport)
    await page.evaluate("""async () => {
        const note = (data, { offset, from }) => told.push([data, offset, from ?? null]);
        globalThis.room = rt.join("log/a").on("said", note);
        await room.joined;
    }""")
    await app.publish("log/a", 5)
    await eventually(lambda: _told(page, [[2, 2, None], [3, 3, None], [4, 4, None], [5, 5, None]]))
    await page.evaluate("room.publish('said', 'mine')")
    session = await page.evaluate("rt.status.session")
    await page.wait_for_function("told.length === 5")
    assert (await page.evaluate("told"))[-1] == ["mine", 6, session]
    assert await page.evaluate("room.position[1]") == 6
    assert await page.evaluate("outcome(room.publish('said', 'forbidden'))") == {
        "code": "bad_words",
        "message": "not here",
    }
    await page.evaluate("room.leave()")
    await app.publish("log/a", 7)
    await page.evaluate("rt.request('echo', 1)")
    assert len(await page.evaluate("told")) == 5


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_refused_join_tells_whoever_looks_and_nobody_else(visit: Visit, transport: str) -> None:
    page = await visit(transport)
    await page.evaluate("rt.join('nowhere').onLeft((error) => told.push(error.code)); rt.join('members/a')")
    await page.wait_for_function("rt.status.state === 'live'")
    assert await page.evaluate("outcome(rt.join('members/b').joined)") == {
        "code": "refused",
        "message": await page.evaluate("outcome(rt.join('members/b').joined).then(({ message }) => message)"),
    }
    assert (await page.evaluate("outcome(rt.join('broken/a').joined)"))["code"] == "failed"
    assert await page.evaluate("told") == ["unknown_room"]
    assert await page.evaluate("unhandled") == []


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_what_is_sent_while_the_line_is_cut_runs_once_and_in_order(
    visit: Visit, app: Application, line: FaultProxy, transport: str
) -> None:
    page = await visit(transport)
    await page.evaluate("rt.join('log/b').on('said', (data) => told.push(data)).joined")
    sent = page.evaluate("""async () => {
        const answers = [];
        for (let i = 0; i < 40; i += 1) {
            answers.push(rt.request("echo", i));
            if (i % 10 === 5) rt.cut();
            await new Promise((resolve) => setTimeout(resolve, 25));
        }
        return Promise.all(answers);
    }""")
    published = app.publish("log/b", *range(100, 140))
    assert await sent == list(range(40))
    await published
    assert app.ran == list(range(40))
    await eventually(lambda: _told(page, list(range(100, 140))))
    assert await page.evaluate("rt.stats") == {"publications": 40, "duplicates": 0, "gaps": 0, "lost": 0}
    line.cut()
    assert await page.evaluate("rt.request('echo', 'after')") == "after"


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_loss_is_told(visit: Visit, app: Application, line: FaultProxy, transport: str) -> None:
    page = await visit(transport)
    await page.evaluate("""async () => {
        globalThis.room = rt.join("short/a").on("said", (data) => told.push(data));
        await room.onGap(({ lost, position }) => told.push({ lost, at: position[1] })).joined;
    }""")
    await app.publish("short/a", 1)
    await page.wait_for_function("told.length === 1")
    await line.refuse()
    line.cut()
    await app.publish("short/a", *range(2, 13))
    await line.accept()
    await eventually(lambda: _told(page, [1, {"lost": 6, "at": 7}, 8, 9, 10, 11, 12]))
    assert await page.evaluate("rt.stats") == {"publications": 6, "duplicates": 0, "gaps": 1, "lost": 6}


async def test_switching_between_all_transports_loses_and_repeats_nothing(visit: Visit, app: Application) -> None:
    page = await visit()
    await page.evaluate("rt.join('log/c').on('said', (data) => told.push(data)).joined")
    number = 0
    for transport in ("sse", "poll", "websocket", "poll", "sse", "websocket") * 2:
        await page.evaluate("(transport) => rt.use([transport])", transport)
        while await page.evaluate("rt.status.transport") != transport:
            await app.publish("log/c", number := number + 1)
    await eventually(lambda: _told(page, list(range(1, number + 1))))
    stats = await page.evaluate("rt.stats")
    assert (stats["publications"], stats["gaps"]) == (number, 0)
    assert len(app.node.sessions) == 1


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_refused_client_stops_and_everything_it_waits_for_fails(visit: Visit, transport: str) -> None:
    page = await visit(transport, "refuse me")
    assert await page.evaluate("outcome(rt.request('echo', 1))") == {
        "code": "not_today",
        "message": "come back tomorrow",
    }
    assert (await page.evaluate("outcome(rt.join('log/a').joined)"))["code"] == "not_today"
    status = await page.evaluate("rt.status")
    assert (status["state"], status["code"], status["reason"]) == ("closed", 3505, "come back tomorrow")


async def test_a_transport_that_is_not_allowed_makes_room_for_the_next(visit: Visit, app: Application) -> None:
    app.forbidden_transports = {"websocket", "sse"}
    page = await visit()
    await page.wait_for_function("rt.status.transport === 'poll'")
    assert await page.evaluate("rt.request('echo', 1)") == 1


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_closing_and_leaving_the_page_end_the_session(visit: Visit, app: Application, transport: str) -> None:
    page = await visit(transport)
    await page.evaluate("rt.request('echo', 1)")
    assert await page.evaluate("rt.send('note', 'last words'), rt.close(), rt.status.state") == "closed"
    await eventually(lambda: not app.node.sessions)
    assert app.ran == [1, "last words"]
    assert (await page.evaluate("outcome(rt.request('echo', 2))"))["code"] == "closed"
    await page.evaluate("(transport) => start(transport)", transport)
    await page.evaluate("rt.request('echo', 3)")
    assert len(app.node.sessions) == 1
    # A real navigation may put the page into the cache instead, and nobody can tell beforehand.
    await page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide', { persisted: false }))")
    await eventually(lambda: not app.node.sessions)
    await eventually(lambda: [reason for _, reason in app.disconnected] == ["bye", "bye"])


async def test_the_page_cache_keeps_the_session(visit: Visit, app: Application) -> None:
    page = await visit()
    await page.evaluate("rt.join('log/d').on('said', (data) => told.push(data)).joined")
    session = await page.evaluate("rt.status.session")
    await page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))")
    assert await page.evaluate("rt.status.state") == "offline"
    await eventually(lambda: app.attached == [])
    await app.publish("log/d", 1, 2)
    await page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    await eventually(lambda: _told(page, [1, 2]))
    assert await page.evaluate("rt.status.session") == session


async def test_a_duplicated_session_goes_its_own_way(visit: Visit, app: Application) -> None:
    page = await visit("websocket")
    await page.evaluate("rt.join('log/e').on('said', (data) => told.push(data)).joined")
    session = await page.evaluate("rt.status.session")
    # What a copy of the page would do: the same session, on a higher attach.
    (record,) = (client.record for client in app.node.sessions.values())
    await page.evaluate(
        """(attach) => {
            const copy = new WebSocket(`ws://${location.host}/realtime/websocket`);
            copy.onopen = () => copy.send(JSON.stringify(["hello", { v: 1, new: globalThis.copied, attach }]));
            globalThis.copied = null;
        }""".replace("globalThis.copied,", f'"{record.new}",'),
        record.attach + 5,
    )
    await page.wait_for_function(
        "(session) => rt.status.state === 'live' && rt.status.session !== session", arg=session
    )
    await app.publish("log/e", 1)
    await eventually(lambda: _told(page, [1]))


async def _told(page: Page, wanted: list[Any]) -> bool:
    told: list[Any] = await page.evaluate("told")
    assert len(told) <= len(wanted), told
    return told == wanted
