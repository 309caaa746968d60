from __future__ import annotations

import msgspec

from multitransport.core.limits import Limits


def test_what_a_message_may_be_holds_what_an_outcome_and_a_batch_may_be() -> None:
    limits = Limits()
    assert limits.max_outcome_bytes <= limits.max_message_bytes
    assert limits.batch_bytes <= limits.max_message_bytes


def test_they_are_those_the_protocol_page_states() -> None:
    limits = Limits()
    stated = (limits.max_message_bytes, limits.window, limits.max_outcome_bytes, limits.max_session_rooms)
    assert stated == (1_048_576, 64, 1_048_576, 1_000)


def test_every_limit_is_a_positive_number() -> None:
    assert all(isinstance(value, int) and value > 0 for value in msgspec.structs.asdict(Limits()).values())
