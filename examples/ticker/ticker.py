"""A market of a thousand made-up shares that changes thousands of times a second, in one state room."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from typing import Any

from quart import Blueprint, render_template

from examples.shared import keep_running, rt
from multitransport import Namespace, Session

MARKET = "ticker/market"
SHARES = 1000
CHANGES_A_SECOND = 4000
BEAT_SECONDS = 0.025
FREEZE_SECONDS = 3.0

ticker = Namespace("ticker")
pages = Blueprint("ticker", __name__, static_folder="static", static_url_path="/static", template_folder="templates")


class Market:
    """Prices that wander. `changes` counts what has happened to them."""

    def __init__(self) -> None:
        letters = "ABCDEFGHIJ"
        names = ("".join(three) for three in itertools.product(letters, repeat=3))
        self.opening = {name: round(random.uniform(5, 500), 2) for name in itertools.islice(names, SHARES)}
        self.prices = dict(self.opening)
        self.changes = 0
        self.frozen_until = 0.0

    async def change(self, name: str) -> None:
        """Move a price by about half a percent, now and then by a lot, and publish it as the newest of its key."""
        step = random.gauss(0, 0.05 if random.random() < 0.002 else 0.004)
        pull = (self.opening[name] / self.prices[name] - 1) * 0.01
        self.prices[name] = round(max(0.01, self.prices[name] * (1 + step + pull)), 2)
        self.changes += 1
        await rt.publish(MARKET, "price", self.quote(name), key=name)

    def quote(self, name: str) -> list[Any]:
        """Return the price, by how many percent it has moved since the opening, and the number of the change."""
        price = self.prices[name]
        return [price, round((price / self.opening[name] - 1) * 100, 2), self.changes]

    async def run(self) -> None:
        """Publish every price there is, then change some of them on each beat, as long as somebody looks."""
        for name in self.prices:
            await self.change(name)
        names = list(self.prices)
        now = time.monotonic()
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            before, now = now, time.monotonic()
            if not await rt.members(MARKET):
                continue
            # As many as are due, unless the whole machine has paused.
            for name in random.choices(names, k=round(CHANGES_A_SECOND * min(now - before, 0.25))):
                if time.monotonic() > self.frozen_until:
                    await self.change(name)


market = Market()


@ticker.room("market", mode="state", max_keys=SHARES, presence=True)
async def watch(client: Session) -> None:
    """Anybody may watch, as often a second as their line can take: see `maxRate` in `ticker.js`."""


@ticker.on("freeze")
async def freeze(client: Session, data: None) -> dict[str, float]:
    """Stop the market for a moment and return its prices, which everybody must come to see, however slowly."""
    market.frozen_until = time.monotonic() + FREEZE_SECONDS
    return market.prices


rt.register(ticker)


keep_running(pages, market.run)


@pages.get("/")
async def show() -> str:
    """The page."""
    return await render_template("ticker.html", shares=SHARES)
