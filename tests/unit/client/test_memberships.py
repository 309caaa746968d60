"""The rooms of a session, frame by frame, without a loop."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from multitransport.client.events import (
    Closed,
    Effect,
    Gap,
    Joined,
    Left,
    Outcome,
    Publication,
    Welcomed,
)
from multitransport.errors import OutcomeUnknown, Refused
from multitransport.protocol.codes import CloseCode
from multitransport.protocol.position import Position
from tests.unit.client.line import Line, frames, joined, message, offsets, pub, welcome


class TestJoining:
    def test_a_join_waits_for_its_answer(self) -> None:
        line = Line().attached()
        line.session.join(5, "r", history=10)
        assert line.sent() == [["join", 1, "r", {"history": 10}]]
        assert line.take(joined(1, 4), pub(5)) == [Joined("r", 5), Publication("r", "n", 5, Position("e", 5))]

    def test_a_position_from_earlier_is_where_it_begins(self) -> None:
        line = Line().attached()
        line.session.join(5, "r", history=10, position=Position("e", 3))
        assert line.sent() == [["join", 1, "r", {"position": ["e", 3]}]]
        assert line.take(joined(1, 3)) == [Joined("r", 5)]

    def test_before_the_first_welcome_the_hello_asks_for_it(self) -> None:
        line = Line()
        line.session.join(5, "r", history=2)
        assert line.hello()["rooms"] == {"r": {"history": 2}}
        assert line.take(welcome(), joined(None, 0)) == [Welcomed(resumed=False), Joined("r", 5)]
        assert line.sent() == []

    def test_a_join_that_was_answered_after_the_hello_of_another_session_is_asked_for_there(self) -> None:
        line = Line().attached()
        line.session.join(5, "r")
        line.sent()
        assert "rooms" not in line.hello()
        line.session.receive(message(joined(1, 3)), line.attach - 1)
        line.take(welcome(session="new"))
        assert line.sent() == [["join", 1, "r", {"position": ["e", 3]}]]
        assert [type(effect) for effect in line.take(joined(1, 3))] == [Joined]
        assert line.hello()["rooms"] == {"r": {"position": ["e", 3]}}

    def test_a_hello_whose_answer_is_lost_is_asked_again(self) -> None:
        line = Line()
        line.session.join(5, "r")
        line.attached()
        assert line.hello()["rooms"] == {"r": {}}
        assert line.take(welcome(), joined(None, 0)) == [Welcomed(resumed=True), Joined("r", 5)]

    def test_a_join_that_was_sent_is_left_out_of_the_hello_and_repeated_if_it_was_lost(self) -> None:
        line = Line().attached()
        line.session.join(5, "r")
        line.sent()
        assert "rooms" not in line.hello()
        line.take(welcome(0, resumed=True))
        assert line.sent() == [["join", 1, "r", {}]]

    def test_with_the_session_gone_it_is_asked_for_again_before_all_else(self) -> None:
        line = Line().attached(window=1)
        line.session.join(5, "r")
        line.session.publish(6, "r", "e", 1)
        line.sent()
        line.hello()
        assert line.take(welcome(session="new")) == [Welcomed(resumed=False)]
        assert line.sent() == [["join", 1, "r", {}], ["publish", 2, "r", "e", 1]]

    def test_a_refusal_ends_it(self) -> None:
        line = Line().attached()
        line.session.join(5, "r")
        line.sent()
        (left,) = line.take(["error", 1, "members_only", "no"])
        assert isinstance(left, Left)
        assert (left.room, left.ticket, type(left.error)) == ("r", 5, Refused)
        assert "rooms" not in line.hello()

    def test_a_refusal_of_a_room_of_the_hello_ends_it_too(self) -> None:
        line = Line()
        line.session.join(5, "r")
        line.attached()
        (left,) = line.take(["left", None, "r", "unknown_room", "no such room"])
        assert isinstance(left, Left)
        assert (left.ticket, str(left.error)) == (5, "unknown_room: no such room")

    def test_an_ack_without_the_answer_leaves_it_unknown(self) -> None:
        line = Line().attached()
        line.session.join(5, "r")
        line.sent()
        (left,) = line.take(["ack", 1])
        assert isinstance(left, Left)
        assert type(left.error) is OutcomeUnknown


class TestLeaving:
    def test_what_still_comes_is_dropped(self) -> None:
        line = Line().attached().joined()
        line.session.leave(2, "r")
        assert line.sent() == [["leave", 2, "r"], ["ack", 1]]
        assert line.take(pub(1), ["left", 2, "r"], ["ack", 2]) == [Outcome(2)]

    def test_not_to_be_there_is_success(self) -> None:
        line = Line().attached().joined()
        line.session.leave(2, "r")
        line.sent()
        assert line.take(["error", 2, "not_joined", "?"]) == [Outcome(2)]

    def test_leaving_before_the_join_was_sent_takes_it_back(self) -> None:
        line = Line()
        line.session.join(1, "r")
        line.session.leave(2, "r")
        assert "rooms" not in line.hello()
        line.take(welcome())
        assert line.sent() == [["leave", 1, "r"]]

    def test_a_late_answer_to_a_former_join_is_not_that_to_the_present_one(self) -> None:
        line = Line().attached()
        line.session.join(1, "r")
        line.session.leave(2, "r")
        line.session.join(3, "r")
        assert [frame[:2] for frame in line.sent()] == [["leave", 1], ["join", 2]]
        assert line.take(["left", 1, "r"], joined(2, 5)) == [Outcome(2), Joined("r", 3)]

    def test_a_room_that_is_yet_to_be_left_is_not_named_in_a_hello(self) -> None:
        line = Line().attached().joined()
        line.session.leave(2, "r")
        line.session.join(3, "r")
        assert "rooms" not in line.hello()
        line.take(welcome(seq=1, resumed=True))
        assert [frame[:2] for frame in line.sent()] == [["leave", 2], ["join", 3]]

    def test_a_join_that_was_named_and_then_sent_is_sent_again_where_the_session_is_lost(self) -> None:
        line = Line().attached()
        line.session.hello(wait_seconds=0)
        line.session.receive(message(welcome(resumed=True)), 2)
        line.session.join(1, "r")
        # A poll that goes on names the room, and the join goes out beside it before the answer is there.
        assert "rooms" in msgspec.json.decode(line.session.hello(wait_seconds=25).frame)[1]
        assert frames(line.session.upstream(3)) == [["join", 1, "r", {}]]
        line.attach = 3
        assert "rooms" not in line.hello()
        line.take(welcome(session="another"))
        assert line.sent() == [["join", 1, "r", {}]]

    def test_an_answer_to_an_older_hello_does_not_move_back(self) -> None:
        line = Line().attached().joined()
        line.hello()
        older = line.attach
        line.session.receive(message(pub(1)), 1)
        line.hello()
        answer = message(welcome(seq=1, resumed=True), joined(None, 0), pub(1), pub(2))
        effects = line.session.receive(answer, older)
        assert effects == [Welcomed(True), Joined("r", None), Publication("r", "n", 2, Position("e", 2))]

    @pytest.mark.parametrize(("epoch", "lost"), [("e", 4), ("other", None)])
    def test_an_answer_that_leaves_something_out_says_so_though_the_server_could_not_know(
        self, epoch: str, lost: int | None
    ) -> None:
        line = Line()
        line.session.join(1, "r")
        line.hello()
        former = line.attach
        line.hello()
        line.session.receive(message(welcome(), joined(None, 5)), former)
        position = Position(epoch, 9)
        answer = ["joined", None, "r", list(position), {"mode": "log", "recovered": True}]
        effects = line.take(welcome(session="another"), answer)
        assert effects == [Welcomed(False), Joined("r", None), Gap("r", position, lost)]

    def test_what_is_said_of_a_former_membership_is_not_meant_for_the_present_one(self) -> None:
        line = Line().attached().joined()
        line.session.leave(2, "r")
        line.session.join(3, "r")
        line.hello()
        # The record still has the room as it was joined first.
        assert line.take(welcome(seq=1, resumed=True), joined(None, 0), pub(1)) == [Welcomed(True)]
        line.sent()
        assert line.take(["left", 2, "r"], joined(3, 7), pub(8)) == [
            Outcome(2),
            Joined("r", 3),
            Publication("r", "n", 8, Position("e", 8)),
        ]

    def test_the_server_may_end_a_membership(self) -> None:
        line = Line().attached().joined()
        (left,) = line.take(["left", None, "r", "banned", "go"])
        assert isinstance(left, Left)
        assert (left.ticket, type(left.error)) == (None, Refused)
        assert line.take(pub(1)) == []


class TestPositions:
    def test_duplicates_are_dropped_by_offset_and_holes_are_no_loss(self) -> None:
        line = Line().attached().joined()
        effects = line.take(pub(1), pub(1), pub(5), pub(3), pub(6))
        assert offsets(effects) == [1, 5, 6]
        assert len(effects) == 3

    def test_at_moves_on_in_silence(self) -> None:
        line = Line().attached().joined()
        assert line.take(["at", "r", ["e", 9]], pub(9), pub(10)) == [Publication("r", "n", 10, Position("e", 10))]

    def test_a_gap_is_told_and_moves_on(self) -> None:
        line = Line().attached().joined()
        assert line.take(["gap", "r", ["e", 9], 9], pub(9)) == [Gap("r", Position("e", 9), 9)]
        assert line.session.position("r") == Position("e", 9)

    def test_what_was_not_recovered_is_a_gap(self) -> None:
        line = Line().attached().joined()
        line.hello()
        effects = line.take(welcome(1, resumed=True), joined(None, 40, recovered=False, lost=40), pub(41))
        assert effects[1:] == [
            Joined("r", None),
            Gap("r", Position("e", 40), 40),
            Publication("r", "n", 41, Position("e", 41)),
        ]

    def test_another_epoch_is_a_loss_nobody_can_count(self) -> None:
        line = Line().attached().joined(7)
        line.hello()
        again = ["joined", None, "r", ["f", 0], {"mode": "log", "recovered": False, "lost": None}]
        effects = line.take(welcome(1, resumed=True), again, pub(1))
        assert effects[2:] == [Gap("r", Position("f", 0), None), Publication("r", "n", 1, Position("f", 1))]

    def test_another_epoch_that_an_earlier_hello_was_told_of_is_no_loss_again(self) -> None:
        line = Line().attached().joined(7)
        anew = ["joined", None, "r", ["f", 0], {"mode": "log", "recovered": False, "lost": None}]
        line.hello()
        line.hello()
        assert Gap("r", Position("f", 0), None) in line.session.receive(
            message(welcome(session="t"), anew, pub(1)), line.attach - 1
        )
        effects = line.take(welcome(session="t", resumed=True), anew, pub(1), pub(2))
        assert [each for each in effects if isinstance(each, Gap | Publication)] == [
            Publication("r", "n", 2, Position("f", 2))
        ]

    def test_a_log_that_was_set_back_is_followed(self) -> None:
        line = Line().attached().joined(7)
        line.hello()
        effects = line.take(welcome(1, resumed=True), joined(None, 0, recovered=False, lost=None), pub(1))
        assert effects[-1] == Publication("r", "n", 1, Position("e", 1))

    def test_what_the_older_transport_delivered_meanwhile_is_not_delivered_again(self) -> None:
        line = Line().attached().joined()
        line.hello()
        line.session.receive(message(pub(1), pub(2)), line.attach - 1)
        effects = line.take(welcome(1, resumed=True), joined(None, 0), pub(1), pub(2), pub(3))
        assert offsets(effects) == [3]

    def test_who_published_is_told_where_the_server_says_so(self) -> None:
        line = Line().attached().joined()
        (publication,) = line.take([*pub(1), {"from": "s2"}])
        assert isinstance(publication, Publication)
        assert publication.sender == "s2"


class TestStateRooms:
    def test_what_a_late_answer_emptied_is_not_gone_on_from(self) -> None:
        line = emptied_late()
        # The newer hello was said before: from 7, where the room no longer is.
        effects = line.take(welcome(resumed=True), state(7), key(8, "c"), ["at", "r", ["e", 8]])
        assert effects[:-1] == [Welcomed(True), Joined("r", None, "state")]
        assert given_up(effects)
        assert line.hello()["rooms"] == {"r": {"position": ["e", 0]}}
        effects = line.take(welcome(resumed=True), state(0), key(3, "a"), key(7, "b"), ["at", "r", ["e", 8]])
        assert keys(effects) == ["a", "b"]
        assert line.session.position("r") == Position("e", 8)

    def test_what_a_late_answer_emptied_and_told_again_is_gone_on_from(self) -> None:
        line = emptied_late(key(3, "a"), key(7, "b"), key(8, "c"), ["at", "r", ["e", 8]])
        effects = line.take(welcome(resumed=True), state(7), key(8, "c"), key(9, "d"), ["at", "r", ["e", 9]])
        assert not given_up(effects)
        assert keys(effects) == ["d"]

    def test_a_gap_of_an_older_transport_empties_it_as_well(self) -> None:
        line = Line()
        line.session.join(1, "r")
        line.attached().take(state(0), key(3, "a"), ["at", "r", ["e", 3]])
        line.hello()
        line.session.receive(message(key(7, "b"), ["at", "r", ["e", 7]]), 1)
        line.take(welcome(resumed=True), state(3))
        line.hello()
        assert line.session.receive(message(["gap", "r", ["e", 0], None]), 2) == [Gap("r", Position("e", 0), None)]
        assert given_up(line.take(welcome(resumed=True), state(7)))
        assert line.hello()["rooms"] == {"r": {"position": ["e", 0]}}

    def test_the_keys_of_another_epoch_are_known_no_more(self) -> None:
        line = Line()
        line.session.join(1, "r")
        line.hello()
        line.hello()
        line.session.receive(message(welcome(), state(0), key(30, "a")), 1)
        # To another session the hello was that of a newcomer.
        anew = ["joined", None, "r", ["f", 0], {"mode": "state", "recovered": True}]
        effects = line.take(welcome(session="another"), anew, key(2, "a"))
        assert effects[2:] == [
            Gap("r", Position("f", 0), None),
            Publication("r", "n", 2, Position("f", 2), key="a"),
        ]

    def test_a_newcomer_where_nothing_is_asks_again_too(self) -> None:
        line = Line()
        line.session.join(1, "r")
        line.hello()
        line.hello()
        line.session.receive(message(welcome(), state(0), key(3, "a"), ["at", "r", ["e", 3]]), 1)
        # To another session the hello was that of a newcomer.
        assert given_up(line.take(welcome(session="another"), state(8)))
        assert line.hello()["rooms"] == {"r": {"position": ["e", 3]}}


def emptied_late(*more: list[Any]) -> Line:
    """Return a line whose latest hello names a position that an older transport, which told ``more``, has undone."""
    line = Line()
    line.session.join(1, "r")
    line.attached().take(state(0), key(3, "a"))
    line.hello()
    line.session.receive(message(key(7, "b"), ["at", "r", ["e", 7]]), 1)
    assert line.hello()["rooms"] == {"r": {"position": ["e", 7]}}
    answer = message(welcome(resumed=True), state(0, recovered=False, lost=None), *more)
    assert Gap("r", Position("e", 0), None) in line.session.receive(answer, 2)
    return line


def given_up(effects: list[Effect]) -> bool:
    """Tell whether the transport is to be given up, though it is not to blame."""
    last = effects[-1]
    return isinstance(last, Closed) and last.code == CloseCode.STALE_ATTACH


def state(offset: int, **more: Any) -> list[Any]:
    return joined(None, offset, **{"mode": "state", **more})


def key(offset: int, name: str) -> list[Any]:
    return [*pub(offset), {"key": name}]


def keys(effects: list[Effect]) -> list[str | None]:
    return [each.key for each in effects if isinstance(each, Publication)]


class TestJoins:
    """What a server would end the session for is refused here."""

    def test_a_position_may_be_a_list_as_json_has_kept_it(self) -> None:
        line = Line().attached()
        position: Any = ["x", 1]
        line.session.join(1, "r", position=position)
        assert line.sent() == [["join", 1, "r", {"position": ["x", 1]}]]
        assert line.session.position("r") == Position("x", 1)
        line.take(joined(1, 1), ["ack", 1])
        assert offsets(line.take(pub(2))) == [2]

    @pytest.mark.parametrize(
        ("room", "options", "error", "words"),
        [
            ("r", {"history": -1}, ValueError, "history=-1, .* >= 0"),
            ("r", {"history": "10"}, ValueError, "history='10', .* got `str`"),
            ("r", {"position": "e:1"}, ValueError, "position='e:1': "),
            ("r", {"position": ("e", -1)}, ValueError, "position="),
            ("r", {"position": ("e",)}, ValueError, "position="),
            ("r", {"max_rate": 0.0001}, ValueError, "a rate is 0.001 to 1000 a second"),
            ("r", {"max_rate": float("nan")}, ValueError, "a rate is 0.001 to 1000 a second"),
            ("r", {"max_rate": "many"}, TypeError, "a rate is a number, not 'many'"),
            (5, {}, TypeError, "the name of a room is a string, not 5"),
        ],
    )
    def test_what_no_server_would_take_is_told_at_once(
        self, room: Any, options: dict[str, Any], error: type[Exception], words: str
    ) -> None:
        line = Line().attached()
        with pytest.raises(error, match=words):
            line.session.join(1, room, **options)
        assert line.sent() == []
        assert "rooms" not in line.hello()

    def test_a_rate_that_is_no_number_changes_nothing(self) -> None:
        line = Line().attached().joined()
        rate: Any = "many"
        with pytest.raises(TypeError, match="a rate is a number, not 'many'"):
            line.session.set_max_rate(2, "r", rate)
        assert line.hello()["rooms"] == {"r": {"position": ["e", 0]}}
