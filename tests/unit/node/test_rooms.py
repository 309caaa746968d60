from __future__ import annotations

from typing import Any

import pytest

from multitransport.core.log import Retention
from multitransport.errors import ConfigurationError, Refuse
from multitransport.node.declarations import Declarations, RoomDeclaration
from multitransport.node.rooms import RoomTable


async def check(client: Any, **values: Any) -> None:
    """Let everybody in."""


def table(*rules: str) -> RoomTable:
    return RoomTable([RoomDeclaration(rule, check, 0, Retention(), None) for rule in rules])


RULES = (
    "lobby",
    "chat/<id>",
    "number/<int:n>",
    "price/<float:x>",
    "file/<path:name>",
    "one/<any(red, green):colour>",
    "two/<string(length=2):code>",
    "by/<uuid:key>",
    "pair/<a>/<b>",
    "slash/<a>/",
)
KEY = "12345678-1234-5678-1234-567812345678"


@pytest.mark.parametrize(
    ("name", "rule", "values"),
    [
        ("lobby", "lobby", {}),
        ("chat/1", "chat/<id>", {"id": "1"}),
        ("chat/größe 日本 🙂", "chat/<id>", {"id": "größe 日本 🙂"}),
        ("chat/a%20b", "chat/<id>", {"id": "a%20b"}),
        ("chat/a?b#c&d=e;f+g", "chat/<id>", {"id": "a?b#c&d=e;f+g"}),
        ("chat/a:b@c", "chat/<id>", {"id": "a:b@c"}),
        ("chat/..", "chat/<id>", {"id": ".."}),
        ("number/7", "number/<int:n>", {"n": 7}),
        ("number/0", "number/<int:n>", {"n": 0}),
        ("price/1.5", "price/<float:x>", {"x": 1.5}),
        ("file/a/b/c", "file/<path:name>", {"name": "a/b/c"}),
        ("one/red", "one/<any(red, green):colour>", {"colour": "red"}),
        ("two/de", "two/<string(length=2):code>", {"code": "de"}),
        ("pair/1/2", "pair/<a>/<b>", {"a": "1", "b": "2"}),
        ("slash/1/", "slash/<a>/", {"a": "1"}),
    ],
)
def test_a_name_is_resolved_to_its_rule_and_values(name: str, rule: str, values: dict[str, Any]) -> None:
    room = table(*RULES).resolve(name)
    assert (room.name, room.declaration.rule, room.values) == (name, rule, values)


def test_a_value_may_be_of_any_type_its_converter_makes() -> None:
    room = table(*RULES).resolve(f"by/{KEY}")
    assert str(room.values["key"]) == KEY


@pytest.mark.parametrize(
    "name",
    [
        "Lobby",
        "lobby/",
        "other",
        "chat/",
        "chat",
        "chat/1/2",
        "chat//1",
        "number/x",
        "number/-1",
        "number/1.0",
        "price/1",
        "one/blue",
        "two/deu",
        "by/x",
        "pair/1",
        "http://chat/1",
        "<id>",
    ],
)
def test_a_name_no_rule_fits_is_unknown(name: str) -> None:
    with pytest.raises(Refuse) as refused:
        table(*RULES).resolve(name)
    assert refused.value.code == "unknown_room"


@pytest.mark.parametrize(
    "name",
    ["number/007", "number/\u0667", "price/1.50", "price/01.5", "slash/1", "/lobby", f"by/{KEY.replace('1', 'A')}"],
)
def test_another_spelling_of_a_room_is_refused(name: str) -> None:
    with pytest.raises(Refuse, match="spelling") as refused:
        table(*RULES).resolve(name)
    assert refused.value.code == "bad_room"


@pytest.mark.parametrize(
    "name", ["", "@session/1", "chat/a\nb", "chat/\0", "chat/u\u0308", "chat/" + "x" * 300, "chat/\ud800"]
)
def test_a_name_nobody_may_use_is_refused_before_any_rule_is_tried(name: str) -> None:
    with pytest.raises(Refuse) as refused:
        table("<path:everything>").resolve(name)
    assert refused.value.code == "bad_room"


def test_a_rule_that_is_more_exact_comes_first() -> None:
    rooms = table("chat/<id>", "chat/lobby")
    assert rooms.resolve("chat/lobby").declaration.rule == "chat/lobby"
    assert rooms.resolve("chat/other").declaration.rule == "chat/<id>"


@pytest.mark.parametrize("name", ["other", "number/007"])
def test_every_refusal_is_an_exception_of_its_own(name: str) -> None:
    rooms = table(*RULES)
    refusals = []
    for _ in range(2):
        with pytest.raises(Refuse) as refused:
            rooms.resolve(name)
        refusals.append(refused.value)
    assert refusals[0] is not refusals[1]
    assert refusals[0].args == refusals[1].args


@pytest.mark.parametrize("rule", ["chat/<", "chat/<nothing:id>", "chat/<id>/<id>", "chat/<int(x=1):n>"])
def test_a_rule_werkzeug_does_not_know_is_told_at_the_start(rule: str) -> None:
    with pytest.raises(ConfigurationError):
        table(rule)


def test_declared_rooms_are_those_that_resolve() -> None:
    declared = Declarations()

    @declared.room("chat/<id>", history=7)
    async def join(client: Any, id: str) -> None:
        """Let everybody in."""

    room = RoomTable(declared.rooms).resolve("chat/1")
    assert (room.declaration.history, room.declaration.check) == (7, join)
