"""Each example is a program of its own, and all of them are one."""

from __future__ import annotations

import httpx
import pytest

from multitransport.testing.server import ServerProcess
from tests.e2e.conftest import EXAMPLES


@pytest.mark.parametrize("name", ["chat", "ticker", "jobs"])
async def test_an_example_runs_alone(name: str) -> None:
    async with ServerProcess("app:app", directory=EXAMPLES / name, arguments=("--workers", "0")) as server:
        async with httpx.AsyncClient(base_url=server.url) as http:
            page = await http.get("/")
            assert page.status_code == 200
            assert f"/static/{name}.js" in page.text
            for file in (f"/static/{name}.js", f"/static/{name}.css", "/shared/page.css", "/realtime/client.js"):
                assert (await http.get(file)).status_code == 200
        assert await server.terminate() == 0
        assert "Traceback" not in server.output
