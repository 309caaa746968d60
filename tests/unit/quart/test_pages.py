from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import urljoin

import pytest
from quart import Quart, render_template_string, url_for

from multitransport.errors import ConfigurationError
from multitransport.quart.extension import MultiTransport

TEMPLATE = "{{ multitransport_script(nonce) }}"


def page_app(**settings: Any) -> Quart:
    app = Quart(__name__)
    MultiTransport(app, **settings)

    @app.get("/", defaults={"path": ""})
    @app.get("/<path:path>")
    async def page(path: str) -> str:
        return await render_template_string(TEMPLATE, nonce="n0nce" if path == "strict" else None)

    return app


def addresses(tags: str) -> tuple[str, str]:
    """Return what the tags of a page make of ``multitransport``, and what they preload."""
    found = re.fullmatch(
        r'<script type="importmap"[^>]*>(.*)</script>\n<link rel="modulepreload" href="([^"]*)"[^>]*>', tags
    )
    assert found is not None, tags
    return json.loads(found[1])["imports"]["multitransport"], found[2]


@pytest.mark.parametrize("path", ["/", "/chat", "/chat/", "/chat/hall/1", "/a%2Fb", "/%3Fa/b"])
@pytest.mark.parametrize(("root_path", "seen_at"), [("", ""), ("/app", "/app"), ("", "/stripped/twice")])
async def test_the_tags_lead_to_the_client_from_every_page(path: str, root_path: str, seen_at: str) -> None:
    app = page_app()
    response = await app.test_client().get(
        root_path + path, root_path=root_path, scope_base={"raw_path": (root_path + path).encode()}
    )
    for address in addresses(await response.get_data(as_text=True)):
        assert (
            urljoin(f"https://app.example{seen_at}{path}", address)
            == f"https://app.example{seen_at}/realtime/client.js"
        )
        assert address.startswith(("./", "../")), "an import map takes no bare name"


async def test_the_tags_without_a_raw_path_in_the_scope() -> None:
    response = await page_app(prefix="/live/v1").test_client().get("/chat/hall")
    assert addresses(await response.get_data(as_text=True)) == ("../live/v1/client.js",) * 2


async def test_a_nonce_marks_each_tag() -> None:
    response = await page_app().test_client().get("/strict")
    assert (await response.get_data(as_text=True)).count(' nonce="n0nce"') == 2


async def test_outside_a_request_the_tags_have_the_whole_address() -> None:
    app = page_app()
    app.config["SERVER_NAME"] = "app.example"
    async with app.app_context():
        tags = await render_template_string(TEMPLATE, nonce='"><b>')
    assert addresses(tags.replace(' nonce="&#34;&gt;&lt;b&gt;"', "")) == ("http://app.example/realtime/client.js",) * 2


@pytest.mark.parametrize(("root_path", "prefix"), [("", "/realtime"), ("/app", "/realtime"), ("/app", "/live")])
async def test_url_for_knows_every_path(root_path: str, prefix: str) -> None:
    app = page_app(prefix=prefix)
    async with app.test_request_context(f"{root_path}/", root_path=root_path):
        assert url_for("multitransport.client") == f"{root_path}{prefix}/client.js"
        assert url_for("multitransport.room", room="chat/hall") == f"{root_path}{prefix}/rooms/chat/hall"
        assert url_for("multitransport.health") == f"{root_path}{prefix}/health"


@pytest.mark.parametrize("path", ["client.js", "health", "rooms/chat/hall"])
async def test_without_a_lifespan_the_answer_says_so(path: str) -> None:
    response = await page_app(prefix="/live").test_client().get(f"/live/{path}")
    assert response.status_code == 503
    assert "multitransport is not running" in await response.get_data(as_text=True)


def test_an_application_takes_one_extension() -> None:
    app = page_app()
    with pytest.raises(ConfigurationError, match="already"):
        MultiTransport(app)
