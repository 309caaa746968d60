from __future__ import annotations

import importlib.util
from typing import Any

import pytest

from multitransport.brokers.memory import MemoryBroker, MemorySessionStore
from multitransport.brokers.redis import RedisBroker
from multitransport.brokers.redis.bus import RedisBus
from multitransport.brokers.redis.sessions.store import RedisSessionStore
from multitransport.errors import ConfigurationError
from multitransport.node.settings import Settings
from multitransport.quart.backend import choose_backend


async def test_memory_is_this_process_and_needs_no_bus() -> None:
    backend = choose_backend(Settings(), ["k"])
    assert isinstance(backend.broker, MemoryBroker)
    assert isinstance(backend.store, MemorySessionStore)
    assert backend.bus is None
    assert (backend.broker.fault, backend.store.fault) == (None, None)


async def test_a_url_is_a_redis_with_the_settings() -> None:
    settings = Settings(broker="redis://localhost/3", redis_prefix="shop", lease_seconds=4.0, room_idle_seconds=5.0)
    backend = choose_backend(settings, ["k"])
    assert isinstance(backend.broker, RedisBroker)
    assert isinstance(backend.store, RedisSessionStore)
    assert isinstance(backend.bus, RedisBus)
    assert backend.broker.keys.room_channel("a") == b"shop:3:room:{.a}"
    assert (backend.broker.timing.lease_seconds, backend.broker.timing.idle_seconds) == (4.0, 5.0)
    assert backend.broker.until() > 0, "before its first lease a node may publish nothing"


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"broker": "redis://localhost/x"}, "number"),
        ({"broker": "redis://localhost?what=1"}, "what"),
        ({"broker": "redis://localhost:port"}, "port"),
        ({"broker": "redis+cluster://localhost/1"}, "no databases"),
        ({"broker": "rediss://localhost?ca_certs=/nowhere/ca.pem"}, "ca_certs=/nowhere/ca.pem"),
        ({"broker": "redis://localhost", "redis_prefix": "a b"}, "prefix"),
    ],
)
async def test_what_cannot_be_meant_is_told_without_secrets(changed: dict[str, Any], told: str) -> None:
    changed["broker"] = changed["broker"].replace("//", "//user:secret@")
    with pytest.raises(ConfigurationError, match=told) as refused:
        choose_backend(Settings(**changed), ["k"])
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("password", ["se/cret", "se?cret", "se#cret", "1/cret", "1?cret"])
@pytest.mark.parametrize("scheme", ["redis", "rediss", "redis+sentinel", "redis+cluster"])
async def test_a_password_that_is_not_escaped_is_refused_untold(scheme: str, password: str) -> None:
    with pytest.raises(ConfigurationError, match="%2F") as refused:
        choose_backend(Settings(broker=f"{scheme}://user:{password}@localhost/group"), ["k"])
    assert "se" not in str(refused.value).replace("redis+sentinel", "")
    assert "cret" not in str(refused.value)


async def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("multitransport.quart.backend.find_spec", lambda name: None)
    assert importlib.util.find_spec("hiredis"), "it is there, in truth"
    with pytest.raises(ConfigurationError, match=r"redis://localhost needs .* pip install 'multitransport\[redis\]'"):
        choose_backend(Settings(broker="redis://:secret@localhost"), ["k"])
