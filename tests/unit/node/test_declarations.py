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


def check(client: Any, *, b: str = "") -> None:
    """Let everybody in."""


async def amiddleware(client: Any, call: Any) -> None:
    """Take no proceed."""


def test_a_decorated_function_stays_what_it_was() -> None:
    declared = Declarations()

    def function(client: Any, data: Any = None) -> str:
        return "called"

    decorators = [
        declared.on_connect,
        declared.on_disconnect,
        declared.transports,
        declared.room("chat"),
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
    declared.on_disconnect(once=True)(divmod)
    assert declared.disconnect_callbacks == [(print, False), (divmod, True)]


def test_an_event_has_one_handler() -> None:
    declared = Declarations()
    declared.on("greet")(print)
    with pytest.raises(ConfigurationError, match="'greet'"):
        declared.on("greet")


def test_a_room_is_declared_with_what_it_keeps() -> None:
    declared = Declarations()

    def may_publish(client: Any, event: str, data: Any, b: str) -> None:
        """Let everybody publish."""

    kept: dict[str, Any] = {"history": 5, "retention_count": 6, "retention_seconds": 7.0, "retention_bytes": 8}
    declared.room("a/<b>", on_publish=may_publish, **kept)(check)
    [room] = declared.rooms
    assert (room.rule, room.check, room.history, room.on_publish) == ("a/<b>", check, 5, may_publish)
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
        ({"history": "3"}, "history is a number, not '3'"),
        ({"retention_seconds": True}, "retention_seconds is a number, not True"),
        ({"presence": "no"}, "presence is True or False, not 'no'"),
        ({"max_keys": 5}, "max_keys is for rooms of mode 'state'"),
        ({"history": -1}, "history -1 is not between 0 and"),
        ({"retention_seconds": -1.0}, "retention_seconds must be above 0"),
        ({"retention_seconds": float("inf")}, "retention_seconds must be .* at most 3153600000"),
        ({"retention_seconds": float("nan")}, "retention_seconds must be above 0"),
        ({"retention_seconds": 3_153_600_001}, "retention_seconds must be .* at most 3153600000"),
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
    declared.room("a/<b>")(check)
    with pytest.raises(ConfigurationError, match=r"'a/<b>' is declared already$"):
        declared.room("a/<b>")
    with pytest.raises(ConfigurationError, match="'a/<string:c>' is declared already, as 'a/<b>'"):
        declared.room("a/<string:c>")
    declared.room("a/<int:b>")(check)


def test_a_decorator_needs_its_name() -> None:
    declared: Any = Declarations()
    with pytest.raises(ConfigurationError, match=r"a room has a rule, .* which check is not"):
        declared.room(check)
    with pytest.raises(ConfigurationError, match=r"a handler has an event, .* which check is not"):
        declared.on(check)
    with pytest.raises(ConfigurationError, match="an event is 1 to 255 characters, not ''"):
        declared.on("")


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("", "neither be empty"),
        ("/chat", "'/chat', must neither be empty nor begin with a slash"),
        ("@x", "'@x': names that begin with @"),
        ("a/<b", "'a/<b': not a rule Werkzeug knows"),
        ("a/<none:b>", "'a/<none:b>': not a rule Werkzeug knows"),
    ],
)
def test_a_rule_that_no_room_fits_is_told(rule: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        Declarations().room(rule)


def nothing() -> None:
    """Take nothing."""


def three(a: Any, b: Any, c: Any) -> None:
    """Take three."""


@pytest.mark.parametrize(
    ("kind", "function", "words"),
    [
        ("on_connect", nothing, r"connect check must take \(client\); nothing takes \(\)"),
        ("on_connect", three, r"connect check must take \(client, auth\); three takes \(a, b, c\)"),
        ("on_disconnect", check, r"disconnect callback must take \(client, reason\); check takes \(client, b\)"),
        ("on_disconnect", three, r"disconnect callback must take \(client, reason\)"),
        ("transports", nothing, r"transport hook must take \(client, transport\)"),
        ("middleware", amiddleware, r"middleware must take \(client, call, proceed\); amiddleware takes"),
        ("on", nothing, r"handler of 'e' must take \(client, data\); nothing takes \(\)"),
        ("on", three, r"handler of 'e' must take \(client, data\)"),
        ("room", nothing, r"check of the room 'chat/<b>' must take \(client, b\); nothing takes \(\)"),
    ],
)
def test_a_function_that_cannot_be_called_is_told(kind: str, function: Any, words: str) -> None:
    declared = Declarations()
    declare = {"on": declared.on("e"), "room": declared.room("chat/<b>")}.get(kind) or getattr(declared, kind)
    with pytest.raises(ConfigurationError, match=words):
        declare(function)


@pytest.mark.parametrize(
    ("on_publish", "words"),
    [
        (True, "on_publish of the room 'chat/<b>' is a function, not True"),
        (three, r"on_publish of the room 'chat/<b>' must take \(client, event, data, b\); three takes \(a, b, c\)"),
    ],
)
def test_an_on_publish_that_cannot_be_called_is_told(on_publish: Any, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        Declarations().room("chat/<b>", on_publish=on_publish)


def test_a_variable_of_a_state_rooms_rule_that_on_publish_is_told_something_else_by_is_refused() -> None:
    async def on_publish(client: Any, event: str, data: Any, key: str) -> None:
        """Be told of one key, and want to know of two."""

    with pytest.raises(ConfigurationError, match="'key' is what on_publish has"):
        Declarations().room("board/<key>", mode="state", on_publish=on_publish)
    Declarations().room("board/<key>", on_publish=on_publish)
