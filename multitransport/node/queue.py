"""A session's jobs, one after another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from multitransport.core.session import State
from multitransport.node.checks import Checks
from multitransport.node.moves import Moves
from multitransport.node.session import Job, Repeat, Session

__all__ = ["Queue"]

_REPEAT_SECONDS = 5.0
"""How long what comes after frames that are lost waits for their client to send those again."""


class Queue:
    """Has a session's jobs done in a task that lives only while there are some, each by ``do``.

    A frame's turn comes when those before it are done, whichever nodes hold them. Each waits only for what is before
    it, so no two nodes wait for each other.
    """

    def __init__(self, moves: Moves, checks: Checks, do: Callable[[Session, Job], Coroutine[Any, Any, None]]) -> None:
        self._moves = moves
        self._checks = checks
        self._do = do

    def submit(self, client: Session, job: Job) -> None:
        """Have the job done after those before it; what is sent again comes before what was claimed after it."""
        if isinstance(job, Repeat):
            client.jobs.insert(_place(client, job), job)
            client.stir()
        else:
            client.jobs.append(job)
        if client.worker is None:
            client.worker = asyncio.get_running_loop().create_task(self._work(client))

    async def _work(self, client: Session) -> None:
        try:
            while client.jobs and client.state is not State.ENDED:
                # It stays where it is until it is done, so that a hello can see what is still to come of earlier ones.
                job = client.jobs[0]
                if client.record.holders and (wait := self._before(client, job)) is not None:
                    await wait
                    continue
                client.begun = True
                try:
                    await self._do(client, job)
                except Exception as error:  # noqa: BLE001 - one job that cannot be done costs those after it nothing
                    self._checks.failure(error, "the server")
                client.begun = False
                if client.jobs and client.jobs[0] is job:
                    del client.jobs[0]
        finally:
            client.worker = None
            client.begun = False

    def _before(self, client: Session, job: Job) -> Coroutine[Any, Any, None] | None:
        """Return what waits for news of what comes before this and is not here; None where its turn has come."""
        seq: int | None = getattr(job, "seq", None)
        held = self._moves.held_elsewhere(client.record, seq)
        own = held.pop(seq, None) if seq is not None else None
        beside = client.record.beside or ()
        lost = max((each for each, holder in held.items() if not holder), default=0)
        if lost <= client.forgone:
            client.lost_since = None
        elif client.lost_since is None:
            client.lost_since = asyncio.get_running_loop().time()
        if own or any(holder for each, holder in held.items() if each not in beside):
            return self._moves.news(client)
        if client.lost_since is not None:
            left = client.lost_since + _REPEAT_SECONDS - asyncio.get_running_loop().time()
            if left > 0:
                return self._moves.news(client, left)
            client.forgone = lost
        return None


def _place(client: Session, repeat: Repeat) -> int:
    """Return where in the queue something that is sent again belongs: before what was claimed after it."""
    for place, job in enumerate(client.jobs):
        if place >= client.begun and (getattr(job, "seq", None) or 0) > repeat.seq:
            return place
    return len(client.jobs)
