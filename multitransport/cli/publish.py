"""The command `multitransport publish`."""

from __future__ import annotations

import sys
from typing import Any

import click
import msgspec

from multitransport.cli.outside import over_redis, printable, run_command
from multitransport.publisher import Publisher

__all__ = ["publish"]


@click.command()
@click.argument("room")
@click.argument("event")
@click.argument("data", metavar="[JSON]", default="null")
@over_redis
@click.option("--key", help="In a state room: which value this is.")
@click.option("--delete", "deleted", is_flag=True, help="End the key.")
@click.option("--id", "publication_id", help="Publish it once, however often it is repeated with this id.")
@click.option("--exclude", metavar="SESSION", help="Id of a session that is not sent it.")
@click.option("--volatile", is_flag=True, help="Tell those who are there now; keep nothing.")
@click.option(
    "--timeout", "timeout_seconds", default=5.0, show_default=True, help="Seconds for which Redis may be away."
)
def publish(
    room: str,
    event: str,
    data: str,
    *,
    url: str,
    prefix: str,
    publication_id: str | None,
    timeout_seconds: float,
    **options: Any,
) -> None:
    """Publish EVENT with its data to a ROOM of an application that runs with this Redis.

    The data is JSON, null where it is left out; - reads it from standard input. The exit status is 75 where Redis is
    away: then it may be tried again, with the same --id if it must not come twice.
    """
    decoded = _decoded(sys.stdin.read() if data == "-" else data)

    async def work() -> None:
        async with Publisher(url, prefix=prefix, timeout_seconds=timeout_seconds) as publisher:
            position = await publisher.publish(room, event, decoded, id=publication_id, **options)
        where = "kept nowhere" if position is None else f"at {position}"
        click.echo(printable(f"published to {room}, {where}"))

    run_command(work())


def _decoded(data: str) -> Any:
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        hint = "; text is written as '\"text\"', quotes and all" if data[:1] not in '"[{' else ""
        raise click.BadParameter(f"it is not JSON: {error}{hint}", param_hint="JSON") from None
