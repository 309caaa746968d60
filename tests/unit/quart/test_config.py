from __future__ import annotations

import logging
from typing import Any

import pytest
from quart import Quart

from multitransport.errors import ConfigurationError
from multitransport.node.settings import Settings
from multitransport.quart.config import read_secret_keys, read_settings


def app_with(**config: Any) -> Quart:
    app = Quart(__name__)
    app.config.update(config)
    return app


def test_without_configuration_the_defaults_hold() -> None:
    assert read_settings(app_with(), {}) == Settings()


def test_the_configuration_overrides_keyword_arguments() -> None:
    app = app_with(MULTITRANSPORT_PING_SECONDS=3)
    assert read_settings(app, {"ping_seconds": 5, "grace_seconds": 6}) == Settings(ping_seconds=3.0, grace_seconds=6.0)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("ping_seconds", "2.5", 2.5),
        ("window", "16", 16),
        ("hypercorn_drain", "false", False),
        ("transports", "sse, poll", ("sse", "poll")),
        ("transports", ["poll"], ("poll",)),
        ("origins", "https://a.example", ("https://a.example",)),
    ],
)
def test_text_as_in_environment_variables_is_converted(name: str, text: Any, value: Any) -> None:
    settings = read_settings(app_with(**{f"MULTITRANSPORT_{name.upper()}": text}), {})
    assert getattr(settings, name) == value


def test_a_typo_is_refused_with_the_nearest_right_name() -> None:
    with pytest.raises(
        ConfigurationError, match=r"MULTITRANSPORT_PING_SECOND is not .*; did you mean MULTITRANSPORT_PING_SECONDS\?"
    ):
        read_settings(app_with(MULTITRANSPORT_PING_SECOND=1), {})
    with pytest.raises(ConfigurationError, match=r"pingseconds= is not .*; did you mean ping_seconds=\?"):
        read_settings(app_with(), {"pingseconds": 1})


@pytest.mark.parametrize("value", ["soon", None, [1], -1])
def test_a_value_that_does_not_fit_is_refused_by_name(value: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"(?i)ping_seconds"):
        read_settings(app_with(MULTITRANSPORT_PING_SECONDS=value), {})


def test_the_secret_key_signs_and_the_fallbacks_verify() -> None:
    app = app_with(SECRET_KEY="now", SECRET_KEY_FALLBACKS=["before", b"long before"])
    assert read_secret_keys(app) == ["long before", "before", "now"]


def test_without_a_secret_key_there_is_a_random_one_and_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "multitransport"):
        keys, others = read_secret_keys(app_with()), read_secret_keys(app_with())
    assert keys != others
    assert len(keys[0]) > 30
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 2
    assert "set app.secret_key" in caplog.text


def test_nodes_that_share_a_broker_must_share_a_secret_key() -> None:
    with pytest.raises(ConfigurationError, match="SECRET_KEY must be set, the same for each of them"):
        read_secret_keys(app_with(), shared=True)
    assert read_secret_keys(app_with(SECRET_KEY="now"), shared=True) == ["now"]


def test_the_broker_is_a_setting_as_any_other() -> None:
    app = app_with(MULTITRANSPORT_BROKER="redis://localhost/1", MULTITRANSPORT_LEASE_SECONDS="3")
    settings = read_settings(app, {"broker": "memory", "redis_prefix": "shop"})
    assert (settings.broker, settings.redis_prefix, settings.lease_seconds) == ("redis://localhost/1", "shop", 3.0)
    with pytest.raises(ConfigurationError, match="there is no broker 'amqp://host'") as refused:
        read_settings(app_with(MULTITRANSPORT_BROKER="amqp://user:secret@host"), {})
    assert "secret" not in str(refused.value)
