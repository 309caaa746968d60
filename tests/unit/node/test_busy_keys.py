from __future__ import annotations

import asyncio

from multitransport.node.attachment import Attachment
from multitransport.node.session import Session
from multitransport.node.verbs import draft_of
from tests.simulated import simulated, simulated_loop
from tests.unit.node.site import Site, frames_of

KEYS = [f"key {number}" for number in range(1000)]
RATE = 4
SECONDS = 5
ROUND_SECONDS = 0.05
BATCH_BYTES = 1 << 12
"""Much less than a pass: it goes out in many parts."""


class Listener:
    """A client whose transport has room for one batch in a turn of the loop."""

    def __init__(self, site: Site, attachment: Attachment) -> None:
        self.passes: list[float] = []
        self.newest: dict[str, int] = {}
        self.heard = dict.fromkeys(KEYS, 0)
        self._attachment = attachment
        self._loop = simulated_loop()
        self.gaps = 0
        self._begun = False
        attachment.on_news = self._read

    def _read(self) -> None:
        batch = self._attachment.take(BATCH_BYTES)
        for frame in frames_of(batch.frames) if batch else ():
            if frame[0] == "pub":
                if not self._begun:
                    self.passes.append(self._loop.time())
                self._begun = True
                self.newest[frame[5]["key"]] = frame[4]
                self.heard[frame[5]["key"]] += 1
            elif frame[0] == "at":
                self._begun = False
            self.gaps += frame[0] == "gap"
        if self._attachment.reader.ready:
            self._attachment.wake()


@simulated
async def test_a_thousand_busy_keys_starve_none_and_the_rate_holds() -> None:
    site = Site()

    @site.declared.room("ticker", mode="state", max_keys=len(KEYS))
    async def ticker(client: Session) -> None:
        """Everybody may join."""

    async with site:
        attachment = await site.attach(rooms={"ticker": {"max_rate": RATE}})
        await simulated_loop().settle()
        site.take(attachment)
        listener = Listener(site, attachment)
        value = 0
        for value in range(round(SECONDS / ROUND_SECONDS)):
            for key in KEYS:
                await site.node.verbs.publish("ticker", draft_of("v", value, key=key), volatile=False)
            await asyncio.sleep(ROUND_SECONDS)
        await asyncio.sleep(1 / RATE)
        assert listener.newest == dict.fromkeys(KEYS, value)
        between = [later - earlier for earlier, later in zip(listener.passes, listener.passes[1:], strict=False)]
        assert min(between) > 1 / RATE - 1e-6
        assert len(listener.passes) in (SECONDS * RATE, SECONDS * RATE + 1)
        # The first pass begins when the first keys are there.
        assert {len(listener.passes) - count for count in listener.heard.values()} <= {0, 1}
        assert listener.gaps == 0
