"""The command `multitransport members`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click
import msgspec

from multitransport.cli.outside import following, over_redis, printable, run_command
from multitransport.core.publication import Publication
from multitransport.core.state import StateLog

__all__ = ["members"]


class _Told(msgspec.Struct, frozen=True):
    """What the room of a room's presence has of a session, under its id."""

    user: str | None
    transport: str | None
    meta: Any = None


class _Session(msgspec.Struct, frozen=True):
    session: str
    transport: str | None
    meta: Any


class _Member(msgspec.Struct, frozen=True):
    """A user with all their sessions, or one anonymous session."""

    user: str | None
    sessions: list[_Session]


@click.command()
@click.argument("room")
@over_redis
@click.option("--json", "as_json", is_flag=True, help="Print one array.")
def members(room: str, *, url: str, prefix: str, as_json: bool) -> None:
    """Print who is in a ROOM with presence: users, each with their sessions, and sessions of nobody."""
    run_command(_members(room, url, prefix, as_json=as_json))


async def _members(room: str, url: str, prefix: str, *, as_json: bool) -> None:
    async with following(url, prefix) as (broker, rooms):
        presence, retention = await rooms.presence(room)
        log = await broker.subscribe(presence, retention)
        assert isinstance(log, StateLog)
        found = _grouped(log.values())
    if as_json:
        click.echo(printable(msgspec.json.encode(found).decode()))
    else:
        _print(room, found)


def _grouped(values: Iterable[Publication]) -> list[_Member]:
    by_member: dict[tuple[str, str], _Member] = {}
    for each in values:
        session = str(each.draft.key)
        try:
            told = msgspec.json.decode(each.draft.data, type=_Told)
        except msgspec.DecodeError:
            click.echo(printable(f"what is said of the session {session} is not to be read"), err=True)
            continue
        member = ("session", session) if told.user is None else ("user", told.user)
        found = by_member.setdefault(member, _Member(told.user, []))
        found.sessions.append(_Session(session, told.transport, told.meta))
    return list(by_member.values())


def _print(room: str, found: list[_Member]) -> None:
    sessions = sum(len(member.sessions) for member in found)
    click.echo(printable(f"{room}: {_count(len(found), 'member')}, {_count(sessions, 'session')}"))
    for member in found:
        click.echo(printable("(anonymous)" if member.user is None else member.user))
        for each in member.sessions:
            meta = "" if each.meta is None else msgspec.json.encode(each.meta).decode()
            click.echo(printable(f"  {each.session}  {each.transport or '-'}  {meta}".rstrip()))


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
