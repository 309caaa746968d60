"""What rooms promise beyond publications, and requests of the server, in a real browser over every transport."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Page

from multitransport import RequestError
from multitransport.testing.waiting import eventually
from tests.contracts.application import Application
from tests.e2e.plain import TRANSPORTS, Visit

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def told(page: Page, *wanted: Any) -> None:
    """Wait until the page was told exactly this since it was last looked at."""

    async def met() -> bool:
        return bool(await page.evaluate("told") == list(wanted))

    try:
        await eventually(met, 20)
    except AssertionError:
        raise AssertionError(f"told {await page.evaluate('told')}, not {wanted}") from None
    await page.evaluate("told.length = 0")


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_who_is_here_changes_as_they_come_and_go(visit: Visit, app: Application, transport: str) -> None:
    page, other = await visit(transport), await visit("websocket")
    await page.evaluate("""() => rt.join("team/a").onPresence((change) => {
        for (const [what, members] of Object.entries(change))
            for (const { metas } of members) told.push([what, ...metas.map((each) => [each.transport, each.meta])]);
    }).joined""")
    await told(page, ["entered", [transport, None]])
    await other.evaluate("rt.join('team/a').joined")
    await told(page, ["entered", ["websocket", None]])
    await other.evaluate("rt.join('team/a').setPresence({ name: 'Ann' })")
    await told(page, ["changed", ["websocket", {"name": "Ann"}]])
    await page.evaluate("rt.cut()")
    assert await page.evaluate("rt.request('echo', 1)") == 1
    assert await page.evaluate("rt.join('team/a').presence.size") == 2
    await other.evaluate("rt.join('team/a').leave()")
    await told(page, ["left", ["websocket", {"name": "Ann"}]])
    assert len(await app.rt.members("team/a")) == 1


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_state_room_is_a_live_map_at_the_rate_that_is_asked(
    visit: Visit, app: Application, transport: str
) -> None:
    for key in ("a", "b", "c"):
        await app.rt.publish("state/x", "set", key, key=key)
    page = await visit(transport)
    state = "Object.fromEntries([...room.state].map(([key, { data }]) => [key, data]))"
    await page.evaluate("(globalThis.room = rt.join('state/x')).joined")

    async def shows(**wanted: Any) -> None:
        async def met() -> bool:
            return bool(await page.evaluate(state) == wanted)

        await eventually(met, 20)

    await shows(a="a", b="b", c="c")
    await app.rt.publish("state/x", "set", None, key="b", deleted=True)
    await app.rt.publish("state/x", "set", "new", key="a")
    await shows(a="new", c="c")
    # Seldom: what comes in between is outdated before it is told.
    await page.evaluate("room.setMaxRate(2)")
    await page.evaluate("void room.on('set', (data) => told.push(data))")
    for number in range(200):
        await app.rt.publish("state/x", "set", number, key="a")
    await shows(a=199, c="c")
    assert await page.evaluate("told.length") <= 3
    await page.evaluate("room.publish('set', 'mine', { key: 'd' })")
    await shows(a=199, c="c", d="mine")


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_rendered_page_goes_on_from_its_own_position(visit: Visit, app: Application, transport: str) -> None:
    await app.publish("log/a", *range(1, 6))
    rendered = await app.rt.read("log/a")
    assert [each.data for each in rendered.publications] == [3, 4, 5]
    await app.publish("log/a", 6, 7, 8, 9, 10)
    page = await visit(transport)
    # A loop that goes on beside this test.
    loop = """(position) => void (async () => {
        const room = rt.join("log/a", { position });
        for await (const { data } of room) {
            told.push(data);
            if (data === 12) break;
        }
        told.push(room.history.map(({ data }) => data));
    })()"""
    await page.evaluate(loop, list(rendered.position))
    await eventually(lambda: page.evaluate("told.length === 5"), 20)
    await app.publish("log/a", 11, 12)
    await told(page, *range(6, 13), list(range(6, 13)))
    assert (await page.evaluate("rt.stats"))["gaps"] == 0


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_the_server_asks_and_bytes_arrive_as_bytes(visit: Visit, app: Application, transport: str) -> None:
    page = await visit(transport)
    await page.evaluate("""() => {
        rt.handle("question", (data) => {
            if (data instanceof Uint8Array) return data.map((byte) => byte ^ 255);
            if (data === "wrong") throw new RequestError("No Code", "it is mine");
            throw new RequestError("busy", "not now");
        });
        rt.on("note", (data) => told.push([...data]));
    }""")
    there_and_back = "rt.request('be asked', Uint8Array.of(0, 1, 255)).then((reply) => [...reply])"
    assert await page.evaluate(there_and_back) == [255, 254, 0]
    (client,) = app.node.sessions.values()
    for data, code in (("other", "busy"), ("wrong", "failed")):
        with pytest.raises(RequestError) as refused:
            await client.request("question", data)
        assert refused.value.code == code
    await app.rt.publish(app.rt.session(await page.evaluate("rt.status.session")), "note", b"\x00\xff")
    await told(page, [0, 255])
    stopped = await page.evaluate("""async () => {
        const stop = new AbortController();
        const waiting = rt.request("wait beside", 1, { signal: stop.signal });
        stop.abort(new Error("enough"));
        return outcome(waiting);
    }""")
    assert stopped["message"] == "enough"
    app.gate.set()
    assert await page.evaluate("unhandled") == []


async def test_a_refusal_that_nobody_looks_at_is_on_the_console(visit: Visit) -> None:
    page = await visit()
    warnings: list[str] = []
    page.on("console", lambda message: warnings.append(message.text) if message.type == "warning" else None)
    watched = "rt.join('misspelled/a').joined.catch(() => {}), rt.join('misspelled/b').onLeft(() => {}), 0"
    await page.evaluate(f"{watched}, rt.join('misspelled/c'), rt.request('echo', 1)")
    await eventually(lambda: warnings)
    assert warnings == ["not in misspelled/c: no room is declared that 'misspelled/c' fits"]
