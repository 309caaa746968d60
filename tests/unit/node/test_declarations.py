from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from multitransport.core.log import Retention
from multitransport.errors import ConfigurationError
from multitransport.node.declarations import Declarations

if TYPE_CHECKING:
    from decimal import Decimal


@dataclass
class Greeting:
    name: str


def test_a_decorated_function_stays_what_it_was() -> None:
    declared = Declarations()

    def function(client: Any, data: Any = None) -> str:
        return "called"

    decorators = [
        declared.on_connect,
        declared.on_disconnect,
        declared.transports,
        declared.room("chat/<id>"),
        declared.on("e"),
    ]
    assert all(decorate(function) is function for decorate in decorators)
    assert function(None) == "called"


def test_there_is_one_connect_check_and_one_transport_hook() -> None:
    declared = Declarations()
    declared.on_connect(print)
    declared.transports(print)
    with pytest.raises(ConfigurationError, match="connect check"):
        declared.on_connect(print)
    with pytest.raises(ConfigurationError, match="transport hook"):
        declared.transports(print)


def test_there_may_be_several_disconnect_callbacks() -> None:
    declared = Declarations()
    declared.on_disconnect(print)
    declared.on_disconnect(repr)
    assert declared.disconnect_callbacks == [print, repr]


def test_an_event_has_one_handler() -> None:
    declared = Declarations()
    declared.on("greet")(print)
    with pytest.raises(ConfigurationError, match="'greet'"):
        declared.on("greet")


def test_a_room_is_declared_with_what_it_keeps() -> None:
    declared = Declarations()
    declared.room("a/<b>", history=5, retention_count=6, retention_seconds=7.0, retention_bytes=8, on_publish=repr)(
        print
    )
    [room] = declared.rooms
    assert (room.rule, room.check, room.history, room.on_publish) == ("a/<b>", print, 5, repr)
    assert room.retention == Retention(count=6, seconds=7.0, bytes=8)


def test_more_history_than_is_kept_is_told() -> None:
    declared = Declarations()
    declared.room("a", history=10, retention_count=10)
    with pytest.raises(ConfigurationError, match=r"'a'.* 11 .* 10 "):
        declared.room("a", history=11, retention_count=10)


def test_the_type_of_the_data_is_the_annotation_of_the_second_parameter() -> None:
    declared = Declarations()

    @declared.on("typed")
    async def typed(client: Any, greeting: Greeting) -> None:
        """Take a greeting."""

    @declared.on("plain")
    async def plain(client, data) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
        """Take anything."""

    assert declared.handlers["typed"].payload_type() is Greeting
    assert declared.handlers["plain"].payload_type() is Any


def test_a_handler_that_takes_no_data_is_told() -> None:
    declared = Declarations()

    @declared.on("e")
    async def handler(client: Any) -> None:
        """Take nothing."""

    with pytest.raises(ConfigurationError, match=r"'e' must take \(client, data\)"):
        declared.handlers["e"].payload_type()


def test_an_annotation_that_is_not_there_at_run_time_is_told() -> None:
    declared = Declarations()

    @declared.on("e")
    async def handler(client: Any, data: Decimal) -> None:
        """Take what only a type checker knows."""

    with pytest.raises(ConfigurationError, match="Decimal"):
        declared.handlers["e"].payload_type()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mode": "state", "slow": "skip"}, "'skip' is not for rooms of mode 'state'"),
        ({"slow": "conflate"}, "'conflate' is not for rooms of mode 'log'"),
        ({"mode": "stat"}, "mode is 'log' or 'state', not 'stat'"),
        ({"slow": "drop"}, "slow is 'skip', 'conflate' or 'disconnect', not 'drop'"),
        ({"mode": "state", "max_keys": 0}, "max_keys must be above 0"),
        ({"mode": "state", "history": 1}, "no history"),
        ({"history": -1}, "history -1 is not between 0 and"),
        ({"retention_seconds": -1.0}, "retention_seconds must be above 0"),
        ({"retention_bytes": 0}, "retention_bytes must be above 0"),
    ],
)
def test_a_room_that_cannot_be_meant_is_told(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        Declarations().room("a", **options)


@pytest.mark.parametrize("slow", [None, "conflate", "disconnect"])
def test_a_state_room_conflates_or_disconnects(slow: Any) -> None:
    declared = Declarations()
    declared.room("a", mode="state", max_keys=7, slow=slow)(print)
    retention = declared.rooms[0].retention
    assert (retention.keys, retention.disconnect) == (7, slow == "disconnect")


def test_a_room_is_declared_once() -> None:
    declared = Declarations()
    declared.room("a/<b>")(print)
    with pytest.raises(ConfigurationError, match="'a/<b>' is declared already"):
        declared.room("a/<b>")
