"""How often a client wants to hear of a state room, frame by frame."""

from __future__ import annotations

import pytest

from multitransport.client.events import Closed, Gap, Joined, Outcome, Publication
from multitransport.errors import Refused
from multitransport.protocol.position import Position
from tests.unit.client.line import Line, at, errors, keyed, state_joined, state_line, told, welcome


class TestRates:
    def test_the_rate_is_asked_for_in_the_join_and_in_every_hello(self) -> None:
        line = Line().attached()
        line.session.join(1, "r", max_rate=4)
        assert line.sent() == [["join", 1, "r", {"max_rate": 4}]]
        line.take(state_joined(1, 0), at(3))
        assert line.hello()["rooms"] == {"r": {"position": ["e", 3], "max_rate": 4}}

    def test_changing_it_joins_again_from_where_the_client_is(self) -> None:
        line = state_line(keyed("a", 3), at(3), max_rate=4)
        line.session.set_max_rate(2, "r", 9)
        assert line.sent() == [["join", 2, "r", {"position": ["e", 3], "max_rate": 9}], ["ack", 1]]
        assert line.take(state_joined(2, 3), keyed("a", 3), keyed("a", 4)) == [
            Outcome(2),
            Joined("r", None, "state"),
            Publication("r", "n", 4, Position("e", 4), key="a"),
        ]
        line.session.set_max_rate(3, "r", None)
        assert line.sent() == [["join", 3, "r", {"position": ["e", 3]}], ["ack", 2]]

    def test_two_changes_under_way_are_both_answered_and_set_nothing_back(self) -> None:
        line = state_line(keyed("a", 3), at(3))
        line.session.set_max_rate(2, "r", 9)
        line.sent()
        line.take(keyed("a", 5), at(5))
        line.session.set_max_rate(3, "r", 8)
        line.sent()
        effects = line.take(state_joined(2, 3), keyed("a", 5), at(5), state_joined(3, 5))
        assert [each for each in effects if isinstance(each, Outcome)] == [Outcome(2), Outcome(3)]
        assert not any(isinstance(each, Gap | Publication) for each in effects)
        assert line.session.position("r") == Position("e", 5)

    def test_a_change_is_answered_also_where_the_transport_is_given_up_with_it(self) -> None:
        line = state_line(keyed("a", 3), at(3))
        for ticket in (2, 3):
            line.session.set_max_rate(ticket, "r", ticket)
        line.sent()
        assert line.take(state_joined(2, 0))[0] == Outcome(2), "which empties the room"
        outcome, *_, closed = line.take(state_joined(3, 3))
        assert outcome == Outcome(3)
        assert isinstance(closed, Closed)

    def test_the_answer_to_a_change_says_nothing_of_the_position_once_a_hello_has_named_a_later_one(self) -> None:
        line = state_line(keyed("a", 1), at(1))
        line.session.set_max_rate(2, "r", 4)
        line.sent()
        assert line.hello()["rooms"]["r"]["position"] == ["e", 1]
        assert line.take(welcome(2, resumed=True), state_joined(2, 0))[1:] == [Outcome(2)]
        assert line.session.position("r") == Position("e", 1)

    def test_a_change_that_is_refused_leaves_the_room_joined(self) -> None:
        line = state_line()
        line.session.set_max_rate(2, "r", 9)
        line.sent()
        effects = line.take(["error", 2, "members_only", "no"], keyed("a", 1))
        assert errors(effects) == [(2, Refused)]
        assert told(effects) == [("a", 1)]

    def test_a_change_cut_short_is_repeated_and_the_hello_names_the_room_all_the_same(self) -> None:
        line = state_line(keyed("a", 3), at(3))
        line.session.set_max_rate(2, "r", 9)
        line.sent()
        assert line.hello()["rooms"] == {"r": {"position": ["e", 3], "max_rate": 9}}
        line.take(welcome(1, resumed=True), state_joined(None, 3))
        assert line.sent() == [["join", 2, "r", {"position": ["e", 3], "max_rate": 9}]]
        assert Outcome(2) in line.take(state_joined(2, 3))

    def test_with_the_session_gone_the_hello_has_made_the_change(self) -> None:
        line = state_line()
        line.session.set_max_rate(2, "r", 9)
        line.sent()
        line.hello()
        assert line.take(welcome(session="new"))[0] == Outcome(2)
        assert line.sent() == []

    @pytest.mark.parametrize("rate", [0, -1, 1e-320, 0.000999, 1001, float("nan")])
    def test_what_is_no_rate_is_refused_at_once(self, rate: float) -> None:
        line = state_line()
        with pytest.raises(ValueError, match=r"0\.001 to 1000"):
            line.session.set_max_rate(2, "r", rate)
        with pytest.raises(ValueError, match=r"0\.001 to 1000"):
            line.session.join(2, "s", max_rate=rate)
        assert line.sent() == []
