"""Nodes in processes of their own, behind an nginx that sends each request to the next one."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from multitransport.errors import BrokerUnavailable
from multitransport.protocol.position import Position
from multitransport.testing.server import ServerProcess, free_port
from multitransport.testing.waiting import eventually
from tests.proxies import nginx

__all__ = ["SETTINGS", "Cluster", "cluster"]

APP = "tests.faults.nodes.app:app"
PAGE = "howto/deploy-nodes.md"
_SERVERS = tuple(f"127.0.0.1:{port}" for port in (8001, 8002, 8003))
"""Those of the page."""

SETTINGS: dict[str, float] = {
    "ping_seconds": 2.0,
    "grace_seconds": 3.0,
    "poll_seconds": 5.0,
    "resume_seconds": 16.0,
    "presence_seconds": 8.0,
    "retry_seconds": 1.5,
    "lease_seconds": 3.0,
}
"""Short, so that what follows from silence follows within seconds."""


_HEALTH_SECONDS = 3.0
"""Who asks may be busy with three hundred visitors, and read the answer late."""


class Cluster:
    """``origin`` is where visitors go. ``nodes`` may be killed, terminated, suspended, resumed and started again."""

    def __init__(self, nodes: Sequence[ServerProcess], notes: Path) -> None:
        self.nodes = nodes
        self.origin = ""
        self._notes = notes
        self._http = httpx.AsyncClient(verify=False, timeout=30.0, limits=httpx.Limits(keepalive_expiry=1.0))

    async def close(self) -> None:
        await self._http.aclose()

    @property
    def url(self) -> str:
        """What a client connects to."""
        return f"{self.origin}/realtime"

    def noted(self, kind: str) -> list[dict[str, Any]]:
        """Return what the nodes have noted of a kind, in the order in which it happened."""
        lines = self._notes.read_text(encoding="utf-8").splitlines()
        return [note for note in map(json.loads, lines) if note["kind"] == kind]

    async def stop(self) -> None:
        """Stop every node in the regular way."""
        assert await asyncio.gather(*(node.terminate(20.0) for node in self.nodes)) == [0] * len(self.nodes)

    async def publish(self, node: int, room: str, data: Any, id: str | None = None) -> Position:
        """Publish at a node, past the nginx. Raises BrokerUnavailable as there; httpx.HTTPError without an answer."""
        answer = await self._http.post(f"{self.nodes[node].url}/publish/{room}", json={"data": data, "id": id})
        if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            raise BrokerUnavailable(answer.text)
        answer.raise_for_status()
        return Position(*answer.json())

    async def disconnect(self, node: int, session_id: str) -> None:
        """End a session, wherever it is, at a node."""
        (await self._http.post(f"{self.nodes[node].url}/disconnect/{session_id}")).raise_for_status()

    async def health(self, node: int) -> str | None:
        """Return what a node says of itself, None where it does not answer at once."""
        with contextlib.suppress(httpx.TransportError):
            answer = await self._http.get(f"{self.nodes[node].url}/realtime/health", timeout=_HEALTH_SECONDS)
            return "ready" if answer.is_success else answer.text
        return None

    async def ready(self, *nodes: int, within_seconds: float = 20.0) -> None:
        """Wait until these nodes, or all, say that they are ready."""
        said: dict[int, str | None] = dict.fromkeys(nodes or range(len(self.nodes)))

        async def all_are() -> bool:
            for node in [each for each in said if said[each] != "ready"]:
                said[node] = await self.health(node)
            return set(said.values()) == {"ready"}

        try:
            await eventually(all_are, within_seconds)
        except AssertionError:
            raise AssertionError(f"not ready within {within_seconds:g} s: {said}") from None


@asynccontextmanager
async def cluster(brokers: Sequence[str], folder: Path, **settings: float) -> AsyncIterator[Cluster]:
    """Give as many nodes as there are URLs of brokers, each with its own: three at most, as the how-to has them."""
    notes = folder / "notes"
    notes.touch()
    shared = {f"MULTITRANSPORT_{name.upper()}": str(value) for name, value in {**SETTINGS, **settings}.items()}
    nodes = [
        ServerProcess(APP, environment={**shared, "MULTITRANSPORT_BROKER": url, "NODE": str(n), "NOTES": str(notes)})
        for n, url in enumerate(brokers)
    ]
    async with contextlib.AsyncExitStack() as stack:
        for node in nodes:
            stack.push_async_exit(node)
        started = await asyncio.gather(*(node.start(60.0) for node in nodes), return_exceptions=True)
        for failure in filter(None, started):
            raise failure
        made = Cluster(nodes, notes)
        stack.push_async_callback(made.close)
        await made.ready()
        # Where the page has more servers than there are, nobody is at the others.
        addresses = {server: f"127.0.0.1:{free_port()}" for server in _SERVERS}
        addresses |= {server: node.url.removeprefix("http://") for server, node in zip(_SERVERS, nodes, strict=False)}
        made.origin = await stack.enter_async_context(nginx(PAGE, addresses, folder))
        yield made
