"""Long work: started by a request, watched live by whoever likes, cancelled, and able to ask back."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator
from typing import Any, Literal, get_args

from quart import Blueprint, abort, render_template, request

from examples.jobs.counting import FOLDERS, count_lines, find
from examples.shared import rt
from multitransport import Namespace, Refuse, RequestError, Session

LIST = "jobs/list"
AT_ONCE = 4
KEPT = 12
# From here on a job asks whether it may.
MANY_FILES = 200
CONFIRM_SECONDS = 60.0
# The work is real but short: without a pause after each file there would be nothing to see.
PACE_SECONDS = 0.01

jobs = Namespace("jobs")
pages = Blueprint("jobs", __name__, static_folder="static", static_url_path="/static", template_folder="templates")

Work = Literal["multitransport", "quart", "python"]


class Job:
    """Counts the lines of a folder's Python files. `client` is who is asked where there is something to ask."""

    def __init__(self, number: int, work: Work, client: Session | None) -> None:
        self.number = number
        self.work = work
        self.client = client
        self.told: dict[str, Any] = {"number": number, "work": work, "done": 0, "total": 0, "lines": 0}

    async def tell(self, event: str, **news: Any) -> None:
        """Say how things stand to the job's own room, which keeps the story, and to the list, which keeps its end."""
        self.told.update(news, state=event)
        await rt.publish(f"jobs/{self.number}", event, self.told)
        await rt.publish(LIST, "job", self.told, key=str(self.number))

    async def run(self) -> None:
        """Do the work, from the first file to the result."""
        await self.tell("looking")
        files = await asyncio.to_thread(find, FOLDERS[self.work])
        if len(files) >= MANY_FILES and not await self.confirm(len(files)):
            return
        counted: dict[str, int] = {}
        for done, file in enumerate(files, 1):
            counted[str(file.relative_to(FOLDERS[self.work]))] = await asyncio.to_thread(count_lines, file)
            # A hundred publications tell the story as well as a thousand.
            if done * 100 // len(files) > (done - 1) * 100 // len(files):
                await self.tell("counting", done=done, total=len(files), lines=sum(counted.values()), file=file.name)
            await asyncio.sleep(PACE_SECONDS)
        longest = sorted(counted.items(), key=lambda item: -item[1])[:5]
        await self.tell("finished", longest=longest)

    async def confirm(self, files: int) -> bool:
        """Ask whoever started the job whether it may go on; a shell that started it is not asked."""
        if self.client is None:
            return True
        await self.tell("asking", total=files)
        try:
            if await self.client.request("jobs/confirm", self.told, timeout=CONFIRM_SECONDS):
                return True
            await self.tell("declined")
        except RequestError as error:
            await self.tell("declined", why=error.code)
        return False


known: dict[int, Job] = {}
running: dict[int, asyncio.Task[None]] = {}
numbers = itertools.count(1)


async def begin(work: Work, client: Session | None = None) -> int:
    """Start a job in a task that outlives the request, and return its number. Raises Refuse."""
    if len(running) >= AT_ONCE:
        raise Refuse("busy", f"{AT_ONCE} jobs are running: wait for one, or cancel it")
    job = Job(next(numbers), work, client)
    known[job.number] = job
    task = running[job.number] = asyncio.create_task(job.run())
    task.add_done_callback(lambda _: running.pop(job.number, None))
    for number in [number for number in known if number not in running][:-KEPT]:
        del known[number]
        await rt.publish(LIST, "job", None, key=str(number), deleted=True)
    return job.number


@jobs.room("list", mode="state", max_keys=50, presence=True)
async def watch_list(client: Session) -> None:
    """Anybody may see what runs and what ran: the newest of each job."""


@jobs.room("<int:number>", history=200, retention_seconds=3600)
async def watch(client: Session, number: int) -> None:
    """Anybody may watch a job, from its first word on."""
    if number not in known:
        raise Refuse("unknown_job", f"there is no job {number}")


@jobs.on("start")
async def start(client: Session, work: Work) -> int:
    """Start a job that may ask this client."""
    return await begin(work, client)


@jobs.on("cancel")
async def cancel(client: Session, number: int) -> None:
    """Cancel a job. One that has ended stays as it is."""
    task = running.pop(number, None)
    if task is not None and task.cancel():
        await asyncio.wait([task])
        if task.cancelled():
            await known[number].tell("cancelled")


rt.register(jobs)


@pages.while_app_serving
async def leave_nothing_running() -> AsyncGenerator[None]:
    """Cancel what still runs when serving ends."""
    try:
        yield
    finally:
        tasks = list(running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pages.post("/start/<work>")
async def start_from_a_shell(work: Work) -> tuple[dict[str, Any], int]:
    """Start a job that asks nobody, for curl."""
    if work not in get_args(Work):
        abort(404)
    try:
        number = await begin(work)
    except Refuse as error:
        return {"error": error.message}, 503
    return {"job": number, "watch": f"curl -N {request.host_url}realtime/rooms/jobs/{number}"}, 202


@pages.get("/")
async def show() -> str:
    """The page."""
    return await render_template("jobs.html")
