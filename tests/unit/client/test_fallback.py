"""The choice of a transport, from nothing but how attempts ended."""

from __future__ import annotations

import pytest

from multitransport.client.events import Closed
from multitransport.client.fallback import Ended, Fallback, Stage, Step
from multitransport.client.limits import STABLE_SECONDS, UPGRADE_BASE_SECONDS, UPGRADE_CAP_SECONDS, YOUNG_DEATHS
from multitransport.protocol.codes import CloseCode

ALL = ("websocket", "sse", "poll")
BLOCKED = Ended(Stage.NOTHING, "handshake refused")
BUFFERED = Ended(Stage.WELCOMED, "no answer to the ping")
NO_NETWORK = Ended(Stage.NOTHING, "connection refused", network=True)
YOUNG = Ended(Stage.CONFIRMED, "reset", 1.0)
OLD = Ended(Stage.CONFIRMED, "reset", STABLE_SECONDS)


def closed(code: CloseCode, stage: Stage = Stage.CONFIRMED, seconds: float = 1.0) -> Ended:
    return Ended(stage, "closed", seconds, Closed(code))


def test_the_first_is_preferred() -> None:
    assert Fallback(ALL).choice == "websocket"


@pytest.mark.parametrize("failure", [BLOCKED, BUFFERED])
def test_one_that_does_not_come_about_is_left_at_once(failure: Ended) -> None:
    fallback = Fallback(ALL)
    assert (fallback.after(failure), fallback.choice) == (Step.AT_ONCE, "sse")
    assert (fallback.after(failure), fallback.choice) == (Step.AT_ONCE, "poll")


def test_when_all_have_failed_a_pause_comes_before_the_next_round() -> None:
    fallback = Fallback(ALL)
    steps = [fallback.after(BLOCKED) for _ in range(6)]
    assert steps == [Step.AT_ONCE, Step.AT_ONCE, Step.AFTER_BACKOFF] * 2
    assert fallback.choice == "websocket"


def test_a_dead_network_is_not_blamed_on_the_transport() -> None:
    fallback = Fallback(ALL)
    assert {fallback.after(NO_NETWORK) for _ in range(10)} == {Step.AFTER_BACKOFF}
    assert fallback.choice == "websocket"


@pytest.mark.parametrize("code", [CloseCode.GOING_AWAY, CloseCode.TOO_MANY_SESSIONS, CloseCode.INTERNAL])
def test_what_the_server_decides_is_not_blamed_on_the_transport(code: CloseCode) -> None:
    fallback = Fallback(ALL)
    assert {fallback.after(closed(code)) for _ in range(10)} == {Step.AFTER_BACKOFF}
    assert fallback.choice == "websocket"


def test_open_then_die_moves_on_after_a_few_times() -> None:
    fallback = Fallback(ALL)
    for _ in range(YOUNG_DEATHS - 1):
        assert (fallback.after(YOUNG), fallback.choice) == (Step.AFTER_BACKOFF, "websocket")
    assert (fallback.after(YOUNG), fallback.choice) == (Step.AT_ONCE, "sse")


def test_a_stable_time_forgives_earlier_deaths() -> None:
    fallback = Fallback(ALL)
    for _ in range(5):
        fallback.after(YOUNG)
        assert (fallback.after(OLD), fallback.choice) == (Step.AFTER_BACKOFF, "websocket")


def test_one_the_server_does_not_allow_is_never_tried_again() -> None:
    fallback = Fallback(ALL)
    assert fallback.after(closed(CloseCode.TRANSPORT_NOT_ALLOWED, Stage.NOTHING)) is Step.AT_ONCE
    assert (fallback.transports, fallback.choice) == (("sse", "poll"), "sse")
    fallback.after(closed(CloseCode.TRANSPORT_NOT_ALLOWED, Stage.NOTHING))
    assert fallback.after(closed(CloseCode.TRANSPORT_NOT_ALLOWED, Stage.NOTHING)) is Step.STOP


def test_final_closes_stop_and_being_superseded_means_a_session_of_ones_own() -> None:
    fallback = Fallback(ALL)
    assert fallback.after(closed(CloseCode.REFUSED, Stage.NOTHING)) is Step.STOP
    assert fallback.after(closed(CloseCode.BAD_PROTOCOL)) is Step.STOP
    assert fallback.after(closed(CloseCode.SUPERSEDED)) is Step.RENEW


def test_being_superseded_by_ones_own_transport_is_not_being_copied() -> None:
    ended = Ended(Stage.CONFIRMED, "superseded", 1.0, Closed(CloseCode.SUPERSEDED), newest=False)
    assert Fallback(ALL).after(ended) is Step.AFTER_BACKOFF


def test_it_begins_with_the_one_it_is_told_to_use() -> None:
    fallback = Fallback(ALL)
    fallback.use(("sse", "poll"), "poll")
    assert fallback.choice == "poll"
    assert (fallback.after(BLOCKED), fallback.choice) == (Step.AT_ONCE, "sse")


def test_a_better_transport_is_tried_less_and_less_often_until_it_has_proved_good() -> None:
    fallback, waits = Fallback(ALL), []
    for _ in range(8):
        waits.append(fallback.upgrade_seconds)
        fallback.upgrading()
    assert waits[:3] == [UPGRADE_BASE_SECONDS, 2 * UPGRADE_BASE_SECONDS, 4 * UPGRADE_BASE_SECONDS]
    assert waits[-1] == UPGRADE_CAP_SECONDS
    fallback.after(YOUNG)
    assert fallback.upgrade_seconds == UPGRADE_CAP_SECONDS
    fallback.after(OLD)
    assert fallback.upgrade_seconds == UPGRADE_BASE_SECONDS
