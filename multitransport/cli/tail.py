"""The command `multitransport tail`."""

from __future__ import annotations

import asyncio
import logging
import time
from base64 import b64encode
from typing import Any

import click
import msgspec

from multitransport.cli.outside import following, over_redis, printable, run_command
from multitransport.core.publication import Draft, Publication, Slice, publish_frame
from multitransport.core.reader import Flash, Gap, Reader
from multitransport.protocol.position import Position

__all__ = ["tail"]

_AT_ONCE_BYTES = 1 << 16


@click.command()
@click.argument("room")
@over_redis
@click.option(
    "--history",
    type=click.IntRange(min=0),
    default=10,
    show_default=True,
    help="How many publications to begin with; of a state room it is always the values it has.",
)
@click.option("--json", "as_json", is_flag=True, help="Print an object a line.")
def tail(room: str, *, url: str, prefix: str, history: int, as_json: bool) -> None:
    """Print what is published to a ROOM, as it comes, until Ctrl-C.

    It reads as a node does: what was published while Redis was away comes when it is back. What is missing is said.
    """
    logging.basicConfig(format="%(message)s", level=logging.INFO)  # on standard error: that Redis is away, and is back
    run_command(_tail(room, url, prefix, history, as_json=as_json))


async def _tail(room: str, url: str, prefix: str, history: int, *, as_json: bool) -> None:
    reading = _Reading()
    async with following(url, prefix, reading.advanced, reading.flashed) as (broker, rooms):
        log = await broker.subscribe(room, await rooms.retention(room), None, history)
        reading.cursor = reading.reader.add(log, log.newest(history).offset)
        while True:
            for item in reading.reader.take(_AT_ONCE_BYTES):
                _show(item, log.epoch, as_json=as_json)
            if not reading.reader.ready:
                await reading.wait()


class _Reading:
    """The owner of a reader that reads when there is something to read."""

    session_id = ""

    def __init__(self) -> None:
        self.reader = Reader(self)
        self.cursor: Any = None
        self._news = asyncio.Event()

    def wake(self) -> None:
        """See Owner."""
        self._news.set()

    flush = wake

    def advanced(self, room: str) -> None:
        """The log has grown."""
        if self.cursor is not None:
            self.cursor.flush()

    def flashed(self, room: str, draft: Draft) -> None:
        """Something was published that no log keeps."""
        if self.cursor is not None:
            volatile = Publication(0, draft, publish_frame(room, None, draft), time.monotonic())
            log = self.cursor.log
            self.reader.flash(Flash(Slice([volatile], 0), log, log.top))
            self.wake()

    async def wait(self) -> None:
        """Return when there is something to read."""
        await self._news.wait()
        self._news.clear()


def _show(item: Slice | Gap, epoch: str, *, as_json: bool) -> None:
    if isinstance(item, Gap):
        line = _gap_object(item) if as_json else _gap_words(item)
        click.echo(line, err=not as_json)
        return
    for each in item.publications:
        click.echo(printable(_object(each, epoch) if as_json else _words(each)))


def _gap_words(gap: Gap) -> str:
    if gap.lost is None:
        return "-- the room began anew; nobody can know how much is missing --"
    return f"-- {gap.lost} publications are missing: they are kept no more --"


def _gap_object(gap: Gap) -> str:
    return _json({"gap": {"lost": gap.lost, "position": gap.position}})


def _words(publication: Publication) -> str:
    draft = publication.draft
    words = [f"{publication.offset or '-':>6}", draft.event]
    if draft.key is not None:
        words.append(f"[{draft.key}]")
    if draft.deleted:
        words.append("(deleted)")
    else:
        words.append(f"<{len(draft.data)} bytes>" if draft.binary else draft.data.decode())
    return "  ".join(words)


def _object(publication: Publication, epoch: str) -> str:
    draft = publication.draft
    said: dict[str, Any] = {
        "position": Position(epoch, publication.offset) if publication.offset else None,
        "event": draft.event,
        "data": b64encode(draft.data).decode() if draft.binary else msgspec.Raw(draft.data),
    }
    options = {"key": draft.key, "from": draft.source, "deleted": draft.deleted, "b64": draft.binary}
    return _json(said | {name: value for name, value in options.items() if value})


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
