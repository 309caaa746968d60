"""An application in a process of its own, for a server that is killed."""

from __future__ import annotations

import asyncio
from typing import Any

from quart import Quart

from multitransport import MultiTransport, Session

app = Quart("restarted")
app.secret_key = "k" * 32
rt = MultiTransport(app)


@rt.room("r", history=10)
async def join(client: Session) -> None:
    """Everybody may join."""


@rt.on("tell")
async def tell(client: Session, data: Any) -> None:
    await rt.publish("r", "n", data)


@rt.on("slow")
async def slow(client: Session, data: float) -> None:
    await rt.publish("r", "n", "slow begins")
    await asyncio.sleep(data)
