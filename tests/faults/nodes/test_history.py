"""The judges of the cluster's tests: each must find what is wrong in a history made up for it."""

from __future__ import annotations

import pytest

from multitransport.client import Gap, Publication
from multitransport.protocol.position import Position
from tests.faults.nodes.history import (
    Reading,
    Said,
    complaints_of_members,
    complaints_of_readings,
    complaints_of_requests,
)


def pub(offset: int, serial: int, epoch: str = "e") -> Publication:
    return Publication("r", "said", {"serial": serial}, Position(epoch, offset))


def gap(offset: int, epoch: str = "e", lost: int | None = None) -> Gap:
    return Gap("r", Position(epoch, offset), lost)


def said(offset: int, serial: int, epoch: str = "e") -> Said:
    return Said("r", serial, Position(epoch, offset))


def judged(
    *items: Publication | Gap, of: list[Said], lossless: bool = False, beside: Reading | None = None
) -> list[str]:
    readings = [Reading("v", "r", Position("e", 0), list(items))]
    return complaints_of_readings(readings + ([beside] if beside else []), of, lossless=lossless)


@pytest.mark.parametrize(
    ("items", "of"),
    [
        ([pub(1, 10), pub(2, 11)], [said(1, 10), said(2, 11)]),
        ([pub(1, 10), pub(2, 11)], [Said("r", 10, None), said(2, 11)]),
        ([pub(1, 10), pub(2, 99)], [said(1, 10)]),
        ([], [Said("another", 10, None)]),
    ],
)
def test_whole_histories_are_right(items: list[Publication | Gap], of: list[Said]) -> None:
    assert judged(*items, of=of, lossless=True) == []


@pytest.mark.parametrize(
    ("items", "of"),
    [
        ([pub(1, 10), gap(3), pub(4, 13)], [said(1, 10), said(2, 11), said(3, 12), said(4, 13)]),
        ([pub(1, 10), gap(0, "f"), pub(1, 12, "f")], [said(1, 10), said(2, 11), said(1, 12, "f")]),
        ([pub(1, 10), gap(1, "f"), pub(2, 12, "f")], [said(1, 10), said(1, 11, "f"), said(2, 12, "f")]),
        ([pub(1, 10), gap(0, "g"), pub(1, 12, "g")], [said(1, 10), said(1, 11, "f"), said(1, 12, "g")]),
        ([pub(1, 10), gap(0, "f"), pub(1, 12, "f")], [said(1, 10), Said("r", 11, None), said(1, 12, "f")]),
        ([pub(1, 10), gap(0, "f"), pub(1, 10, "f")], [said(1, 10, "f")]),
    ],
)
def test_losses_that_were_told_are_right_where_they_may_be(items: list[Publication | Gap], of: list[Said]) -> None:
    assert judged(*items, of=of) == []
    assert judged(*items, of=of, lossless=True)


@pytest.mark.parametrize(
    ("items", "of", "complaint"),
    [
        ([pub(1, 10), pub(3, 12)], [], "a silent loss"),
        ([pub(2, 11)], [], "a silent loss"),
        ([pub(1, 10), pub(2, 11, "f")], [], "a silent loss"),
        ([pub(1, 10), pub(1, 10)], [], "a repeat"),
        ([pub(1, 10), pub(2, 11), pub(1, 10)], [], "a repeat"),
        ([pub(1, 10), pub(2, 10)], [], "more than once"),
        ([pub(1, 10)], [said(1, 11)], "means"),
        ([pub(1, 10)], [said(2, 10)], "more than once"),
        ([pub(1, 10)], [said(1, 10), said(2, 11)], "never given 11"),
        ([pub(1, 10)], [Said("r", 11, None)], "never given 11"),
        ([], [said(1, 10)], "never given 10"),
        ([gap(1), pub(2, 11)], [said(2, 11), said(3, 12)], "never given 12"),
        ([pub(1, 10), gap(0, "f"), pub(1, 11, "f")], [said(2, 12, "f")], "never given 12"),
        ([pub(1, 10), gap(0, "f"), gap(0, "e"), pub(1, 11)], [], "means"),
    ],
)
def test_what_is_wrong_is_found(items: list[Publication | Gap], of: list[Said], complaint: str) -> None:
    assert any(complaint in each for each in judged(*items, of=of)), judged(*items, of=of)


def test_two_readers_must_mean_the_same() -> None:
    beside = Reading("w", "r", Position("e", 0), [pub(1, 11)])
    assert any("means" in each for each in judged(pub(1, 10), of=[], beside=beside))


def test_what_another_reader_saw_of_a_publication_without_a_known_place_says_where_it_was() -> None:
    beside = Reading("w", "r", Position("e", 0), [pub(1, 10), pub(2, 11)])
    assert judged(pub(1, 10), of=[Said("r", 11, None)], beside=beside)
    assert not judged(pub(1, 10), gap(2), of=[Said("r", 11, None)], beside=beside)


def test_who_left_may_miss_the_end_and_no_more() -> None:
    def left(*items: Publication | Gap) -> list[str]:
        reading = Reading("v", "r", Position("e", 0), list(items))
        return complaints_of_readings([reading], [said(2, 11)], lossless=True, leavers={"v"})

    assert not left(pub(1, 10))
    assert left(pub(1, 10), pub(3, 12))


@pytest.mark.parametrize(
    ("outcomes", "ran"),
    [
        ({"v:1": "reply", "v:2": "reply"}, ["v:1", "v:2"]),
        ({"v:1": "outcome_unknown", "v:2": "reply"}, ["v:2"]),
        ({"v:1": "outcome_unknown", "v:2": "reply"}, ["v:1", "v:2"]),
        ({"v:1": "reply", "w:1": "reply"}, ["w:1", "v:1"]),
    ],
)
def test_requests_that_are_right(outcomes: dict[str, str | None], ran: list[str]) -> None:
    assert complaints_of_requests(outcomes, ran, unknown_allowed=True) == []


@pytest.mark.parametrize(
    ("outcomes", "ran"),
    [
        ({"v:1": None}, []),
        ({"v:1": None}, ["v:1"]),
        ({"v:1": "reply"}, []),
        ({"v:1": "reply"}, ["v:1", "v:1"]),
        ({"v:1": "outcome_unknown"}, ["v:1", "v:1"]),
        ({"v:1": "failed"}, []),
        ({"v:1": "reply", "v:2": "reply"}, ["v:2", "v:1"]),
        ({}, ["v:1"]),
    ],
)
def test_requests_that_are_wrong(outcomes: dict[str, str | None], ran: list[str]) -> None:
    assert complaints_of_requests(outcomes, ran, unknown_allowed=True)


def test_requests_that_are_repeatable_end_in_a_reply_always() -> None:
    again = {"repeatable": {"v:1"}}
    assert not complaints_of_requests({"v:1": "reply"}, ["v:1", "v:1"], unknown_allowed=True, **again)
    assert complaints_of_requests({"v:1": "reply"}, [], unknown_allowed=True, **again)
    assert complaints_of_requests({"v:1": "reply"}, ["v:1", "v:1"], unknown_allowed=False, **again)
    assert complaints_of_requests({"v:1": "outcome_unknown"}, ["v:1"], unknown_allowed=True, **again)


def test_where_no_node_died_every_outcome_is_known() -> None:
    assert complaints_of_requests({"v:1": "outcome_unknown"}, ["v:1"], unknown_allowed=False)


STAYED, GONE = ["a", "b"], ["c"]
RIGHT = [("changed", "a"), ("left", "c")]


@pytest.mark.parametrize(
    ("changes", "ended"),
    [
        ([], ["c"]),
        ([*RIGHT, ("left", "c")], ["c"]),
        ([*RIGHT, ("joined", "c")], ["c"]),
        ([*RIGHT, ("left", "a")], ["c"]),
        ([*RIGHT, ("joined", "b")], ["c"]),
        (RIGHT, []),
        (RIGHT, ["c", "c"]),
        (RIGHT, ["c", "a"]),
    ],
)
def test_members_that_are_wrong(changes: list[tuple[str, str]], ended: list[str]) -> None:
    assert complaints_of_members(changes, ended, stayed=STAYED, gone=GONE)
    assert not complaints_of_members(RIGHT, ["c"], stayed=STAYED, gone=GONE)


@pytest.mark.parametrize(
    ("changes", "right"),
    [
        (RIGHT, True),
        ([("left", "a"), ("joined", "a"), ("left", "c"), ("joined", "c"), ("left", "c")], True),
        ([*RIGHT, ("left", "a")], False),
        ([*RIGHT, ("joined", "b")], False),
        ([("left", "c"), ("joined", "c")], False),
        ([], False),
    ],
)
def test_whom_redis_forgot_is_shown_again(changes: list[tuple[str, str]], right: bool) -> None:
    assert right is not bool(complaints_of_members(changes, ["c"], stayed=STAYED, gone=GONE, forgotten=True))
