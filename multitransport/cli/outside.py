"""What the commands share that act on an application's rooms from outside of it, over Redis."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import click

from multitransport.core.publication import Draft
from multitransport.errors import BrokerUnavailable, ConfigurationError, MultiTransportError, Refuse
from multitransport.publisher.publisher import need_redis

if TYPE_CHECKING:
    from multitransport.brokers.redis import RedisBroker
    from multitransport.publisher.rooms import DeclaredRooms

__all__ = ["BrokerAway", "following", "over_redis", "printable", "run_command"]

TIMEOUT_SECONDS = 5.0
"""How long Redis may be away until a command gives up what it is to read."""

F = TypeVar("F", bound=Callable[..., Any])


class BrokerAway(click.ClickException):
    """Redis does not do it now; what was asked may be repeated. 75 is what mail programs call a temporary failure."""

    exit_code = 75


def over_redis(command: F) -> F:
    """Add the options that say which Redis, and which deployment in it."""
    broker = click.option(
        "--broker",
        "url",
        metavar="URL",
        required=True,
        envvar="MULTITRANSPORT_BROKER",
        show_envvar=True,
        help="The application's broker, such as redis://host:6379/0.",
    )
    prefix = click.option(
        "--prefix",
        metavar="NAME",
        default="multitransport",
        show_default=True,
        envvar="MULTITRANSPORT_REDIS_PREFIX",
        show_envvar=True,
        help="What the application's keys in Redis begin with.",
    )
    return broker(prefix(command))


def run_command(work: Coroutine[Any, Any, None]) -> None:
    """Run it to its end, or until Ctrl-C. Raises ClickException for what an operator can mend."""
    try:
        asyncio.run(work)
    except KeyboardInterrupt:
        raise click.exceptions.Exit(130) from None  # as a shell says that it was interrupted
    except BrokerUnavailable as error:
        raise BrokerAway(str(error)) from None
    except Refuse as refuse:
        raise click.ClickException(f"{refuse.message} ({refuse.code})") from None
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from None
    except (MultiTransportError, ValueError) as error:
        raise click.ClickException(str(error)) from None


@asynccontextmanager
async def following(
    url: str,
    prefix: str,
    advanced: Callable[[str], None] = lambda room: None,
    flashed: Callable[[str, Draft], None] = lambda room, draft: None,
) -> AsyncGenerator[tuple[RedisBroker, DeclaredRooms]]:
    """Give a broker that follows rooms as a node's does, and the rooms that are declared. Raises ConfigurationError."""
    need_redis(url)
    from multitransport.brokers.redis import RedisBroker, Timing
    from multitransport.brokers.redis.rooms.declared import declared
    from multitransport.publisher.rooms import DeclaredRooms

    broker = RedisBroker(url, prefix=prefix, timing=Timing(publish_seconds=TIMEOUT_SECONDS))
    await broker.start(advanced, flashed)
    try:
        yield broker, DeclaredRooms(partial(declared, broker.line, broker.keys, broker.timing))
    finally:
        await broker.stop()


def printable(text: str) -> str:
    """Return it without what a terminal would take for a command; JSON stays the same JSON."""
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in text)
