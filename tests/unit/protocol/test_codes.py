from __future__ import annotations

import pytest

from multitransport.protocol.codes import CloseCode, ErrorCode, is_final


@pytest.mark.parametrize(
    ("code", "final"),
    [
        (1000, False),
        (1006, False),
        (2999, False),
        (3000, False),
        (3499, False),
        (3500, True),
        (3999, True),
        (4000, False),
        (4499, False),
        (4500, True),
        (4999, True),
        (5000, False),
    ],
)
def test_the_range_of_a_code_says_whether_to_come_back(code: int, final: bool) -> None:
    assert is_final(code) is final


def test_a_close_code_is_its_number_and_knows_its_status() -> None:
    assert (int(CloseCode.STALE_ATTACH), CloseCode.STALE_ATTACH.http_status) == (3006, 409)
    assert {400, 403, 404, 405, 408, 409, 410, 413, 415, 500, 503, 200} == {code.http_status for code in CloseCode}


def test_every_close_code_of_the_library_lies_in_its_own_range() -> None:
    assert all(3000 <= code < 4000 for code in CloseCode)


def test_an_error_code_is_its_word() -> None:
    assert str(ErrorCode.OUTCOME_UNKNOWN) == "outcome_unknown"
    assert all(code == code.name.lower() for code in ErrorCode)
