"""The code that the README and the tutorial tell people to write does what they say."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
from quart import Quart

from multitransport import MultiTransport, Refused
from multitransport.client import Publication

ROOT = Path(__file__).resolve().parents[2]


def code(page: str) -> list[str]:
    """Return the Python blocks of a page."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def module(name: str, source: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Import a source text as a module of this name, for the duration of a test."""
    made = ModuleType(name)
    monkeypatch.setitem(sys.modules, name, made)
    exec(compile(source, f"<{name}>", "exec", dont_inherit=True), made.__dict__)
    return made


def parts(made: ModuleType) -> tuple[Quart, MultiTransport]:
    """Return what an application of the documentation consists of."""
    app, rt = made.app, made.rt
    assert isinstance(app, Quart)
    assert isinstance(rt, MultiTransport)
    return app, rt


async def test_readme(monkeypatch: pytest.MonkeyPatch) -> None:
    app_py, test_py = code("README.md")
    app, _ = parts(module("app", app_py, monkeypatch))
    await module("test_app", test_py, monkeypatch).test_what_is_said_is_heard()
    async with app.test_app():
        page = await app.test_client().get("/")
        client_js = await app.test_client().get("/realtime/client.js")
    assert b"/realtime/client.js" in await page.get_data(as_text=False)
    assert client_js.status_code == 200


async def test_tutorial(monkeypatch: pytest.MonkeyPatch) -> None:
    app, rt = parts(module("app", "\n".join(code("docs/tutorial/first-page.md")), monkeypatch))
    app.secret_key = "a secret of the test"
    async with app.test_app(), rt.test_client() as client:
        room = await client.join("chat/hall")
        await client.request("say", {"room": "hall", "text": "hello"})
        publication = await anext(room)
        assert isinstance(publication, Publication)
        assert (publication.event, publication.data) == ("said", "hello")
        with pytest.raises(Refused, match="staff_only"):
            await client.join("staff/kitchen")
