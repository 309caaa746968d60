"""What applications declare of rooms, kept in Redis for those who publish and read from outside of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from hashlib import blake2b
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from multitransport.brokers.redis.connections.connection import ConnectionLost, Refusal, is_passing
from multitransport.brokers.redis.connections.line import Commands
from multitransport.brokers.redis.keys import Keys
from multitransport.brokers.redis.scripts import Script
from multitransport.brokers.redis.timing import Timing
from multitransport.core.log import Retention
from multitransport.errors import BrokerUnavailable

__all__ = ["DeclaredRoom", "declare", "declared", "keep_declared"]

logger = logging.getLogger("multitransport")

_DECLARE_SECONDS = 15.0
"""How often a node says it again: what none has said for a minute is no longer declared."""

_KEPT_MS = 7 * 86_400_000
"""How long it is known what was declared when no node runs any more."""

_RETRY_SECONDS = 1.0
_VERSION = 1
_DECLARE = Script("declare.lua")
_DECLARED = Script("declared.lua")

Count = Annotated[int, Meta(ge=0, le=2**53)]


class DeclaredRoom(msgspec.Struct, frozen=True):
    """What is to be known of a family of rooms to publish to it, and to read it."""

    rule: Annotated[str, Meta(min_length=1, max_length=1000)]
    retention: Retention
    history: Count = 0
    presence: bool = False


class Declarations(msgspec.Struct, frozen=True, array_like=True):
    """What is kept: a version, and the rooms in the order in which they were declared."""

    version: int
    rooms: Annotated[list[DeclaredRoom], Meta(max_length=10_000)]


_decode = msgspec.json.Decoder(Declarations).decode


async def declare(line: Commands, keys: Keys, rooms: Sequence[DeclaredRoom]) -> None:
    """Say once what an application declares of rooms. Nodes that declare the same say the same thing.

    Raises Refusal, ConnectionLost.
    """
    said = msgspec.json.encode(Declarations(_VERSION, list(rooms)))
    digest = blake2b(said, digest_size=15).hexdigest()
    await line.run_script(_DECLARE, [keys.declared()], digest, said, _KEPT_MS)


async def keep_declared(line: Commands, keys: Keys, rooms: Sequence[DeclaredRoom]) -> None:
    """Say it again and again, until cancelled."""
    while True:
        pause = _DECLARE_SECONDS
        try:
            await declare(line, keys, rooms)
        except (ConnectionLost, Refusal) as error:
            logger.debug("what is declared was not said to Redis: %s", error)
            pause = _RETRY_SECONDS
        await asyncio.sleep(pause)


async def declared(line: Commands, keys: Keys, timing: Timing) -> list[list[DeclaredRoom]]:
    """Return what applications declare: one list where all nodes are of one version, the newest one's first where a
    deploy is under way; none where no application ever ran with this prefix.

    What is not of this version, or cannot be meant, is left out with a warning. Raises BrokerUnavailable.
    """
    known: list[tuple[int, list[DeclaredRoom]]] = []
    for value in await _read(line, keys, timing):
        try:
            known.append(_known(value))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
            logger.warning("what Redis has of declared rooms is left out in part: %s", error)
    known.sort(key=_since, reverse=True)
    return [rooms for _, rooms in known]


async def _read(line: Commands, keys: Keys, timing: Timing) -> list[bytes]:
    try:
        async with asyncio.timeout(timing.publish_seconds):
            while True:
                try:
                    found: list[bytes] = await line.run_script(_DECLARED, [keys.declared()])
                    return found
                except ConnectionLost:
                    pass
                except Refusal as refusal:
                    if not is_passing(refusal):
                        raise BrokerUnavailable(f"Redis does not tell which rooms are declared: {refusal}") from None
                await asyncio.sleep(timing.retry_seconds / 20)
    except TimeoutError:
        raise BrokerUnavailable(
            f"Redis did not tell within {timing.publish_seconds:g} s which rooms are declared: "
            f"{line.fault or 'no answer'}"
        ) from None


def _known(value: bytes) -> tuple[int, list[DeclaredRoom]]:
    """Decode what one application declares, and since when. Raises what ``declared`` catches."""
    head, _, said = value.partition(b"\n")
    since = int(head.split(b" ")[0])
    found = _decode(said)
    if found.version != _VERSION:
        raise ValueError(f"it is of version {found.version}, and this is {_VERSION}")
    for room in found.rooms:
        kept = room.retention
        if not (kept.count > 0 and kept.bytes > 0 and kept.seconds > 0 and kept.keys >= 0):
            raise ValueError(f"a room {room.rule!r} cannot keep {kept}")
    return since, found.rooms


def _since(known: tuple[int, Any]) -> int:
    return known[0]
