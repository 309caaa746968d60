"""The guarantees of delivery, held against a network that cuts, loses, delays, repeats and reorders.

The real client session talks to the real node through its real transports; only the bytes between them and the clock
are the test's. ``program`` is the model.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterator, Sequence
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

from multitransport.client.events import Closed
from tests.property.program import KEPT, LOSSY
from tests.property.wire import Wire
from tests.property.world import Line, World
from tests.simulated import SimulatedLoop

GIVEN_UP = Closed(0, "given up")
KINDS = st.sampled_from(["websocket", "sse", "poll"])
EVENTS = st.sampled_from(["echo", "quiet", "refuse", "fail", "big", "slow"])
ROOMS = st.sampled_from([LOSSY, *KEPT])
PICK = st.integers(0, 1000)


class Delivery(RuleBasedStateMachine):
    """One program, one server, and what lies between them."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = SimulatedLoop()
        self.world = self.run(self.make())
        self.program = self.world.program
        self.published = -1

    async def make(self) -> World:
        world = World()
        await world.node.start()
        return world

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    @initialize(kind=KINDS, rooms=st.sets(ROOMS), turns=st.integers(0, 5), polite=st.booleans())
    def begin(self, kind: str, rooms: set[str], turns: int, polite: bool) -> None:
        self.polite = polite
        for room in sorted(rooms):
            self.program.join(room)
        self.world.open(kind)
        self.run(self.carry_everything(turns))

    # The program and the server

    @rule(event=EVENTS)
    def request(self, event: str) -> None:
        if len(self.program.open) < 40:
            self.program.request(event)

    @rule(room=ROOMS)
    def join(self, room: str) -> None:
        if room not in self.program.wanted:
            self.program.join(room)

    @precondition(lambda self: self.program.wanted)
    @rule(pick=PICK)
    def leave(self, pick: int) -> None:
        self.program.leave(sorted(self.program.wanted)[pick % len(self.program.wanted)])

    @precondition(lambda self: self.program.wanted & set(KEPT))
    @rule(pick=PICK)
    def publish_as_client(self, pick: int) -> None:
        rooms = sorted(self.program.wanted & set(KEPT))
        self.program.publish(rooms[pick % len(rooms)])

    @rule(room=ROOMS, count=st.integers(1, 3), times=st.integers(1, 8), turns=st.integers(0, 4))
    def publish(self, room: str, count: int, times: int, turns: int) -> None:
        """Nothing is carried in between, so that a room that keeps a few runs ahead of its readers."""

        async def publish() -> None:
            for _ in range(times):
                for _ in range(count):
                    await self.world.publish(room, self.published)
                    self.published -= 1
                await self.loop.settle()

        self.run(publish())
        self.run(self.carry_everything(turns))

    @rule()
    def let_slow_handlers_finish(self) -> None:
        async def open_gate() -> None:
            self.world.gate.set()
            await self.loop.settle()
            self.world.gate.clear()

        self.run(open_gate())

    # Transports

    @rule(kind=KINDS, keep=st.booleans())
    def open(self, kind: str, keep: bool) -> None:
        if not keep:
            self.give_up_all()
        self.world.open(kind)

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

    @precondition(lambda self: self.world.bodies)
    @rule(pick=st.integers(0, 3), at_once=st.booleans())
    def repeat_body(self, pick: int, at_once: bool) -> None:
        """What stands between them sends a request again; nobody hears the answer."""
        path, body = self.pick(self.world.bodies, -1 - pick)
        wire = self.world.wire(path, body)
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
        ran = self.world.record.ran
        assert ran == sorted(set(ran))

    @invariant()
    def nobody_complains(self) -> None:
        assert not self.loop.faults, self.loop.faults
        complaints, COMPLAINTS.kept = COMPLAINTS.kept, []
        assert not complaints, "\n".join(complaints)

    def teardown(self) -> None:
        try:
            self.run(self.heal())
            self.run(self.end())
        finally:
            self.run(self.clear_up())
            self.loop.close()

    async def heal(self) -> None:
        """Once the network works again everything has its outcome, and the client has all there is."""
        self.world.gate.set()
        for wire in list(self.world.wires):
            await wire.end()
        self.give_up_all()
        for _ in range(6):
            if not self.open_lines:
                self.world.open("websocket")
            await self.carry_everything(200)
            await asyncio.sleep(0.5)
        assert self.program.open == {}
        assert self.program.have == {room: self.world.log(room).position for room in self.program.wanted}
        [session] = self.world.node.sessions.values()
        assert session.attachment is not None
        assert session.rooms == session.attachment.reader.cursors.keys() >= self.program.wanted
        # Once a session has ended, a hello that is repeated late begins another, with the rooms it names.
        assert self.world.record.ended or session.rooms == self.program.wanted

    async def end(self) -> None:
        """When the session ends, by its client's word or by time, nothing of it is left."""
        node = self.world.node
        if self.polite:
            self.program.part()
            await self.carry_everything(20)
            assert node.sessions == {}
        for wire in self.world.wires:
            await wire.end()
        await asyncio.sleep(60)
        assert len(node.sessions) == 0
        assert await node._store.count() == 0
        assert node.hub._feeds == {}
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
        return [line for line in self.world.lines if line.open]

    @property
    def live_wires(self) -> list[Wire]:
        return [wire for wire in self.world.wires if wire.up or wire.down]

    def give_up_all(self) -> None:
        for line in self.open_lines:
            line.close(GIVEN_UP)

    def pick(self, choices: Sequence[Any], number: int) -> Any:
        return choices[number % len(choices)]

    def line_of(self, wire: Wire) -> Line | None:
        return next((line for line in self.world.lines if wire in line.wires), None)

    async def carry(self, wire: Wire, *, up: bool, part: int | None = None) -> bool:
        if up:
            carried = wire.deliver_up()
        else:
            line = self.line_of(wire)
            carried = wire.take_down() is not None if line is None else line.hear(wire, part)
        await self.loop.settle()
        return carried

    async def carry_everything(self, turns: int) -> None:
        for _ in range(turns):
            moved = False
            for line in self.open_lines:
                moved |= line.speak()
            for wire in list(self.world.wires):
                moved |= await self.carry(wire, up=True)
                moved |= await self.carry(wire, up=False)
            if not moved:
                break
            self.world.wires = [wire for wire in self.world.wires if not wire.over or wire.down]

    async def cut_wire(self, wire: Wire) -> None:
        wire.cut()
        await self.loop.settle()


class Complaints(logging.Handler):
    """Keeps what the server complains of, but for the handler that fails on purpose."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.kept: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if "'fail'" not in record.getMessage():
            self.kept.append(self.format(record))


COMPLAINTS = Complaints()


@pytest.fixture(autouse=True)
def complaints() -> Iterator[None]:
    logger = logging.getLogger("multitransport")
    logger.addHandler(COMPLAINTS)
    logger.propagate = False
    yield
    logger.propagate = True
    logger.removeHandler(COMPLAINTS)


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
    held(300, 50, derandomize=True)


@pytest.mark.faults
@pytest.mark.timeout(1500)
def test_the_guarantees_hold_for_long() -> None:
    held(5000, 100, derandomize=False)
