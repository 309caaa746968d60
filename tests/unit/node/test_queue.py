"""When the turn of a session's jobs comes while other nodes hold what is before them, or nobody does."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

from multitransport.brokers.base import Reclaimed
from multitransport.core.session import SessionRecord
from multitransport.errors import BrokerUnavailable
from multitransport.node.attachment import Attachment
from multitransport.node.session import Job, JoinRequest, Repeat, Session
from multitransport.protocol.frames import Bye, JoinOptions
from tests.simulated import simulated, simulated_loop
from tests.unit.node.site import Site, of_kind

ELSEWHERE, LOST, UNBEGUN = "another node", "", None


class Held:
    """A session that has come here while its first frames were held elsewhere."""

    def __init__(self) -> None:
        self.site = Site(ping_seconds=3600.0)
        self.attachment: Attachment
        self.ran: list[Any] = []
        self.site.declared.on("note")(self.note)
        self.site.declared.on("beside", concurrent=True)(self.note)

        @self.site.declared.room("hall")
        async def join_hall(client: Session) -> None:
            await self.note(client, "hall")

    async def note(self, client: Session, data: Any) -> None:
        self.ran.append(data)

    async def begin(self, *holders: str | None, beside: int = 0) -> tuple[Session, float]:
        """Attach, with frames that are held by these; return the session, and the time."""
        self.site.node._store.node = "this node"  # type: ignore[misc]
        self.attachment = await self.site.attach()
        await self.site.say(self.attachment, ["ping", 1])  # else it would have to come back before long
        client = self.site.client(self.attachment)
        record = client.record
        record.node = self.site.node._store.node
        record.inbox.claim(list(range(1, len(holders) + 1)), 64)
        record.holders = dict(enumerate(holders, 1))
        record.beside = {beside}
        return client, simulated_loop().time()

    async def send(self, seq: int, event: str = "note") -> None:
        await self.site.say(self.attachment, ["send", seq, event, seq])

    async def at(self, moment: float) -> None:
        """Return at that time, when all that happens then has happened."""
        await asyncio.sleep(moment - simulated_loop().time())
        await simulated_loop().settle()

    def gives_up(self) -> None:
        """The store lets this node hold what is lost."""

        async def reclaim(session_id: str, seqs: Collection[int], *, moved: bool = False) -> dict[int, Reclaimed]:
            client = self.site.client(self.attachment)
            found = {seq: "unbegun" if client.record.holders[seq] is None else "lost" for seq in seqs}  # type: ignore[index]
            client.record.holders |= dict.fromkeys(seqs, "this node")  # type: ignore[operator]
            return found  # type: ignore[return-value]

        self.site.node._store.reclaim = reclaim  # type: ignore[method-assign]

    def hears(self, client: Session, **holders: str | None) -> None:
        """The store has said who holds what."""
        client.record.holders = {int(seq[1:]): holder for seq, holder in holders.items()}
        client.stir()


@simulated
async def test_what_follows_lost_frames_waits_for_them_for_a_while() -> None:
    held = Held()
    async with held.site:
        held.gives_up()
        _, began = await held.begin(LOST, UNBEGUN)
        await held.send(3)
        await held.at(began + 14.9)
        assert held.ran == []
        await held.at(began + 16)
        assert held.ran == [3]
        errors = of_kind(held.site.take(held.attachment), "error")
        assert [(seq, code) for seq, code, _ in errors] == [(1, "outcome_unknown"), (2, "outcome_unknown")]
        await held.send(1)
        await held.at(began + 100)
        assert held.ran == [3], "the first comes too late"


@simulated
async def test_what_cannot_be_given_up_is_waited_for_once_more() -> None:
    held = Held()
    async with held.site as site:
        client, began = await held.begin(LOST)

        async def reclaim(session_id: str, seqs: Collection[int], *, moved: bool = False) -> dict[int, Reclaimed]:
            raise BrokerUnavailable("Redis is away")

        site.node._store.reclaim = reclaim  # type: ignore[method-assign]
        await held.send(2)
        await held.at(began + 20)
        assert held.ran == []
        held.gives_up()
        await held.at(began + 29.9)
        assert held.ran == []
        await held.at(began + 31)
        assert held.ran == [2]
        assert client.record.inbox.processed == 2


@simulated
async def test_what_was_given_up_and_could_not_be_recorded_is_given_up_once_more() -> None:
    held = Held()
    async with held.site as site:
        held.gives_up()
        client, began = await held.begin(LOST, LOST)
        store = site.node._store
        commit, failures = store.commit, iter([BrokerUnavailable("Redis refused it")])

        async def refused_once(session_id: str, seq: int, outcome: Any, max_bytes: int) -> bool:
            for failure in failures:
                raise failure
            return await commit(session_id, seq, outcome, max_bytes)

        async def give_back(session_id: str, seqs: Collection[int], *, begun: bool = False) -> None:
            held.hears(client, **{f"_{seq}": LOST if begun else UNBEGUN for seq in seqs})

        store.commit, store.give_back = refused_once, give_back  # type: ignore[method-assign]
        await held.send(3)
        await held.at(began + 29)
        assert held.ran == []
        await held.at(began + 31)
        assert (held.ran, client.in_hand) == ([3], frozenset())
        errors = of_kind(held.site.take(held.attachment), "error")
        assert [(seq, code) for seq, code, _ in errors] == [(1, "outcome_unknown"), (2, "outcome_unknown")]


@simulated
async def test_what_is_lost_later_is_waited_for_as_long() -> None:
    held = Held()
    async with held.site:
        held.gives_up()
        client, began = await held.begin(LOST, ELSEWHERE)
        await held.send(3)
        await held.at(began + 4)
        held.hears(client, _1=LOST, _2=LOST)
        await held.at(began + 18.9)
        assert held.ran == []
        await held.at(began + 19.1)
        assert held.ran == [3]


@simulated
async def test_the_time_a_former_job_has_waited_does_not_count() -> None:
    held = Held()
    async with held.site:
        held.gives_up()
        client, began = await held.begin(LOST)
        held.site.node._dispatch.submit(client, JoinRequest("hall", JoinOptions()))
        await held.at(began + 1)
        client.drop_jobs()  # another hello does not name it
        await held.at(began + 60)
        assert client.worker is None
        await held.send(2)
        await held.at(began + 74.9)
        assert held.ran == []
        await held.at(began + 76)
        assert held.ran == [2]


@simulated
async def test_what_runs_elsewhere_by_now_is_waited_for_however_long_it_was_lost() -> None:
    held = Held()
    async with held.site as site:
        client, began = await held.begin(LOST)
        settle = site.node._store.settle

        async def settled(session_id: str, gone: Collection[str] = ()) -> SessionRecord | None:
            held.hears(client, _1=ELSEWHERE)
            return await settle(session_id, gone)

        site.node._store.settle = settled  # type: ignore[method-assign]
        await held.send(2)
        await held.at(began + 3600)
        assert held.ran == []
        client.record.inbox.commit(1, None, 0)
        held.hears(client)
        await held.at(began + 3601)
        assert held.ran == [2]


@simulated
async def test_nothing_but_bye_waits_for_what_is_concurrent() -> None:
    held = Held()
    async with held.site as site:
        client, began = await held.begin(ELSEWHERE, beside=1)
        await held.send(2)
        assert held.ran == [2]
        site.node._dispatch.submit(client, Bye())
        await held.at(began + 60)
        assert (site.ended, client.worker is None) == ([], False)
        client.record.inbox.commit(1, None, 0)
        held.hears(client)
        await simulated_loop().settle()
        assert site.ended == [(client.session_id, "bye")]


@simulated
async def test_what_is_concurrent_and_sent_again_stands_before_nothing_and_waits_once() -> None:
    held = Held()
    async with held.site:
        client, _ = await held.begin(ELSEWHERE, beside=1)
        for _ in range(3):
            await held.send(1, "beside")
        assert (client.jobs, client.repeating, len(client.tasks or ())) == ([], frozenset({1}), 1)
        await held.send(2)
        assert held.ran == [2]
        client.record.inbox.commit(1, b'["reply",1,"x"]', 100)
        held.hears(client)
        await simulated_loop().settle()
        assert of_kind(held.site.take(held.attachment), "reply") == [[1, "x"]]
        assert (client.repeating, client.tasks) == (frozenset(), set())


@simulated
async def test_what_is_sent_again_stands_before_what_has_no_number() -> None:
    held = Held()
    async with held.site as site:
        client, _ = await held.begin(LOST, LOST)
        jobs: list[Job] = [JoinRequest("hall", JoinOptions()), Bye(), Repeat(Bye(), 2), Repeat(Bye(), 1)]
        for job in jobs:
            if isinstance(job, Repeat):
                site.node._dispatch._queue.submit_again(client, job, job.seq)
            else:
                site.node._dispatch.submit(client, job)
        assert client.jobs == [*jobs[:1:-1], *jobs[:2]]
        client.drop_jobs()


@simulated
async def test_what_follows_a_join_that_a_hello_has_called_off_while_it_is_checked_is_not_begun() -> None:
    site, gate = Site(), asyncio.Event()

    @site.declared.room("slow")
    async def join_slow(client: Session) -> None:
        await gate.wait()

    async with site:
        one = await site.attach(rooms={"slow": {}})
        token = (await site.welcomed(one))["token"]
        await site.say(one, ["send", 1, "note", None])
        await site.attach(2, token=token)
        client = site.client(one)
        assert [getattr(job, "seq", None) for job in client.drop_jobs()] == [1]
        gate.set()


@simulated
async def test_what_is_lost_and_the_client_has_is_acknowledged_with_all_that_follows() -> None:
    held = Held()
    async with held.site as site:

        async def reclaim(session_id: str, seqs: Collection[int], *, moved: bool = False) -> dict[int, Reclaimed]:
            return dict.fromkeys(seqs, "lost")

        site.node._store.reclaim = reclaim  # type: ignore[method-assign]
        client, _ = await held.begin(LOST, ELSEWHERE)
        client.record.inbox.commit(2, None, 0)
        token = (await site.welcomed(held.attachment))["token"]
        again = await site.attach(2, token=token, acked=1)
        await simulated_loop().settle()
        frames = site.take(again)
        assert (of_kind(frames, "welcome")[0][0]["seq"], of_kind(frames, "ack")[-1]) == (2, [2])


@simulated
async def test_what_is_lost_and_the_client_had_before_it_could_acknowledge_it_is_not_waited_for() -> None:
    held = Held()
    async with held.site as site:
        held.gives_up()
        client, _ = await held.begin(ELSEWHERE, LOST)
        token = (await site.welcomed(held.attachment))["token"]
        again = await site.attach(2, "poll", token=token, had=[2])
        await simulated_loop().settle()
        assert of_kind(site.take(again), "welcome")[0][0]["seq"] == 2
        assert client.record.inbox.is_done(2)
