from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from examples.cluster.control import Control

PAGE = {"Host": "127.0.0.1:8000", "X-Control": "press"}


class Buttons:
    def __init__(self) -> None:
        self.pressed: list[str] = []

    async def press(self, what: str, action: str) -> None:
        if what != "node-1":
            raise KeyError(what)
        self.pressed.append(f"{what}/{action}")

    def state(self) -> dict[str, Any]:
        return {"pressed": self.pressed}


@pytest.fixture
def buttons() -> Buttons:
    return Buttons()


@pytest_asyncio.fixture
async def http(buttons: Buttons, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    control = Control(buttons.state, buttons.press)
    await control.start(tmp_path / "control")
    transport = httpx.AsyncHTTPTransport(uds=str(tmp_path / "control"))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as http:
        yield http
    await control.stop()


async def test_the_page_presses_a_button_and_sees_what_came_of_it(http: httpx.AsyncClient, buttons: Buttons) -> None:
    assert (await http.get("/state")).json() == {"pressed": []}
    answer = await http.post("/node-1/kill", headers={**PAGE, "Origin": "http://127.0.0.1:8000"})
    assert (answer.status_code, answer.json()) == (200, {"pressed": ["node-1/kill"]})
    assert buttons.pressed == ["node-1/kill"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "127.0.0.1:8000"},  # a form
        {**PAGE, "Host": "rebound.example:8000"},
        {**PAGE, "Origin": "https://elsewhere.example"},
        {**PAGE, "Origin": "null"},
    ],
)
async def test_nobody_else_presses_any(http: httpx.AsyncClient, buttons: Buttons, headers: dict[str, str]) -> None:
    answer = await http.post("/node-1/kill", headers=headers)
    assert answer.status_code == 403
    assert "error" in answer.json()
    assert buttons.pressed == []


@pytest.mark.parametrize("path", ["/node-9/kill", "/node-1", "/", "/a/b/c"])
async def test_what_there_is_not_is_said(http: httpx.AsyncClient, path: str) -> None:
    assert (await http.post(path, headers=PAGE)).status_code == 404


async def test_a_browser_that_asks_for_another_site_is_told_nothing(http: httpx.AsyncClient) -> None:
    headers = {"Origin": "https://elsewhere.example", "Access-Control-Request-Headers": "x-control"}
    answer = await http.request("OPTIONS", "/node-1/kill", headers=headers)
    assert answer.status_code == 403
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("junk", [b"\r\n\r\n", b"GET\r\n\r\n", b"x" * 40_000])
async def test_what_is_no_request_ends_its_connection_alone(
    http: httpx.AsyncClient, tmp_path: Path, junk: bytes
) -> None:

    reader, writer = await asyncio.open_unix_connection(tmp_path / "control")
    writer.write(junk)
    answer = await reader.read()
    writer.close()
    assert not answer or json.loads(answer.partition(b"\r\n\r\n")[2])["error"]
    assert (await http.get("/state")).status_code == 200
