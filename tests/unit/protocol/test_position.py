from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multitransport.protocol.position import MAX_COUNT, Position


@given(st.text(min_size=1), st.integers(0, MAX_COUNT))
def test_what_is_written_is_read_again(epoch: str, offset: int) -> None:
    position = Position(epoch, offset)
    assert Position.parse(str(position)) == position


def test_it_is_written_with_a_colon() -> None:
    assert str(Position("e1", 5)) == "e1:5"


@pytest.mark.parametrize(
    "text",
    ["", ":", "e1", "e1:", ":5", "e1:-1", "e1:+1", "e1: 1", "e1:1.0", "e1:x", "e1:٣", "e1:²", f"e1:{MAX_COUNT + 1}"],
)
def test_what_is_no_position_is_none(text: str) -> None:
    assert Position.parse(text) is None


def test_a_number_of_any_length_is_no_work() -> None:
    assert Position.parse("e1:" + "9" * 1_000_000) is None


def test_the_last_colon_divides() -> None:
    assert Position.parse("a:b:7") == Position("a:b", 7)
