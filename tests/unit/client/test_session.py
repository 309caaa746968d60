"""The client's end of a session, frame by frame, without a loop."""

from __future__ import annotations

import msgspec
import pytest

from multitransport.client.events import (
    Closed,
    Outcome,
    Pinged,
    Ponged,
    Publication,
    Welcomed,
)
from multitransport.client.messages import read_close
from multitransport.client.session import BYE, BrokenMessage, Session
from multitransport.errors import Invalid, OutcomeUnknown, Refused
from multitransport.protocol.position import Position
from tests.unit.client.line import NONCE, Line, errors, frames, joined, message, pub, welcome


class TestHello:
    def test_the_first_one_makes_a_session(self) -> None:
        assert Line().hello() == {"v": 1, "new": NONCE, "attach": 1, "acked": 0, "auth": {"key": 1}}

    def test_later_ones_bring_the_token_a_higher_attach_and_what_was_received(self) -> None:
        line = Line().attached().joined(3)
        line.take(pub(4))
        hello = line.hello()
        assert (hello["new"], hello["attach"], hello["token"], hello["acked"]) == (NONCE, 2, "t", 1)
        assert hello["rooms"] == {"r": {"position": ["e", 4]}}

    def test_later_ones_say_what_was_received_beyond_what_is_missing(self) -> None:
        line = Line().attached()
        for ticket in (1, 2, 3):
            line.session.request(ticket, "e", ticket)
        line.sent()
        line.take(["reply", 2, "two"])
        for options in (line.hello(), frames(line.session.send_hello(2))[0][1]):
            assert (options["acked"], options["had"]) == (0, [2])
        line.take(welcome(3, resumed=True), ["reply", 1, "one"])
        assert line.hello()["acked"] == 2
        assert "had" not in line.hello()

    def test_nothing_is_sent_before_the_first_welcome(self) -> None:
        line = Line()
        line.session.request(1, "e", None)
        line.hello()
        assert line.sent() == []

    def test_a_poll_says_how_long_it_may_be_held(self) -> None:
        assert msgspec.json.decode(Session(NONCE).hello(wait_seconds=25).frame)[1]["wait"] == 25

    def test_a_send_brings_the_attach_it_belongs_to(self) -> None:
        line = Line().attached()
        line.session.hello()
        options = msgspec.json.decode(line.session.send_hello(1))[1]
        assert options == {"v": 1, "new": NONCE, "attach": 1, "token": "t", "acked": 0}

    def test_a_session_of_ones_own_has_a_new_name_and_no_token(self) -> None:
        line = Line().attached().joined()
        line.session.renew("z" * 22)
        hello = line.hello()
        assert (hello["new"], hello["attach"], "token" in hello) == ("z" * 22, 2, False)
        assert hello["rooms"] == {"r": {"position": ["e", 0]}}


class TestRequests:
    def test_a_reply_is_the_outcome(self) -> None:
        line = Line().attached()
        line.session.request(7, "greet", {"name": "Ann"})
        assert line.sent() == [["send", 1, "greet", {"name": "Ann"}]]
        assert line.take(["reply", 1, "hi"], ["ack", 1]) == [Outcome(7, "hi")]

    def test_an_ack_is_the_outcome_where_nothing_was_returned(self) -> None:
        line = Line().attached()
        line.session.publish(7, "r", "said", 1)
        assert line.sent() == [["publish", 1, "r", "said", 1]]
        assert line.take(["ack", 1]) == [Outcome(7)]

    def test_an_error_is_told_by_its_class(self) -> None:
        line = Line().attached()
        line.session.request(7, "e", None)
        line.sent()
        assert errors(line.take(["error", 1, "members_only", "no"])) == [(7, Refused)]

    def test_an_error_that_names_no_seq_is_nobodys_outcome(self) -> None:
        assert Line().attached().take(["error", None, "bad_frame", "?"]) == []

    def test_acks_travel_with_the_next_message_and_at_the_latest_after_half_a_window(self) -> None:
        line = Line().attached(window=4)
        line.session.request(1, "e", None)
        line.sent()
        line.take(["reply", 1, None])
        assert line.sent() == []
        line.session.request(2, "e", None)
        assert line.sent() == [["send", 2, "e", None], ["ack", 1]]
        line.take(["reply", 2, None])
        line.session.request(3, "e", None)
        line.session.request(4, "e", None)
        line.sent()
        line.take(["reply", 3, None], ["reply", 4, None])
        assert line.sent() == [["ack", 4]]

    def test_what_cannot_be_encoded_or_is_too_large_is_refused_at_once(self) -> None:
        line = Line().attached(max_message=10_000)
        with pytest.raises(Invalid):
            line.session.request(1, "e", object())
        with pytest.raises(Invalid):
            line.session.request(1, "e", "x" * 10_000)
        assert line.sent() == []

    def test_no_message_grows_over_the_servers_limit(self) -> None:
        line = Line().attached(max_message=10_000)
        for ticket in range(8):
            line.session.request(ticket, "e", "x" * 3_000)
        sizes = []
        while (text := line.session.upstream(line.attach)) is not None:
            sizes.append(len(text))
        assert len(sizes) == 4
        assert max(sizes) < 8_000


class TestAfterACut:
    def test_what_the_server_did_not_take_is_repeated(self) -> None:
        line = Line().attached()
        for ticket in (1, 2, 3):
            line.session.request(ticket, "e", ticket)
        line.sent()
        line.hello()
        effects = line.take(welcome(2, resumed=True), ["reply", 1, "one"], ["ack", 1])
        assert effects == [Welcomed(resumed=True), Outcome(1, "one")]
        assert line.sent() == [["send", 3, "e", 3], ["ack", 1]]

    def test_nothing_is_sent_before_the_welcome_tells_what_has_to_be_repeated(self) -> None:
        line = Line().attached()
        line.session.request(1, "e", 1)
        line.sent()
        line.hello()
        line.session.request(2, "e", 2)
        assert line.sent() == []
        line.take(welcome(0, resumed=True))
        assert line.sent() == [["send", 1, "e", 1], ["send", 2, "e", 2]]

    def test_between_two_polls_frames_may_be_sent_but_not_before_the_first(self) -> None:
        line = Line().attached()
        line.session.request(1, "e", 1)
        first = line.session.hello(wait_seconds=0)
        assert line.session.upstream(first.attach) is None
        line.session.receive(message(welcome(0, resumed=True)), first.attach)
        second = line.session.hello(wait_seconds=25)
        assert frames(line.session.upstream(second.attach)) == [["send", 1, "e", 1]]
        assert line.session.receive(message(welcome(0, resumed=True)), second.attach) == [Welcomed(resumed=True)]
        assert line.session.upstream(second.attach) is None

    def test_a_repeated_outcome_is_told_once(self) -> None:
        line = Line().attached()
        line.session.request(1, "e", 1)
        line.sent()
        line.take(["reply", 1, "one"])
        line.hello()
        assert line.take(welcome(1, resumed=True), ["reply", 1, "one"], ["ack", 1]) == [Welcomed(resumed=True)]

    def test_with_the_session_gone_sent_frames_are_unknown_and_others_are_sent_under_new_numbers(self) -> None:
        line = Line().attached(window=1)
        line.session.request(1, "e", "sent")
        line.session.request(2, "e", "kept")
        assert line.sent() == [["send", 1, "e", "sent"]]
        line.hello()
        assert errors(line.take(welcome(session="new"))) == [(1, OutcomeUnknown)]
        assert line.sent() == [["send", 1, "e", "kept"]]

    def test_a_session_is_told_by_its_id_since_the_welcome_that_said_so_may_be_lost(self) -> None:
        line = Line().attached()
        line.session.request(1, "e", 1)
        line.sent()
        line.hello()
        assert errors(line.take(welcome(session="new", resumed=True))) == [(1, OutcomeUnknown)]
        line.session.request(2, "e", 2)
        assert line.sent() == [["send", 1, "e", 2]]
        line.hello()
        assert line.take(welcome(1, session="new", resumed=False)) == [Welcomed(resumed=True)]

    def test_with_the_session_gone_leaving_has_succeeded(self) -> None:
        line = Line().attached().joined()
        line.session.leave(2, "r")
        line.sent()
        line.hello()
        assert line.take(welcome(session="new")) == [Outcome(2), Welcomed(resumed=False)]

    def test_what_an_older_transport_says_after_the_welcome_of_a_newer_is_ignored(self) -> None:
        line = Line().attached().joined()
        line.hello()
        assert line.session.receive(message(pub(1)), line.attach - 1) == [Publication("r", "n", 1, Position("e", 1))]
        line.take(welcome(1, resumed=True), joined(None, 0))
        assert line.session.receive(message(pub(2)), line.attach - 1) == []
        assert line.session.upstream(line.attach - 1) is None
        assert line.take(pub(1), pub(2)) == [Publication("r", "n", 2, Position("e", 2))]


class TestTheRest:
    def test_a_ping_is_answered(self) -> None:
        line = Line().attached()
        assert line.take(["ping", 4.5]) == [Pinged()]
        assert line.sent() == [["pong", 4.5]]
        assert line.sent() == []

    def test_the_clients_own_ping(self) -> None:
        line = Line().attached()
        line.session.ping(1.5)
        assert line.sent() == [["ping", 1.5]]
        assert line.take(["pong", 1.5]) == [Ponged(1.5)]

    def test_bye_goes_before_all_else(self) -> None:
        line = Line().attached()
        line.session.request(1, "e", None)
        line.session.bye()
        assert line.session.upstream(line.attach) is BYE

    def test_close_is_told_with_its_options(self) -> None:
        line = Line().attached()
        assert line.take(["close", 3000, "stopping", {"retry_after": 1.5}]) == [Closed(3000, "stopping", 1.5)]
        assert line.take(["close", 3505, "no", {"code": "banned"}]) == [Closed(3505, "no", None, "banned")]

    def test_what_a_newer_server_adds_is_ignored(self) -> None:
        line = Line().attached().joined()
        assert line.take(["weather", "fine"], [*pub(1), {"new": True}, "more"], [*joined(None, 1), 1])[
            0
        ] == Publication("r", "n", 1, Position("e", 1))
        assert line.session.receive(b"\n\n", line.attach) == []

    @pytest.mark.parametrize(
        "text",
        [
            *(b"{}", b"[", b"[]", b"[[]]", b"[" * 100_000, b"\xff"),
            *(b'["ack"]', b'["ack","x"]', b'["close"]', b'["welcome",{}]', b'["joined",1,"r",null,{}]'),
            *(b'["pub","r"]', b'["pub","r","x","e",1]'),
        ],
    )
    def test_what_cannot_be_read_is_a_broken_message(self, text: bytes) -> None:
        line = Line().attached()
        line.session.request(1, "e", None)
        line.sent()
        line.session.join(2, "r")
        line.sent()
        line.take(joined(2, 0))
        with pytest.raises(BrokenMessage):
            line.session.receive(text, line.attach)

    def test_a_refusal_is_read_only_where_it_is_in_this_protocol(self) -> None:
        assert read_close(b'["close",3006,"stale"]\n') == Closed(3006, "stale")
        assert read_close(b"<html>502</html>") is None
        assert read_close(b"") is None
