"""The guarantees of delivery, held against a network that cuts, loses, delays, repeats and reorders.

The real client session talks to the real node through its real transports; only the bytes between them and the clock
are the test's. ``program`` is the model.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Coroutine, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from multitransport.brokers.memory import MemorySessionStore
from multitransport.client.events import Closed
from tests.property.complaints import COMPLAINTS
from tests.property.line import Line
from tests.property.program import Program
from tests.property.record import KEPT, ROOMS, STATE, TEAM
from tests.property.settled import settled
from tests.property.wire import Wire
from tests.property.world import World
from tests.simulated import SimulatedLoop

GIVEN_UP = Closed(0, "given up")
KINDS = st.sampled_from(["websocket", "sse", "poll"])
EVENTS = st.sampled_from(["echo", "quiet", "refuse", "fail", "big", "slow"])
ROOM = st.sampled_from(ROOMS)
RATES = st.sampled_from([None, 2.0, 10.0])
PICK = st.integers(0, 1000)
WHO = st.integers(0, 1)
EXCLUDE = st.sampled_from([None, None, None, 0, 1])


class Delivery(RuleBasedStateMachine):
    """Two programs, one server, and what lies between them."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = SimulatedLoop()
        self.numbers = itertools.count(1)
        self.started = False

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    @initialize(
        users=st.sampled_from([[None, None], ["ann", "ann"], ["ann", "bob"]]),
        kinds=st.tuples(KINDS, KINDS),
        rooms=st.tuples(st.sets(ROOM), st.sets(ROOM)),
        turns=st.integers(0, 5),
        polite=st.booleans(),
    )
    def begin(
        self,
        users: list[str | None],
        kinds: tuple[str, str],
        rooms: tuple[set[str], set[str]],
        turns: int,
        polite: bool,
    ) -> None:
        self.polite = polite
        self.run(self.make(users))
        for program, kind, wanted in zip(self.programs, kinds, rooms, strict=True):
            for room in sorted(wanted):
                program.join(room)
            self.network.open(program, kind)
        self.run(self.carry_everything(turns))

    async def make(self, users: list[str | None]) -> None:
        self.world = World(users)
        self.network = self.world.network
        self.programs = self.world.programs
        await self.world.start()
        self.started = True

    # The programs

    @rule(who=WHO, event=EVENTS)
    def request(self, who: int, event: str) -> None:
        if len(self.programs[who].outcomes.open) < 40:
            self.programs[who].request(event)

    @rule(who=WHO, room=ROOM, back=st.booleans(), rate=RATES)
    def join(self, who: int, room: str, back: bool, rate: float | None) -> None:
        if room not in self.programs[who].wanted:
            self.programs[who].join(room, back=back, rate=rate)

    @precondition(lambda self: self.memberships())
    @rule(pick=PICK)
    def leave(self, pick: int) -> None:
        program, room = self.pick(self.memberships(), pick)
        program.leave(room)

    @precondition(lambda self: self.memberships(*KEPT, STATE))
    @rule(pick=PICK)
    def publish_as_client(self, pick: int) -> None:
        program, room = self.pick(self.memberships(*KEPT, STATE), pick)
        program.publish(room)

    @precondition(lambda self: self.memberships(STATE))
    @rule(pick=PICK, rate=RATES)
    def set_rate(self, pick: int, rate: float | None) -> None:
        self.pick(self.memberships(STATE), pick)[0].set_rate(rate)

    @precondition(lambda self: self.memberships(TEAM))
    @rule(pick=PICK, meta=st.integers(1, 3))
    def show(self, pick: int, meta: int) -> None:
        self.pick(self.memberships(TEAM), pick)[0].show(meta)

    @precondition(lambda self: any(program.asks for program in self.programs))
    @rule(pick=PICK, refuse=st.booleans())
    def answer(self, pick: int, refuse: bool) -> None:
        self.pick([program for program in self.programs if program.asks], pick).answer(pick, refuse=refuse)

    # The server

    @rule(room=ROOM, count=st.integers(1, 3), times=st.integers(1, 8), turns=st.integers(0, 4), exclude=EXCLUDE)
    def publish(self, room: str, count: int, times: int, turns: int, exclude: int | None) -> None:
        """Nothing is carried in between, so that a room that keeps a few runs ahead of its readers."""

        async def publish() -> None:
            for _ in range(times):
                for _ in range(count):
                    number = -next(self.numbers)
                    key = f"k{number % 4}" if room == STATE else None
                    deleted = room == STATE and number % 3 == 0
                    session = self.session_id(exclude)
                    await self.world.publish(room, number, key=key, deleted=deleted, exclude=session)
                await self.loop.settle()

        self.run(publish())
        self.run(self.carry_everything(turns))

    @rule(room=ROOM, exclude=EXCLUDE)
    def flash(self, room: str, exclude: int | None) -> None:
        self.run(self.world.flash(room, -next(self.numbers), self.session_id(exclude)))

    @rule(who=WHO)
    def tell_the_user(self, who: int) -> None:
        session = self.world.session_of(self.programs[who])
        if session is not None and session.user_id is not None:
            self.run(self.world.publish(f"@user/{session.user_id}", -next(self.numbers)))

    @rule(who=WHO)
    def ask(self, who: int) -> None:
        async def ask() -> None:
            await self.world.ask(self.programs[who], next(self.numbers))
            await self.loop.settle()

        self.run(ask())

    @rule(who=WHO, room=ROOM)
    def put_in(self, who: int, room: str) -> None:
        self.run(self.world.put_in(self.programs[who], room))

    @rule(who=WHO, room=ROOM)
    def take_out(self, who: int, room: str) -> None:
        self.run(self.world.take_out(self.programs[who], room))

    @rule(who=WHO)
    def disconnect(self, who: int) -> None:
        self.run(self.world.disconnect(self.programs[who]))

    @rule()
    def let_slow_handlers_finish(self) -> None:
        async def open_gate() -> None:
            self.world.gate.set()
            await self.loop.settle()
            self.world.gate.clear()

        self.run(open_gate())

    # Transports

    @rule(who=WHO, kind=KINDS, keep=st.booleans())
    def open(self, who: int, kind: str, keep: bool) -> None:
        if not keep:
            self.give_up_all(self.programs[who])
        self.network.open(self.programs[who], kind)

    @precondition(lambda self: self.open_lines)
    @rule(pick=PICK)
    def give_up(self, pick: int) -> None:
        self.pick(self.open_lines, pick).close(GIVEN_UP)

    @precondition(lambda self: self.open_lines)
    @rule(pick=PICK)
    def speak(self, pick: int) -> None:
        self.pick(self.open_lines, pick).speak()

    # The network

    @precondition(lambda self: self.live_wires)
    @rule(pick=PICK)
    def carry_up(self, pick: int) -> None:
        self.run(self.carry(self.pick(self.live_wires, pick), up=True))

    @precondition(lambda self: self.live_wires)
    @rule(pick=PICK, part=st.none() | st.integers(0, 200))
    def carry_down(self, pick: int, part: int | None) -> None:
        self.run(self.carry(self.pick(self.live_wires, pick), up=False, part=part))

    @rule(turns=st.integers(1, 12))
    def flow(self, turns: int) -> None:
        self.run(self.carry_everything(turns))

    @precondition(lambda self: self.live_wires)
    @rule(pick=PICK)
    def cut(self, pick: int) -> None:
        """The client does not notice yet."""
        self.run(self.cut_wire(self.pick(self.live_wires, pick)))

    @precondition(lambda self: self.network.bodies)
    @rule(pick=st.integers(0, 3), at_once=st.booleans())
    def repeat_body(self, pick: int, at_once: bool) -> None:
        """What stands between them sends a request again; nobody hears the answer."""
        path, body = self.pick(self.network.bodies, -1 - pick)
        wire = self.network.wire(path, body)
        if at_once:
            self.run(self.carry(wire, up=True))
            self.run(self.carry(wire, up=True))

    @rule(seconds=st.integers(1, 30))
    def time_passes_in_peace(self, seconds: int) -> None:
        for _ in range(seconds):
            self.run(self.carry_everything(3))
            self.run(asyncio.sleep(1.0))

    @rule(seconds=st.sampled_from([0.1, 1.0, 3.0, 6.0, 9.0, 15.0, 45.0]))
    def time_passes(self, seconds: float) -> None:
        self.run(asyncio.sleep(seconds))

    # What holds at all times

    @invariant()
    def frames_run_in_order_and_once(self) -> None:
        for ran in self.world.record.ran.values():
            assert ran == sorted(set(ran))

    @invariant()
    def nobody_complains(self) -> None:
        assert not self.loop.faults, self.loop.faults
        complaints, COMPLAINTS.kept = COMPLAINTS.kept, []
        assert not complaints, "\n".join(complaints)

    def teardown(self) -> None:
        try:
            if self.started:
                self.run(self.heal())
                self.run(self.end())
        finally:
            self.run(self.clear_up())
            self.loop.close()

    async def heal(self) -> None:
        """Once the network works again everything has its outcome, and each client has all there is."""
        self.world.gate.set()
        for wire in list(self.network.wires):
            await wire.end()
        for program in self.programs:
            self.give_up_all(program)
        for _ in range(8):
            for program in self.programs:
                if not any(line.program is program for line in self.open_lines):
                    self.network.open(program, "websocket")
            await self.carry_everything(200)
            await asyncio.sleep(0.5)
        for program in self.programs:
            settled(self.world, program)

    async def end(self) -> None:
        """When the sessions end, by their clients' word or by time, nothing of them is left."""
        node = self.world.node
        if self.polite:
            for program in self.programs:
                program.part()
            await self.carry_everything(20)
            assert node.sessions == {}
        for wire in self.network.wires:
            await wire.end()
        await asyncio.sleep(60)
        await asyncio.gather(*self.world.asks)
        assert len(node.sessions) == 0
        assert self.world.record.present == {}
        assert isinstance(node._store, MemorySessionStore)
        assert node._store._records == {}
        assert node.hub._feeds == {}
        assert await node.verbs.members(TEAM) == []
        await node.stop()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        assert not others

    async def clear_up(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # How it is done

    @property
    def open_lines(self) -> list[Line]:
        return [line for line in self.network.lines if line.open]

    @property
    def live_wires(self) -> list[Wire]:
        return [wire for wire in self.network.wires if wire.up or wire.down]

    def memberships(self, *rooms: str) -> list[tuple[Program, str]]:
        """Return who wants to be in which of these rooms, or in any."""
        wanted = set(rooms or ROOMS)
        return [(program, room) for program in self.programs for room in sorted(program.wanted & wanted)]

    def session_id(self, who: int | None) -> str | None:
        return None if who is None else self.programs[who].session.session_id

    def give_up_all(self, program: Program) -> None:
        for line in self.open_lines:
            if line.program is program:
                line.close(GIVEN_UP)

    def pick(self, choices: Sequence[Any], number: int) -> Any:
        return choices[number % len(choices)]

    def line_of(self, wire: Wire) -> Line | None:
        return next((line for line in self.network.lines if wire in line.wires), None)

    async def carry(self, wire: Wire, *, up: bool, part: int | None = None) -> bool:
        if up:
            carried = wire.deliver_up()
        else:
            line = self.line_of(wire)
            carried = wire.take_down() is not None if line is None else line.hear(wire, part)
        if carried:
            await self.loop.settle()
        return carried

    async def carry_everything(self, turns: int) -> None:
        for _ in range(turns):
            moved = False
            for line in self.open_lines:
                moved |= line.speak()
            for wire in list(self.network.wires):
                moved |= await self.carry(wire, up=True)
                moved |= await self.carry(wire, up=False)
            if not moved:
                break
            self.network.wires = [wire for wire in self.network.wires if not wire.over or wire.down]

    async def cut_wire(self, wire: Wire) -> None:
        wire.cut()
        await self.loop.settle()


def held(max_examples: int, steps: int, *, derandomize: bool) -> None:
    run_state_machine_as_test(
        Delivery,
        settings=settings(
            max_examples=max_examples,
            stateful_step_count=steps,
            derandomize=derandomize,
            database=None,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
            # Explaining a failure takes longer than a test may.
            phases=[Phase.generate, Phase.shrink],
            report_multiple_bugs=False,
        ),
    )


@pytest.mark.timeout(300)
def test_the_guarantees_hold() -> None:
    held(200, 50, derandomize=True)


@pytest.mark.faults
@pytest.mark.parametrize("part", range(4))
def test_the_guarantees_hold_for_long(part: int) -> None:
    """In parts, which can run side by side: each has examples of its own."""
    held(1000, 80, derandomize=False)
