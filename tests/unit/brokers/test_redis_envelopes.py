from __future__ import annotations

from multitransport.brokers.redis.envelopes import Heard


def test_what_comes_again_is_known_in_whatever_order_it_came() -> None:
    heard = Heard()
    ids = [1, 3, 2, 40_000, 39_000, 39_500]
    assert all(heard.is_new("n", each) for each in ids)
    assert not any(heard.is_new("n", each) for each in ids)
    assert heard.is_new("other", 1)


def test_what_comes_far_too_late_is_not_new() -> None:
    heard = Heard()
    assert heard.is_new("n", 100_000)
    assert not heard.is_new("n", 4)
    assert heard.is_new("n", 99_000)


def test_neither_ids_nor_nodes_are_kept_for_ever() -> None:
    heard = Heard()
    assert all(heard.is_new("n", each) for each in range(1, 200_000))
    assert heard._of["n"][1].bit_length() == 1 << 14
    assert not heard.is_new("n", 199_999)
    for number in range(2000):
        assert heard.is_new(f"n{number}", 1)
    assert len(heard._of) == 1000
    assert not heard.is_new("n1999", 1)
