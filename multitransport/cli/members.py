"""The command `multitransport members`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import click
import msgspec

from multitransport.cli.outside import following, over_redis, printable, run_command
from multitransport.core.members import Member, Shown, members_of
from multitransport.core.publication import Publication
from multitransport.core.state import StateLog

__all__ = ["members"]


@click.command()
@click.argument("room")
@over_redis
@click.option("--json", "as_json", is_flag=True, help="Print one array, of what rt.members returns.")
def members(room: str, *, url: str, prefix: str, as_json: bool) -> None:
    """Print who is in a ROOM with presence: users, each with their sessions, and sessions of nobody."""
    run_command(_members(room, url, prefix, as_json=as_json))


async def _members(room: str, url: str, prefix: str, *, as_json: bool) -> None:
    async with following(url, prefix) as (broker, rooms):
        presence, retention = await rooms.presence(room)
        log = await broker.subscribe(presence, retention)
        assert isinstance(log, StateLog)
        found = members_of(_sessions(log.values()))
    if as_json:
        click.echo(printable(msgspec.json.encode(found).decode()))
    else:
        _print(room, found)


def _sessions(values: Iterable[Publication]) -> Iterator[tuple[str, Shown]]:
    for each in values:
        try:
            yield str(each.draft.key), msgspec.json.decode(each.draft.data, type=Shown)
        except msgspec.MsgspecError:  # by something else than a node
            click.echo(printable(f"what is said of the session {each.draft.key} is not to be read"), err=True)


def _print(room: str, found: list[Member]) -> None:
    sessions = sum(len(member.metas) for member in found)
    click.echo(printable(f"{room}: {_count(len(found), 'member')}, {_count(sessions, 'session')}"))
    for member in found:
        click.echo(printable("(anonymous)" if member.user is None else member.user))
        for each in member.metas:
            meta = "" if each.meta is None else msgspec.json.encode(each.meta).decode()
            click.echo(printable(f"  {each.session}  {each.transport or '-'}  {meta}".rstrip()))


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
