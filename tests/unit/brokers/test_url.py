from __future__ import annotations

import pytest

from multitransport.brokers.url import check_broker, named
from multitransport.errors import ConfigurationError


@pytest.mark.parametrize(
    "broker",
    [
        "memory",
        "redis://localhost:6379/0",
        "rediss://user:password@redis.example",
        "unix:///run/redis.sock?db=1",
        "redis+sentinel://a,b/group",
        "rediss+cluster://a:7000",
    ],
)
def test_memory_and_every_kind_of_redis_is_a_broker(broker: str) -> None:
    check_broker(broker)


@pytest.mark.parametrize("broker", ["", "redis", "redis:6379", "Memory", "localhost:6379", "http://a", "amqp://a:b@c"])
def test_what_is_no_broker_is_refused_with_what_there_is(broker: str) -> None:
    with pytest.raises(ConfigurationError, match=r"'memory' or a Redis: redis://host:6379/0"):
        check_broker(broker)


@pytest.mark.parametrize(
    ("broker", "name"),
    [
        ("redis://user:secret@host:6379/0", "redis://host:6379/0"),
        ("redis+sentinel://:secret@a:1,b:2/group?sentinel_password=secret", "redis+sentinel://a:1,b:2/group"),
        ("unix://:secret@/run/redis.sock?db=1", "unix:///run/redis.sock"),
        ("amqp://user:secret@host", "amqp://host"),
        ("user:secret@host:6379", "host:6379"),
        ("redis:user:secret@host", "host"),
        ("redis://user:se@cret@host", "redis://host"),
        ("redis://user:se/cret@host", "redis://host"),
        ("redis://user:se?cret@host/1", "redis://…"),
        ("redis://user:se#cret@host/1", "redis://…"),
        ("redis+sentinel://a/group?sentinel_password=se@cret", "redis+sentinel://…"),
        ("redis://user:se://cret@host", "redis://host"),
        ("user:se@host://cret@host", "host"),
        ("pigeon", "pigeon"),
    ],
)
def test_the_name_of_a_broker_has_no_secret(broker: str, name: str) -> None:
    assert named(broker) == name
    assert "cret" not in named(broker)
