from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multitransport.core.names import MAX_NAME_BYTES, name_fault


@pytest.mark.parametrize(
    "name",
    ["a", "chat/1", "größe", "a b", "a@b", "a%20b", "a//b", "/a", "日本語", "🙂", "x" * 255, "ü" * 127, "a\u2028b"],
)
def test_a_name_that_may_be(name: str) -> None:
    assert name_fault(name) is None


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "empty"),
        ("x" * 256, "255 bytes"),
        ("ü" * 128, "255 bytes"),
        ("🙂" * 64, "255 bytes"),
        ("@", "server's own"),
        ("@session/1", "server's own"),
        ("a\nb", "control"),
        ("a\0", "control"),
        ("\x7f", "control"),
        ("\x85", "control"),
        ("\t", "control"),
        ("u\u0308ber", "normal form C"),
        ("\u212b", "normal form C"),
        ("a\ud800", "Unicode"),
    ],
)
def test_a_name_that_may_not_be(name: str, why: str) -> None:
    assert why in (name_fault(name) or "")


def test_a_name_of_any_length_is_no_work() -> None:
    assert "255 bytes" in (name_fault("\u0308" * 1_000_000) or "")


@given(st.text())
def test_a_name_that_may_be_has_one_spelling(name: str) -> None:
    if name_fault(name) is None:
        assert unicodedata.normalize("NFC", name) == name
        assert 1 <= len(name.encode()) <= MAX_NAME_BYTES
