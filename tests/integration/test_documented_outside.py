"""What the guide to publishing from outside tells people to write and to type does what it says."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from quart import Quart

from multitransport import MultiTransport, Refuse, Refused, Session, SyncPublisher
from multitransport.testing.waiting import eventually
from tests.integration.test_documented_code import ROOT, code, module
from tests.redis_server import RedisServer

PAGE = "docs/howto/publish-from-outside.md"


class Celery:
    """As much of Celery's as the page uses: a task is its function, bound to what is known of its request."""

    def __init__(self, name: str, broker: str) -> None:
        self.request = SimpleNamespace(id="task-1")

    def task(
        self, *, bind: bool, autoretry_for: tuple[type[Exception], ...], retry_backoff: bool
    ) -> Callable[..., Any]:
        return lambda function: lambda *arguments: function(self, *arguments)


def application(url: str) -> tuple[Quart, MultiTransport]:
    app = Quart("app")
    app.secret_key = "a secret of the test"
    rt = MultiTransport(app, broker=url)

    @rt.on_connect
    async def connect(client: Session, auth: Any) -> None:
        client.user_id = auth

    @rt.room("news")
    async def read(client: Session) -> None: ...

    @rt.room("prices", mode="state")
    async def look(client: Session) -> None: ...

    @rt.room("team/<id>", presence=True)
    async def enter(client: Session, id: str) -> None: ...

    return app, rt


def shell() -> list[str]:
    """Return the command lines of the page, each whole."""
    text = (ROOT / PAGE).read_text(encoding="utf-8")
    blocks = re.findall(r"(?:^    .*\n)+", text, flags=re.MULTILINE)
    return [line.strip() for block in blocks for line in block.splitlines() if "multitransport " in line]


async def typed(line: str, url: str) -> tuple[int, str, str]:
    """Have a shell run a line, until it ends or, where it goes on until Ctrl-C, until it wrote a line."""
    endless = line.startswith("multitransport tail")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", f"exec {line}" if endless else f"import-prices() {{ true; }}\n{line}"),
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "MULTITRANSPORT_BROKER": url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    async with asyncio.timeout(30):
        said = await process.stdout.readline()
        if endless:
            process.send_signal(signal.SIGINT)
        rest, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, (said if endless else said + rest).decode(), err.decode()


async def test_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    in_task, in_app, in_script, in_loop = code(PAGE)
    async with RedisServer() as redis:
        app, rt = application(redis.url)
        monkeypatch.setenv("MULTITRANSPORT_BROKER", redis.url)
        monkeypatch.setenv("CELERY_BROKER", redis.url)
        monkeypatch.setitem(sys.modules, "celery", _module("celery", Celery=Celery))
        monkeypatch.setitem(sys.modules, "app", _module("app", app=app, rt=rt))
        module("rooms", in_app, monkeypatch)
        async with app.test_app(), rt.test_client(auth="ann") as client:
            room = await client.join("exports/ann")
            with pytest.raises(Refused):
                await client.join("exports/bob")
            task = module("tasks", in_task, monkeypatch)
            await eventually(lambda: _known(task.publisher))
            for _ in range(2):  # as Celery does after a fault
                await asyncio.to_thread(task.export, "ann", 1)
            told = [(each.event, each.data) for each in [await anext(room) for _ in range(3)]]  # type: ignore[union-attr]
            progress = ("progress", {"done": 1, "of": 1})
            assert told == [progress, ("ready", {"pages": 1}), progress]

            await asyncio.to_thread(module("script", in_script, monkeypatch).announce, {"tea": 4.2})
            await module("program", in_loop, monkeypatch).announce_later({"milk": 1.1})
            assert (await rt.read("prices")).state == {"tea": 4.2, "milk": 1.1}
            await asyncio.to_thread(task.publisher.close)


@pytest.mark.faults
async def test_the_command_lines() -> None:
    async with RedisServer() as redis:
        app, rt = application(redis.url)
        async with app.test_app():
            with SyncPublisher(redis.url) as publisher:
                await eventually(lambda: _known(publisher))
            lines = shell()
            assert len(lines) == 7
            for line in lines:
                crontab = line.removeprefix("0 * * * *").replace("\\%", "%").strip()
                status, out, err = await typed(crontab, redis.url)
                assert (status, err) == (130 if "tail" in line else 0, ""), line
                assert out.count("\n") == 1, line
            page = await rt.read("news", 10)
            assert [each.data for each in page.publications][::2] == [
                {"text": "The site goes down at six"},
                "New prices",
            ]
            assert (await rt.read("prices")).state == {"tea": 4.2}


def _module(name: str, **names: Any) -> ModuleType:
    made = ModuleType(name)
    made.__dict__.update(names)
    return made


async def _known(publisher: SyncPublisher) -> bool:
    """Whether the application has said what it declares."""
    try:
        await asyncio.to_thread(publisher.publish, "prices", "price", key="nothing", deleted=True)
    except Refuse:
        return False
    return True
