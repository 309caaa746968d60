"""A real Redis takes the configuration of the how-to, and the keys of nodes change without a break."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from quart import Quart

from multitransport.brokers.redis.envelopes import Foreign, Seal, Tell
from multitransport.brokers.redis.sessions.records import ForeignRecord, Records
from multitransport.node.tokens import Tokens
from multitransport.quart.config import read_secret_keys
from tests.proxies import DOCS, documented
from tests.redis_server import RedisServer

STEPS: list[dict[str, Any]] = [
    {"SECRET_KEY": "old"},
    {"SECRET_KEY": "old", "SECRET_KEY_FALLBACKS": ["new"]},
    {"SECRET_KEY": "new", "SECRET_KEY_FALLBACKS": ["old"]},
    {"SECRET_KEY": "new"},
]
"""What the configuration of nodes says, one deploy after the other."""


async def test_redis_takes_what_is_written(tmp_path: Path) -> None:
    file = tmp_path / "redis.conf"
    file.write_text(documented("howto/deploy-nodes.md", "redis"), encoding="utf-8")
    async with RedisServer("--include", str(file)) as server:
        for name, value in (
            ("appendonly", b"yes"),
            ("appendfsync", b"everysec"),
            ("maxmemory-policy", b"noeviction"),
            ("save", b""),
        ):
            assert (await server.call("CONFIG", "GET", name))[1] == value


SAID = Tell(1, "node", "hello")


def keys(step: int) -> list[str]:
    app = Quart(__name__)
    app.config.update(STEPS[step])
    return read_secret_keys(app)


def understands(reader: int, writer: int) -> bool:
    """Tell whether a node of one step takes what one of another has signed: all of it, or none."""
    told = Seal(keys(writer)).close(b"a channel", SAID)
    kept = Records(keys(writer)).identity(b"a key", "new", "ann", b"hash")
    try:
        assert Seal(keys(reader)).open(b"a channel", told) == SAID
        heard = True
    except Foreign:
        heard = False
    try:
        assert Records(keys(reader)).verify(b"a key", kept).user_id == "ann"
        found = True
    except ForeignRecord:
        found = False
    believed = Tokens(keys(reader)).read(Tokens(keys(writer)).sign("id", "secret")) is not None
    assert heard == found == believed
    return heard


@pytest.mark.parametrize("step", range(1, len(STEPS)))
def test_nodes_of_two_deploys_understand_each_other(step: int) -> None:
    assert understands(step, step - 1)
    assert understands(step - 1, step)


def test_without_the_first_step_they_do_not() -> None:
    assert not understands(0, 2)


def test_the_steps_are_those_of_the_page() -> None:
    text = (DOCS / "discussion/threats.md").read_text(encoding="utf-8")
    for step in STEPS[1:]:
        said = [f"{name} = {str(value).replace(chr(39), '')}" for name, value in step.items()]
        assert f". `{'`, `'.join(said)}`" in text
