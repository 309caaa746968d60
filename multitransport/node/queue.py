"""A session's jobs, one after another."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Coroutine
from typing import Any

from multitransport.core.session import State
from multitransport.errors import BrokerUnavailable
from multitransport.node.checks import Checks
from multitransport.node.moves import Moves
from multitransport.node.session import Job, Session
from multitransport.protocol.frames import Bye

__all__ = ["Queue"]

logger = logging.getLogger("multitransport")

_REPEAT_SECONDS = 15.0
"""How long what comes after frames that are lost waits for their client to send those again. Where a ``send`` of
it is swallowed with the line it sends that anew in less.
"""


class Queue:
    """Has a session's jobs done in a task that lives only while there are some, each by ``do``. ``give_up`` concludes
    frames that are lost.

    A frame's turn comes when those before it are done, whichever nodes hold them. Each waits only for what is before
    it, so no two nodes wait for each other.
    """

    def __init__(
        self,
        moves: Moves,
        checks: Checks,
        do: Callable[[Session, Job], Coroutine[Any, Any, None]],
        give_up: Callable[[Session, list[int]], Coroutine[Any, Any, None]],
    ) -> None:
        self._moves = moves
        self._checks = checks
        self._do = do
        self._give_up = give_up

    def submit(self, client: Session, job: Job) -> None:
        """Have the job done after those before it."""
        client.jobs.append(job)
        self._have_work_done(client)

    def submit_again(self, client: Session, job: Job, seq: int) -> None:
        """Have what is sent again done before what was claimed after it."""
        client.jobs.insert(_place(client, seq), job)
        client.stir()
        self._have_work_done(client)

    def _have_work_done(self, client: Session) -> None:
        if client.worker is None:
            client.worker = asyncio.get_running_loop().create_task(self._work(client))

    async def _work(self, client: Session) -> None:
        try:
            while client.jobs and client.state is not State.ENDED:
                if client.giving is not None and not client.giving.done():
                    await asyncio.wait({client.giving})
                    continue
                # It stays where it is until it is done, so that a hello can see what is still to come of earlier ones.
                job = client.jobs[0]
                if client.record.holders and (wait := self._before(client, job)) is not None:
                    await wait
                    continue
                client.doing = job
                try:
                    await self._do(client, job)
                except Exception as error:  # noqa: BLE001 - one job that cannot be done costs those after it nothing
                    self._checks.failure(error, "the server")
                    client.in_hand -= {getattr(job, "seq", None)}
                client.doing = None
                if client.jobs and client.jobs[0] is job:
                    del client.jobs[0]
        finally:
            client.worker = client.doing = client.lost = None

    def _before(self, client: Session, job: Job) -> Coroutine[Any, Any, None] | None:
        """Return what waits for news of what comes before this and is not here; None where its turn has come."""
        seq: int | None = getattr(job, "seq", None)
        held = self._moves.not_in_hand(client, seq)
        own = held.pop(seq, None) if seq is not None else None
        for each in () if isinstance(job, Bye) else client.record.beside or ():
            held.pop(each, None)
        busy = [each for each, holder in held.items() if holder]
        lost = [each for each, holder in held.items() if not holder]
        now = asyncio.get_running_loop().time()
        if not lost:
            client.lost = None
        elif client.lost is None or client.lost[0] != (min(lost), max(lost)) or min(busy, default=math.inf) < min(lost):
            client.lost = (min(lost), max(lost)), now  # only now its turn has come, or more is lost
        if own or busy:
            return self._moves.news(client)
        if client.lost is None:
            return None
        left = client.lost[1] + _REPEAT_SECONDS - now
        return self._moves.news(client, left) if left > 0 else self._forgo(client, lost)

    async def _forgo(self, client: Session, lost: list[int]) -> None:
        """Wait no more for the client to send again what is lost: nothing is begun after what follows it."""
        try:
            await self._moves.settle(client)  # it may have done so, elsewhere
            await self._give_up(client, lost)
        except BrokerUnavailable as error:
            logger.debug("%s waits on for what is lost: %s", client.session_id, error)
        except Exception as error:  # noqa: BLE001 - what waits in the queue goes on all the same
            self._checks.failure(error, "the server")
        client.lost = None  # what could not be given up is waited for once more


def _place(client: Session, seq: int) -> int:
    """Return where in the queue something that is sent again belongs: before all that was claimed, or asked for, after
    it.
    """
    for place, job in enumerate(client.jobs):
        if job is not client.doing and getattr(job, "seq", math.inf) > seq:
            return place
    return len(client.jobs)
