"""What the guides to logins and to tests tell people to write does what they say."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from multitransport import ConnectionClosed, Refused
from multitransport.testing.waiting import eventually
from tests.integration.test_documented_code import code, module, parts

LOGINS = "docs/howto/authenticate.md"


async def test_who_is_logged_in_may_do_more(monkeypatch: pytest.MonkeyPatch) -> None:
    who, _, rooms, handler = code(LOGINS)
    app, rt = parts(module("app", f"{who}\n{rooms}\n{handler}", monkeypatch))
    async with app.test_app():
        browser = app.test_client()
        async with rt.test_client(cookies=browser) as stranger:
            for room, said in (("accounts/ann", "refused"), ("staff/kitchen", "staff_only")):
                with pytest.raises(Refused, match=said):
                    await stranger.join(room)
            with pytest.raises(Refused, match="login_first"):
                await stranger.request("transfer", 5)
        await browser.post("/login", form={"name": "ann"})
        async with rt.test_client(cookies=browser) as ann:
            kitchen = await ann.join("staff/kitchen")
            await ann.join("accounts/ann")
            assert await ann.request("transfer", 5) == "5 from ann"
            await rt.leave("staff/kitchen", user="ann")
            with pytest.raises(Refused, match="removed"):
                await anext(kitchen)
            await browser.post("/logout")
            await eventually(lambda: ann.status == "closed")
            with pytest.raises(ConnectionClosed, match="You have logged out"):
                await ann.request("transfer", 5)


async def test_a_token_says_who_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    who, by_token, *_ = code(LOGINS)
    made = module("app", f"{who.partition('@rt.on_connect')[0]}\n{by_token}", monkeypatch)
    made.__dict__["user_of"] = lambda token: asyncio.sleep(0, {"good": "ann"}.get(token))
    app, rt = parts(made)
    seen: list[Any] = []
    rt.on("look")(lambda client, data=None: seen.append(client.user_id))
    async with app.test_app():
        async with rt.test_client(auth={"token": "good"}) as ann:
            await ann.request("look")
        assert seen == ["ann"]
        for wrong in ({"token": "bad"}, None):
            with pytest.raises(Refused, match="bad_token"):
                async with rt.test_client(auth=wrong):
                    pass


async def test_the_tests_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    app, *tests = code("docs/howto/test.md")
    module("app", app, monkeypatch)
    passed = 0
    for number, source in enumerate(tests):
        made = module(f"test_{number}", source, monkeypatch)
        for test in [function for name, function in vars(made).items() if name.startswith("test_")]:
            marks = [mark.args for mark in getattr(test, "pytestmark", ())]
            for given in [{name: value} for name, values in marks for value in values] or [{}]:
                await test(**given)
                passed += 1
    assert passed == 8
