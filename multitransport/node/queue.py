"""A session's jobs, one after another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from multitransport.core.inbox import Inbox
from multitransport.core.session import State
from multitransport.node.checks import Checks
from multitransport.node.moves import Moves
from multitransport.node.session import Job, Repeat, Session

__all__ = ["Queue"]

_REPEAT_SECONDS = 5.0
"""How long what comes after frames that are lost waits for their client to send those again."""


class Queue:
    """Has a session's jobs done in a task that lives only while there are some, each by ``do``.

    What other nodes had claimed before comes first: they are waited for, and where they are gone, so is the client,
    which sends that again.
    """

    def __init__(self, moves: Moves, checks: Checks, do: Callable[[Session, Job], Coroutine[Any, Any, None]]) -> None:
        self._moves = moves
        self._checks = checks
        self._do = do

    def submit(self, client: Session, job: Job) -> None:
        """Have the job done after those before it; what is sent again comes before what was claimed after it."""
        if isinstance(job, Repeat):
            client.jobs.insert(_place(client, job), job)
            if client.repeated is not None:
                client.repeated.set()
        else:
            client.jobs.append(job)
        if client.worker is None:
            client.worker = asyncio.get_running_loop().create_task(self._work(client))

    async def _work(self, client: Session) -> None:
        try:
            while client.jobs and client.state is not State.ENDED:
                # It stays where it is until it is done, so that a hello can see what is still to come of earlier ones.
                job = client.jobs[0]
                try:
                    if client.record.busy:
                        await self._moves.settled(client, partial(_comes_after_others, client, job))
                    if client.inherited > client.forgone and _comes_after_lost(client, job):
                        await self._repeated(client)
                        continue
                    await self._do(client, job)
                except Exception as error:  # noqa: BLE001 - one job that cannot be done costs those after it nothing
                    self._checks.failure(error, "the server")
                if client.jobs and client.jobs[0] is job:
                    del client.jobs[0]
        finally:
            client.worker = None

    async def _repeated(self, client: Session) -> None:
        """Wait until the client has sent something again, or not any more."""
        client.repeated = asyncio.Event()
        try:
            async with asyncio.timeout(_REPEAT_SECONDS):
                await client.repeated.wait()
        except TimeoutError:
            client.forgone = client.inherited
        finally:
            client.repeated = None


def _place(client: Session, repeat: Repeat) -> int:
    """Return where in the queue something that is sent again belongs: before what was claimed after it."""
    begun = 0 if client.repeated is not None else 1
    for place, job in enumerate(client.jobs):
        if place >= begun and (getattr(job, "seq", None) or 0) > repeat.seq:
            return place
    return len(client.jobs)


def _comes_after_others(client: Session, job: Job, inbox: Inbox) -> bool:
    """Tell whether anything comes before this that other nodes may be busy with: they may also have what comes after
    what was claimed here, when the session was here earlier.
    """
    if isinstance(job, Repeat):
        return not inbox.is_done(job.seq)
    seq = getattr(job, "seq", None)
    return seq is None or client.is_undone_elsewhere(inbox, min(seq - 1, client.inherited))


def _comes_after_lost(client: Session, job: Job) -> bool:
    """Tell whether frames come before this that a node had claimed which is gone: only their client has them."""
    seq = getattr(job, "seq", None)
    if seq is None or seq <= client.inherited:
        return False
    return client.is_undone_elsewhere(client.record.inbox, client.inherited)
