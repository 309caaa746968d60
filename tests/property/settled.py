"""What holds when the network has worked for a while and nothing is under way any more."""

from __future__ import annotations

from multitransport.node.session import Session
from tests.property.program import Program
from tests.property.record import STATE, TEAM
from tests.property.world import World

__all__ = ["settled"]


def settled(world: World, program: Program) -> None:
    """Compare what a program has, what its session is and what the rooms are."""
    assert program.outcomes.open == {}
    session = world.session_of(program)
    assert session is not None
    assert session.attachment is not None
    assert session.rooms == program.wanted
    assert session.record.rooms.keys() == session.attachment.reader.cursors.keys()
    assert session.record.rooms.keys() == program.session._memberships._by_room.keys()
    for room in session.record.rooms:
        program.views[room].complete(world.log(room))
    if TEAM in program.wanted:
        _sees_who_is_there(world, program)
    if STATE in program.wanted:
        _is_told_as_often_as_it_wants(world, program, session)


def _sees_who_is_there(world: World, program: Program) -> None:
    there = {each.session_id: each for each in world.node.sessions.values() if TEAM in each.record.rooms}
    seen = {meta.session: member for member in program.presence.members.values() for meta in member.metas}
    assert seen.keys() == there.keys()
    for session_id, member in seen.items():
        session = there[session_id]
        assert member.user == session.user_id
        assert member.id == (f"session:{session_id}" if session.user_id is None else f"user:{session.user_id}")
    by_session = {meta.session: meta for member in program.presence.members.values() for meta in member.metas}
    for each in world.programs:
        meta = by_session.get(str(each.session.session_id))
        if meta is not None:
            assert meta.transport == "websocket"
            assert meta.meta in (each.meta, each.said_late)
    members = program.presence.members
    assert world.record.present == {name: {meta.session for meta in each.metas} for name, each in members.items()}


def _is_told_as_often_as_it_wants(world: World, program: Program, session: Session) -> None:
    assert session.attachment is not None
    feed = world.node.hub._feeds[STATE]
    throttle = feed._throttles.get(session.attachment.reader.cursors[STATE])
    rate = None if throttle is None else 1 / throttle._interval_seconds
    assert rate == program.rates.get(STATE)
