from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from quart import Quart

from examples.cluster import cluster
from examples.shared import rt, serve
from multitransport.client import Publication
from multitransport.testing.waiting import eventually


@pytest_asyncio.fixture
async def app(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Quart]:
    monkeypatch.setattr(cluster, "NODE", "2")
    monkeypatch.setattr(cluster, "NODES", 3)
    app = serve(cluster.pages)
    async with app.test_app():
        yield app


async def test_a_node_counts_its_ticks(app: Quart) -> None:
    async with rt.test_client(app) as client:
        ticks: list[dict[str, Any]] = []
        async for item in await client.join(cluster.TICKS):
            assert isinstance(item, Publication)
            ticks.append(item.data)
            if len(ticks) == 3:
                break
    first = ticks[0]["n"]
    assert [(tick["node"], tick["n"]) for tick in ticks] == [("2", first), ("2", first + 1), ("2", first + 2)]
    assert len({tick["run"] for tick in ticks}) == 1


async def test_a_tab_is_told_where_it_is_and_shown_there(app: Quart) -> None:
    async with rt.test_client(app, user="ann") as client:
        room = await client.join(cluster.TICKS)
        assert await client.request("cluster/here", "Ann") == "2"
        await eventually(lambda: room.members["user:ann"].metas[0].meta == {"node": "2", "name": "Ann"})


async def test_the_page_has_every_node_with_its_buttons(app: Quart) -> None:
    html = await (await app.test_client().get("/")).get_data(as_text=True)
    for number in (1, 2, 3):
        for action in ("kill", "terminate", "restart"):
            assert f'data-press="node-{number}/{action}"' in html
    for action in ("kill", "restart", "lose"):
        assert f'data-press="redis/{action}"' in html
