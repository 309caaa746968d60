"""FakeClock."""

from __future__ import annotations

import pytest

from multitransport.testing.clock import FakeClock


def test_it_moves_only_when_told_and_never_back() -> None:
    clock = FakeClock(5.0)
    assert (clock(), clock()) == (5.0, 5.0)
    clock.advance(2.5)
    assert clock() == 7.5
    with pytest.raises(ValueError, match="backwards"):
        clock.advance(-1)
