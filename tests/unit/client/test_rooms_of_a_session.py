"""Rooms beyond logs, frame by frame: those that keep state, those the server joins, presence and the inbox."""

from __future__ import annotations

from multitransport.client.events import Asked, CaughtUp, Gap, Joined, Left, Outcome, Publication, Welcomed
from multitransport.errors import OutcomeUnknown, Refused
from multitransport.protocol.position import Position
from tests.unit.client.line import (
    Line,
    at,
    errors,
    joined,
    keyed,
    message,
    pub,
    state_joined,
    state_line,
    told,
    welcome,
)


class TestState:
    def test_keys_are_told_and_the_position_moves_only_at_the_end_of_a_pass(self) -> None:
        line = state_line()
        assert line.take(keyed("b", 7), keyed("a", 3)) == [
            Publication("r", "n", 7, Position("e", 7), key="b"),
            Publication("r", "n", 3, Position("e", 3), key="a"),
        ]
        assert line.session.position("r") == Position("e", 0)
        assert line.take(at(7)) == [CaughtUp("r")]
        assert line.session.position("r") == Position("e", 7)

    def test_of_each_key_only_what_is_newer_is_told(self) -> None:
        line = state_line(keyed("a", 3), keyed("b", 7))
        assert told(line.take(keyed("a", 3), keyed("a", 2), keyed("b", 8), keyed("a", 4))) == [("b", 8), ("a", 4)]

    def test_the_end_of_a_key_is_told(self) -> None:
        line = state_line(keyed("a", 1), at(1))
        assert line.take(keyed("a", 2, deleted=True)) == [
            Publication("r", "n", None, Position("e", 2), key="a", deleted=True)
        ]
        assert line.take(keyed("a", 1)) == []
        line.take(at(2))
        assert told(line.take(keyed("a", 3))) == [("a", 3)]

    def test_the_end_of_a_key_is_told_once(self) -> None:
        line = state_line(keyed("a", 1), at(1))
        line.hello()
        former = line.attach - 1
        line.session.receive(message(keyed("a", 2, deleted=True), at(2)), former)
        assert (
            told(line.take(welcome(1, resumed=True), state_joined(None, 1), keyed("a", 2, deleted=True), at(2))) == []
        )

    def test_a_pass_cut_short_begins_again_where_the_last_whole_one_ended(self) -> None:
        line = state_line(keyed("a", 1), at(1), keyed("a", 2), keyed("b", 3))
        assert line.hello()["rooms"] == {"r": {"position": ["e", 1]}}
        effects = line.take(welcome(1, resumed=True), state_joined(None, 1), keyed("b", 3), keyed("a", 5), at(5))
        assert told(effects) == [("a", 5)]
        assert not any(isinstance(each, Gap) for each in effects)

    def test_what_was_not_recovered_makes_all_keys_void(self) -> None:
        line = state_line(keyed("a", 9), at(9))
        line.hello()
        effects = line.take(welcome(1, resumed=True), state_joined(None, 0, recovered=False, lost=None), keyed("a", 9))
        assert effects[1:] == [
            Joined("r", None, "state"),
            Gap("r", Position("e", 0), None),
            Publication("r", "n", 9, Position("e", 9), key="a"),
        ]

    def test_so_does_a_gap(self) -> None:
        line = state_line(keyed("a", 9), at(9))
        effects = line.take(["gap", "r", ["e", 0], None], keyed("a", 9), at(12))
        assert effects[0] == Gap("r", Position("e", 0), None)
        assert told(effects) == [("a", 9)]

    def test_so_does_a_start_from_the_beginning_that_was_not_asked_for(self) -> None:
        line = state_line(keyed("a", 9), at(9))
        line.hello()
        effects = line.take(welcome(session="new"), state_joined(None, 0))
        assert effects[1:] == [Joined("r", None, "state"), Gap("r", Position("e", 0), None)]

    def test_a_volatile_publication_has_no_position_and_is_told_each_time(self) -> None:
        line = state_line(keyed("a", 1))
        cursor = ["pub", "r", None, "cursor", 5]
        assert line.take(cursor, cursor) == [Publication("r", "cursor", 5, None)] * 2
        log = Line().attached().joined(3)
        assert log.take(cursor, pub(4))[0] == Publication("r", "cursor", 5, None)
        assert log.session.position("r") == Position("e", 4)

    def test_publishing_names_the_key(self) -> None:
        line = state_line()
        line.session.publish(2, "r", "set", 1, key="k")
        line.session.publish(3, "r", "gone", None, key="k", deleted=True)
        assert line.sent() == [
            ["publish", 2, "r", "set", 1, {"key": "k"}],
            ["publish", 3, "r", "gone", None, {"key": "k", "deleted": True}],
            ["ack", 1],
        ]


class TestTheServersWill:
    def test_a_room_it_joins_appears_and_is_named_from_then_on(self) -> None:
        line = Line().attached()
        assert line.take(joined(None, 4, "x", unasked=True), pub(5, "x")) == [
            Joined("x", None, unasked=True),
            Publication("x", "n", 5, Position("e", 5)),
        ]
        assert line.hello()["rooms"] == {"x": {"position": ["e", 5]}}

    def test_a_room_it_takes_the_session_out_of_is_not_asked_for_again(self) -> None:
        line = Line().attached().joined()
        (left,) = line.take(["left", None, "r", "removed", "by the server"])
        assert isinstance(left, Left)
        assert (left.ticket, type(left.error)) == (None, Refused)
        assert "rooms" not in line.hello()

    def test_the_end_of_a_former_membership_is_not_that_of_the_one_under_way(self) -> None:
        line = Line().attached().joined()
        line.session.leave(2, "r")
        line.session.join(3, "r")
        line.sent()
        assert line.take(["left", None, "r", "removed", "?"], ["error", 2, "not_joined", "?"], joined(3, 5)) == [
            Outcome(2),
            Joined("r", 3),
        ]

    def test_a_room_that_is_being_left_does_not_appear(self) -> None:
        line = Line().attached().joined()
        line.hello()
        line.session.leave(2, "r")
        assert line.take(welcome(1, resumed=True), joined(None, 0), joined(None, 0, "@presence/r")) == [
            Welcomed(resumed=True)
        ]
        line.sent()
        again = joined(None, 9, unasked=True)
        assert line.take(joined(None, 0), ["left", 2, "r"], again)[1:] == [Joined("r", None, unasked=True)]

    def test_a_room_that_was_left_while_a_poll_was_under_way_does_not_appear_in_its_answer(self) -> None:
        line = Line().attached().joined()
        line.session.leave(2, "r")
        line.attach = line.session.hello(wait_seconds=25).attach
        line.sent()
        # What the answer to send says of it ends before the leave: that has its place on the poll.
        assert line.take(["ack", 1]) == []
        stale = [joined(None, 0), joined(None, 0, "@presence/r")]
        told = line.take(welcome(1, resumed=True), ["ack", 1], *stale, ["left", 2, "r"], ["ack", 2])
        assert told == [Welcomed(resumed=True), Outcome(2)]
        assert line.take(joined(None, 9, unasked=True)) == [Joined("r", None, unasked=True)]

    def test_what_was_said_of_itself_in_a_room_that_was_left_is_not_said_in_it_again(self) -> None:
        line = Line().attached().joined()
        line.session.presence(5, "r", "former")
        line.session.leave(6, "r")
        line.sent()
        line.session.join(7, "r")
        line.hello()
        effects = line.take(welcome(session="t"), joined(None, 0))
        assert [each.ticket for each in effects if isinstance(each, Outcome)] == [5, 6]
        assert [frame for frame in line.sent() if frame[0] == "presence"] == []

    def test_a_room_that_a_late_hello_has_joined_is_left(self) -> None:
        line = Line().attached()
        assert line.take(joined(None, 9), joined(None, 9, "@presence/r")) == []
        assert line.sent() == [["leave", 1, "r"]]
        assert line.take(["left", 1, "r"]) == [Outcome(0)]
        assert "rooms" not in line.hello()

    def test_a_position_from_earlier_is_not_named_to_a_session_that_would_take_it_for_a_room_it_was_put_out_of(
        self,
    ) -> None:
        line = Line().attached()
        line.hello()
        line.session.join(1, "r", position=Position("e", 3))
        assert "rooms" not in line.hello()
        line.take(welcome(resumed=True))
        assert line.sent() == [["join", 1, "r", {"position": ["e", 3]}]]


class TestPresence:
    def joined(self) -> Line:
        line = Line().attached().joined()
        line.take(state_joined(None, 0, room="@presence/r"), keyed("m", 1, room="@presence/r"), at(1, "@presence/r"))
        line.sent()
        return line

    def test_it_is_a_room_that_resumes_as_others_do(self) -> None:
        line = self.joined()
        assert line.hello()["rooms"]["@presence/r"] == {"position": ["e", 1]}

    def test_it_goes_with_its_room(self) -> None:
        line = self.joined()
        line.session.leave(2, "r")
        assert line.take(keyed("m", 2, room="@presence/r")) == []
        assert "rooms" not in line.hello()
        other = self.joined()
        assert len(other.take(["left", None, "r", "removed", "?"])) == 1
        assert "rooms" not in other.hello()

    def test_a_meta_is_answered_as_a_send_is(self) -> None:
        line = self.joined()
        line.session.presence(5, "r", {"typing": True})
        assert line.sent() == [["presence", 2, "r", {"typing": True}], ["ack", 1]]
        assert line.take(["ack", 2]) == [Outcome(5)]

    def test_a_session_that_follows_says_the_last_one_again(self) -> None:
        line = self.joined()
        line.session.presence(5, "r", 1)
        line.session.presence(6, "r", 2)
        line.sent()
        line.take(["ack", 3])
        line.hello()
        assert line.take(welcome(session="new")) == [Welcomed(resumed=False)]
        assert line.sent() == [["presence", 1, "r", 2]]

    def test_one_that_was_refused_is_not_said_again(self) -> None:
        line = self.joined()
        line.session.presence(5, "r", "good")
        line.sent()
        line.take(["ack", 2])
        line.session.presence(6, "r", "bad")
        line.sent()
        assert errors(line.take(["error", 3, "refused", "no"], ["ack", 3])) == [(6, Refused)]
        line.hello()
        line.take(welcome(session="new"))
        assert line.sent() == [["presence", 1, "r", "good"]]
        line.session.presence(7, "r", "as bad")
        line.hello()
        line.take(welcome(session="newer"))
        assert line.sent() == [["presence", 1, "r", "good"], ["presence", 2, "r", "as bad"]]

    def test_one_is_said_in_the_membership_it_was_meant_for_alone(self) -> None:
        line = self.joined()
        line.session.presence(5, "r", "here")
        line.session.leave(6, "r")
        line.session.join(7, "r")
        line.sent()
        line.take(["left", 3, "r"], joined(4, 0), ["ack", 4])
        line.hello()
        line.take(welcome(session="new"))
        assert line.sent() == []

    def test_one_that_was_under_way_is_sent_again_and_answered(self) -> None:
        line = self.joined()
        line.session.presence(5, "r", 1)
        line.sent()
        line.hello()
        line.take(welcome(session="new"))
        assert line.sent() == [["presence", 1, "r", 1]]
        assert line.take(["ack", 1]) == [Outcome(5)]
        line.session.leave(7, "r")
        line.session.presence(8, "r", 1)
        line.sent()
        line.hello()
        assert errors(line.take(welcome(session="newer"))) == [(8, OutcomeUnknown)]


class TestInbox:
    def test_its_positions_are_named_until_another_session_begins(self) -> None:
        line = Line().attached()
        line.take(joined(None, 0, "@session/s"), joined(None, 2, "@user/ann"), pub(1, "@session/s"))
        rooms = {"@session/s": {"position": ["e", 1]}, "@user/ann": {"position": ["e", 2]}}
        assert line.hello()["rooms"] == rooms
        line.take(welcome(session="another"))
        assert line.hello()["rooms"] == {"@user/ann": {"position": ["e", 2]}}

    def test_a_question_is_told_once_and_answered_under_a_number(self) -> None:
        line = Line().attached()
        line.take(joined(None, 0, "@session/s"))
        asks = [["pub", "@session/s", n, "e", n, {"ask": f"q{n}"}] for n in (1, 2)]
        assert line.take(*asks, *asks) == [Asked("q1", "e", 1), Asked("q2", "e", 2)]
        line.session.answer("q1", {"x": 1})
        line.session.answer_error("q2", "not_now", "later")
        answers = [["answer", 1, "q1", {"x": 1}], ["answer_error", 2, "q2", "not_now", "later"]]
        assert line.sent() == answers
        line.hello()
        line.take(welcome(resumed=True))
        assert line.sent() == answers
        line.take(["error", 1, "unknown_ask", "?"], ["ack", 2])
        assert line.sent() == []

    def test_an_answer_waits_neither_for_what_waits_nor_for_a_full_window(self) -> None:
        line = Line().attached(window=8)
        for ticket in range(1, 20):
            line.session.request(ticket, "e", ticket)
        assert [frame[1] for frame in line.sent()] == [1, 2, 3, 4, 5, 6, 7]
        line.session.answer("q", None)
        assert line.sent() == [["answer", 8, "q", None]]

    def test_answers_to_the_former_session_are_of_no_use(self) -> None:
        line = Line().attached()
        line.session.answer("sent", 1)
        line.sent()
        line.session.answer("kept", 1)
        line.hello()
        line.take(welcome(session="new"))
        assert line.sent() == []
