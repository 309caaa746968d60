from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from quart import Quart

from examples.jobs import counting, jobs
from examples.shared import rt, serve
from multitransport import Invalid, Refused
from multitransport.client import Client, Publication
from multitransport.testing.waiting import eventually


@pytest_asyncio.fixture
async def app(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Quart]:
    """The jobs over two small folders, without pauses; `python` has enough files to ask about."""
    monkeypatch.setattr(jobs, "PACE_SECONDS", 0)
    monkeypatch.setattr(jobs, "MANY_FILES", 30)
    for name, files in (("quart", 10), ("python", 40), ("multitransport", 10)):
        (tmp_path / name / "sub").mkdir(parents=True)
        for n in range(files):
            (tmp_path / name / "sub" / f"f{n}.py").write_text("x = 1\n" * (n + 1) + "\n# note\n", encoding="utf-8")
        monkeypatch.setitem(counting.FOLDERS, name, tmp_path / name)
    app = serve(jobs.pages)
    async with app.test_app():
        yield app
    assert jobs.running == {}


async def story(client: Client, number: int) -> list[Publication]:
    """Everything a job's room says, to its end."""
    told: list[Publication] = []
    async for item in client.join(f"jobs/{number}"):
        assert isinstance(item, Publication)
        told.append(item)
        if item.event in ("finished", "declined", "cancelled"):
            return told
    raise AssertionError("the room ended before the job")


async def test_a_job_tells_its_story_to_its_result(app: Quart) -> None:
    async with rt.test_client(app) as client:
        told = await story(client, await client.request("jobs/start", "quart"))
        assert [told[0].event, told[1].event, told[-1].event] == ["looking", "counting", "finished"]
        done = [publication.data["done"] for publication in told[1:-1]]
        assert done == sorted(set(done))
        assert done[-1] == 10
        assert told[-1].data["lines"] == sum(range(1, 11))
        assert told[-1].data["longest"][0] == ["sub/f9.py", 10]
        # Whoever comes late is told the same.
        async with rt.test_client(app, transport="poll") as late:
            assert [item.data for item in await story(late, told[0].data["number"])] == [item.data for item in told]


@pytest.mark.parametrize(("answer", "end"), [(True, "finished"), (False, "declined")])
async def test_a_big_job_asks_whoever_started_it(app: Quart, answer: bool, end: str) -> None:
    async with rt.test_client(app) as client, rt.test_client(app) as other:
        asked: list[Any] = []

        @client.on("jobs/confirm")
        def confirm(question: Any) -> bool:
            asked.append(question)
            return answer

        other.handle("jobs/confirm", lambda _: not answer)
        told = await story(client, await client.request("jobs/start", "python"))
        assert told[-1].event == end
        assert [question["total"] for question in asked] == [40]


async def test_a_page_that_cannot_be_asked_declines(app: Quart) -> None:
    async with rt.test_client(app) as client:
        told = await story(client, await client.request("jobs/start", "python"))
        assert (told[-1].event, told[-1].data["why"]) == ("declined", "unknown_event")


async def test_a_job_asks_over_a_line_that_is_cut_meanwhile(app: Quart) -> None:
    async with rt.test_client(app, transport="sse") as client:

        async def confirm(question: Any) -> bool:
            await client.cut()
            return True

        client.handle("jobs/confirm", confirm)
        told = await story(client, await client.request("jobs/start", "python"))
        assert told[-1].event == "finished"


async def test_a_job_is_cancelled_once(app: Quart, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "PACE_SECONDS", 5)
    async with rt.test_client(app) as client, rt.test_client(app) as other:
        number = await client.request("jobs/start", "quart")
        await eventually(lambda: jobs.known[number].told["done"] == 1)
        await asyncio.gather(other.send("jobs/cancel", number), client.send("jobs/cancel", number))
        told = await story(other, number)
        assert (told[-1].event, told[-1].data["done"]) == ("cancelled", 1)
        await client.send("jobs/cancel", number)
        await client.send("jobs/cancel", 10**9)
        page = await rt.read(f"jobs/{number}")
        assert [publication.event for publication in page.publications].count("cancelled") == 1


async def test_only_so_many_run_at_once(app: Quart, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "PACE_SECONDS", 5)
    async with rt.test_client(app) as client:
        numbers = [await client.request("jobs/start", "quart") for _ in range(jobs.AT_ONCE)]
        with pytest.raises(Refused) as refused:
            await client.request("jobs/start", "quart")
        assert refused.value.code == "busy"
        assert (await app.test_client().post("/start/quart")).status_code == 503
        await client.send("jobs/cancel", numbers[0])
        assert await client.request("jobs/start", "quart") == numbers[-1] + 1


async def test_the_list_keeps_the_newest_of_the_latest(app: Quart) -> None:
    async with rt.test_client(app) as client:
        listed = await client.join("jobs/list")
        numbers = []
        for _ in range(jobs.KEPT + 3):
            numbers.append(await client.request("jobs/start", "quart"))
            await story(client, numbers[-1])
        await eventually(lambda: sorted(map(int, listed.state)) == numbers[-jobs.KEPT - 1 :])
        await eventually(lambda: {job["state"] for job in listed.state.values()} == {"finished"})
    async with rt.test_client(app) as late:
        with pytest.raises(Refused) as refused:
            await late.join(f"jobs/{numbers[0]}")
        assert refused.value.code == "unknown_job"


async def test_a_shell_starts_a_job_that_asks_nobody(app: Quart) -> None:
    answer = await app.test_client().post("/start/python")
    assert answer.status_code == 202
    found = json.loads(await answer.get_data())
    assert found["watch"].endswith(f"/realtime/rooms/jobs/{found['job']}")
    async with rt.test_client(app) as client:
        assert (await story(client, found["job"]))[-1].event == "finished"
    assert (await app.test_client().post("/start/everything")).status_code == 404


async def test_work_that_is_none_is_refused(app: Quart) -> None:
    async with rt.test_client(app) as client:
        with pytest.raises(Invalid):
            await client.request("jobs/start", "rm")


async def test_nothing_runs_on_after_serving(monkeypatch: pytest.MonkeyPatch) -> None:
    app = serve(jobs.pages)
    async with app.test_app():
        await jobs.begin("python")
        assert len(jobs.running) == 1
    assert jobs.running == {}


def test_lines_without_code_do_not_count(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_bytes(b"import x\n\n   \n# why\n    # why not\nx = 1  # because\n\xff = 2")
    assert counting.count_lines(file) == 3


def test_installed_packages_are_not_part_of_a_folder(tmp_path: Path) -> None:
    for name in ("a.py", "b/c.py", "site-packages/d.py", "b/__pycache__/e.py", "b/f.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [str(file.relative_to(tmp_path)) for file in counting.find(tmp_path)] == ["a.py", "b/c.py"]
