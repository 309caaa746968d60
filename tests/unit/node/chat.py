"""A node with chat rooms and an echo, and how it says no."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

import pytest

from multitransport.node.attachment import Attachment, Close
from multitransport.node.session import Session
from tests.simulated import simulated_loop
from tests.unit.node.site import Site, of_kind

__all__ = ["anybody", "chat_site", "closed", "echo", "may_publish", "refusal"]


async def anybody(client: Session, **values: Any) -> None:
    """Let everybody in."""


async def echo(client: Session, data: Any) -> Any:
    return data


def chat_site(**settings: Any) -> Site:
    site = Site(**settings)
    site.declared.room("chat/<id>", history=2, on_publish=may_publish)(anybody)
    site.declared.on("echo")(echo)
    return site


async def may_publish(client: Session, event: str, data: Any, id: str) -> None:
    """Let everybody publish."""


async def refusal(work: Awaitable[Any]) -> Close:
    """Return how a hello or a message is refused."""
    with pytest.raises(Close) as refused:
        await work
    return refused.value


async def closed(site: Site, attachment: Attachment) -> int | None:
    """Return the code a transport is told to close with, None where it goes on."""
    await simulated_loop().settle()
    closes = of_kind(site.take(attachment), "close")
    return closes[0][0] if closes else None
