"""Data read as the type of its handler, pydantic's models among them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from multitransport.errors import ConfigurationError, Refuse
from multitransport.node.payload import Payload, decode_json, read_data


class Point(msgspec.Struct):
    x: int
    y: int = 0


@dataclass
class Size:
    width: int


class Photo(msgspec.Struct):
    pixels: bytes


class Unknown:
    """Nobody can read this."""


def refusal(type_: Any, data: Raw | bytes) -> str:
    """Return why data is refused."""
    with pytest.raises(Refuse) as refused:
        Payload(type_).read(data)
    assert refused.value.code == "invalid"
    return refused.value.message


@pytest.mark.parametrize(
    ("type_", "data", "value"),
    [
        (Any, b'{"a": [1]}', {"a": [1]}),
        (Point, b'{"x": 1}', Point(1)),
        (Size, b'{"width": 2}', Size(2)),
        (list[Point], b'[{"x": 1}]', [Point(1)]),
        (int | None, b"null", None),
        (Photo, b'{"pixels": "AAE="}', Photo(b"\0\1")),
    ],
)
def test_json_is_read_as_the_type(type_: Any, data: bytes, value: Any) -> None:
    assert Payload(type_).read(Raw(data)) == value


@pytest.mark.parametrize(
    ("type_", "data", "words"),
    [
        (Point, b'{"x": "1"}', "$.x"),
        (list[Point], b'[{"x": 1}, {}]', "$[1]"),
        (Any, b"[" * 10_000 + b"]" * 10_000, ""),
        (Any, b'"\\ud800"', ""),
        (int, b"1e999", "range"),
    ],
)
def test_what_does_not_fit_is_invalid_and_the_field_is_named(type_: Any, data: bytes, words: str) -> None:
    assert words in refusal(type_, Raw(data))


@pytest.mark.parametrize("type_", [bytes, bytes | None, bytearray, memoryview])
def test_text_is_no_bytes_even_if_it_is_base64(type_: Any) -> None:
    assert refusal(type_, Raw(b'"AAE="')) == "Expected `bytes`, got `str`"


def test_bytes_are_themselves() -> None:
    assert [Payload(type_).read(b"\0\xff") for type_ in (Any, bytes)] == [b"\0\xff"] * 2
    assert refusal(Point, b"\0") == "Expected `object`, got `bytes`"
    assert refusal(str, b"text") == "Expected `str`, got `bytes`"
    assert (read_data(b"\0"), read_data(Raw(b"[1]"))) == (b"\0", [1])


def test_json_that_nobody_can_hold_is_invalid() -> None:
    with pytest.raises(Refuse):
        decode_json(b"1e999")


@pytest.mark.parametrize("type_", [Unknown, Unknown | int, set[Unknown] | list[int]])
def test_a_type_that_nobody_can_read_is_told_at_once(type_: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"Unknown|not supported"):
        Payload(type_)


# Pydantic, where it is installed


@pytest.fixture
def model() -> Any:
    pydantic = pytest.importorskip("pydantic")
    return pydantic.create_model("Greeting", name=(str, ...), times=(list[int], []))


def test_a_model_is_read(model: Any) -> None:
    assert Payload(model).read(Raw(b'{"name": "ann", "times": ["1"]}')) == model(name="ann", times=[1])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b'{"name": 7}', "$.name"),
        (b'{"name": "ann", "times": [1, "x"]}', "$.times[1]"),
        (b"[]", "$"),
        (b"[" * 5000 + b"]" * 5000, "recursion"),
    ],
)
def test_what_does_not_fit_a_model_is_invalid_and_the_field_is_named(model: Any, data: bytes, words: str) -> None:
    message = refusal(model, Raw(data))
    assert words in message
    assert "pydantic" not in message


def test_models_within_other_types_are_read(model: Any) -> None:
    assert Payload(list[model]).read(Raw(b'[{"name": "ann"}]')) == [model(name="ann")]
    assert Payload(model | None).read(Raw(b"null")) is None
    message = refusal(dict[str, model], Raw(b'{"a": {"name": 7}}'))
    assert message == "Input should be a valid string - at `$[...].name`"
    message = refusal(list[model], Raw(b'[{"name": "ann"}, {"name": 7, "times": 7}]'))
    assert [part.rpartition(" - ")[2] for part in message.split("; ")] == ["at `$[1].name`", "at `$[1].times`"]
    message = refusal(model | None, Raw(b'{"name": 7, "times": 7}'))
    assert [part.rpartition(" - ")[2] for part in message.split("; ")] == ["at `$.name`", "at `$.times`"]


def test_bytes_are_no_model(model: Any) -> None:
    assert refusal(model, b"\0") == "Expected `object`, got `bytes`"
