"""The application the integration tests serve, each runner in its own way."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from quart import Quart, url_for

from multitransport.node.session import Session
from multitransport.quart.extension import MultiTransport

rt = MultiTransport()
STARTED = str(time.time_ns())


@rt.room("hall", history=1)
async def join_hall(client: Session) -> None:
    """Everybody may join."""


@rt.on("slow")
async def slow(client: Session, data: float) -> float:
    await asyncio.sleep(data)
    return data


def create_app() -> Quart:
    made = Quart(__name__)
    made.secret_key = "of the tests"
    rt.init_app(made)

    @made.get("/")
    async def start() -> str:
        return STARTED

    @made.get("/page")
    async def page() -> str:
        return url_for("multitransport.client")

    @made.get("/raising")
    async def raising() -> str:
        raise LookupError("on purpose")

    @made.get("/flood")
    async def flood() -> str:
        for _ in range(200):
            await rt.publish("hall", "much", "x" * 64_000)
            await asyncio.sleep(0.001)
        return ""

    @made.get("/endless")
    async def endless() -> AsyncIterator[str]:
        while True:
            yield "still here\n"
            await asyncio.sleep(0.1)

    @made.get("/busy")
    def busy() -> str:
        time.sleep(60)
        return ""

    @made.before_serving
    async def greet() -> None:
        await rt.publish("hall", "open", None)

    @made.after_serving
    async def say_bye() -> None:
        print("after_serving ran", flush=True)

    return made


def create_failing_app() -> Quart:
    made = create_app()

    @made.before_serving
    async def fail() -> None:
        raise RuntimeError("no database")

    return made


app = create_app()

if __name__ == "__main__":
    app.run(port=int(sys.argv[1]))
