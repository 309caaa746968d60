from __future__ import annotations

from typing import Any

import msgspec
import pytest

from multitransport.errors import ConfigurationError
from multitransport.node.settings import TRANSPORTS, Settings


def test_the_defaults_are_those_the_protocol_page_states() -> None:
    settings = Settings()
    assert (settings.prefix, settings.transports) == ("/realtime", TRANSPORTS)
    assert (settings.ping_seconds, settings.grace_seconds, settings.hello_seconds) == (25.0, 10.0, 10.0)
    assert (settings.resume_seconds, settings.poll_seconds, settings.stalled_seconds) == (120.0, 25.0, 30.0)


def test_it_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Settings().prefix = "/x"  # type: ignore[misc]


@pytest.mark.parametrize("prefix", ["", "realtime", "/", "/realtime/", "realtime/"])
def test_a_prefix_begins_with_a_slash_and_does_not_end_with_one(prefix: str) -> None:
    with pytest.raises(ConfigurationError, match="prefix"):
        Settings(prefix=prefix)


@pytest.mark.parametrize("transports", [(), ("websockets",), ("websocket", "carrier pigeon")])
def test_transports_are_some_of_those_there_are(transports: tuple[str, ...]) -> None:
    with pytest.raises(ConfigurationError, match="transports"):
        Settings(transports=transports)


def test_one_transport_is_enough() -> None:
    assert Settings(transports=("poll",)).transports == ("poll",)


def test_a_broker_nobody_has_written_is_told() -> None:
    with pytest.raises(ConfigurationError, match="pigeon"):
        Settings(broker="pigeon")


NUMBERS = [name for name, value in msgspec.structs.asdict(Settings()).items() if type(value) in (int, float)]


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [0, 0.0, -1, -0.5, float("nan")])
def test_every_number_is_above_zero(name: str, value: float) -> None:
    changed: dict[str, Any] = {name: value}
    with pytest.raises(ConfigurationError, match=name):
        Settings(**changed)


@pytest.mark.parametrize("name", [name for name in NUMBERS if name.endswith("_seconds")])
def test_durations_may_be_below_a_second(name: str) -> None:
    changed: dict[str, Any] = {name: 0.01}
    assert getattr(Settings(**changed), name) == 0.01


@pytest.mark.parametrize("name", [name for name in NUMBERS if name.endswith("_seconds")])
@pytest.mark.parametrize("value", [float("inf"), 1e10])
def test_no_duration_is_longer_than_can_be_counted(name: str, value: float) -> None:
    changed: dict[str, Any] = {name: value}
    with pytest.raises(ConfigurationError, match=f"{name} must be at most 3153600000"):
        Settings(**changed)
