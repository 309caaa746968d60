"""What every transport does with what is published in one way or another, and for whom."""

from __future__ import annotations

import pytest

from multitransport import Refuse
from tests.contracts.transport_contract import TransportContract
from tests.contracts.wires import wire

__all__ = ["PublishContract"]

ANN = {"Authorization": "Bearer ann"}


class PublishContract(TransportContract):
    """Exclusion, volatile publications, ids, inboxes, and what clients publish."""

    async def test_an_excluded_session_is_not_sent_it_also_after_a_resume(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one, wire(transport, served) as two:
            mine = await one.open(["join", 1, "log/a"])
            await one.outcome(1)
            await two.open(["join", 1, "log/a"])
            await two.outcome(1)
            publish = served.application.rt.publish
            await publish("log/a", "said", 1, exclude=mine["session"])
            await publish("log/a", "said", 2)
            assert await one.publications(1) == [2]
            await one.drop()
            last = await publish("log/a", "said", 3, exclude=mine["session"])
            assert (await one.open())["resumed"]
            await one.until(lambda: one.positions["log/a"] == list(last))
            assert not [frame for frame in one.seen if frame[0] == "pub"]
            await publish("log/a", "said", 4, exclude="somebody else")
            assert await one.publications(1) == [4]
            assert await two.publications(4) == [1, 2, 3, 4]

    async def test_an_exclusion_is_of_one_publication(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one, wire(transport, served) as two:
            mine, theirs = await one.open(["join", 1, "log/a"]), await two.open(["join", 1, "log/a"])
            await one.outcome(1)
            await two.outcome(1)
            for number, excluded in enumerate([mine, theirs, mine, theirs]):
                await served.application.rt.publish("log/a", "said", number, exclude=excluded["session"])
            assert await one.publications(2) == [1, 3]
            assert await two.publications(2) == [0, 2]

    async def test_a_volatile_publication_has_no_position_and_is_not_kept(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one, wire(transport, served) as late:
            await one.open(["join", 1, "log/a"])
            joined = await one.outcome(1)
            waiting = await one.held("pub")
            publish = served.application.rt.publish
            assert await publish("log/a", "typing", {"who": "ann"}, volatile=True) is None
            assert await waiting == ["pub", "log/a", None, "typing", {"who": "ann"}]
            assert one.positions["log/a"] == joined[3]
            await late.open(["join", 1, "log/a"])
            await publish("log/a", "said", "kept")
            assert await late.publication("log/a") == ["pub", "log/a", 1, "said", "kept"]
            assert await one.publications(1) == ["kept"]

    async def test_a_volatile_publication_may_exclude(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one, wire(transport, served) as two:
            mine = await one.open(["join", 1, "log/a"])
            await one.outcome(1)
            await two.open(["join", 1, "log/a"])
            await two.outcome(1)
            heard, waiting = await two.held("pub"), await one.held("pub")
            publish = served.application.rt.publish
            await publish("log/a", "typing", "not for one", volatile=True, exclude=mine["session"])
            assert (await heard)[2:] == [None, "typing", "not for one"]
            await publish("log/a", "said", "for all")
            assert (await waiting)[4] == "for all"

    async def test_a_publication_repeated_with_its_id_is_one(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one:
            await one.open(["join", 1, "log/a"])
            await one.outcome(1)
            publish = served.application.rt.publish
            first = await publish("log/a", "said", "once", id="order 7")
            assert await publish("log/a", "said", "once", id="order 7") == first
            second = await publish("log/a", "said", "another", id="order 8")
            assert second.offset == first.offset + 1
            assert await one.publications(2) == ["once", "another"]

    async def test_one_publication_to_many_rooms(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one:
            await one.open(["join", 1, "log/a"], ["join", 2, "log/b"])
            await one.outcome(2)
            positions = await served.application.rt.publish(["log/a", "log/b", "log/unread"], "said", "to all")
            assert [position and position.offset for position in positions] == [1, 1, 1]
            assert {(await one.next("pub"))[1] for _ in range(2)} == {"log/a", "log/b"}
            with pytest.raises(Refuse):
                await served.application.rt.publish("nowhere", "said", 1)

    async def test_a_users_inbox_reaches_all_their_sessions_and_nobody_else(self, transport: str) -> None:
        async with (
            self.serve() as served,
            wire(transport, served, headers=ANN) as phone,
            wire("websocket", served, headers=ANN) as desktop,
            wire(transport, served) as other,
        ):
            for each in (phone, desktop, other):
                await each.open(["join", 1, "log/a"])
                await each.outcome(1)
            rt = served.application.rt
            await rt.publish(rt.user("ann"), "told", "to ann")
            for each in (phone, desktop):
                joined = await each.next("joined")
                assert joined[1:3] == [None, "@user/ann"]
                assert joined[4] == {"mode": "log", "recovered": True}
                assert await each.publications(1) == ["to ann"]
            await rt.publish("log/a", "said", "to all")
            assert await other.publications(1) == ["to all"]
            assert set(other.positions) == {"log/a"}

    async def test_an_inbox_resumes_as_other_rooms_do(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one:
            mine = await one.open()
            rt = served.application.rt
            inbox = rt.session(mine["session"])
            await rt.publish(inbox, "told", 1)
            assert await one.publications(1) == [1]
            await one.drop()
            await rt.publish(inbox, "told", 2)
            await rt.publish(inbox, "told", 3)
            assert (await one.open())["resumed"]
            assert await one.publications(2) == [2, 3]

    async def test_what_comes_first_while_the_session_is_away_waits_for_it(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served, headers=ANN) as one:
            mine = await one.open()
            await one.confirm()
            await one.drop()
            rt = served.application.rt
            await rt.publish(rt.session(mine["session"]), "told", 1)
            await rt.publish(rt.user("ann"), "told", 2)
            assert (await one.open())["resumed"]
            assert sorted(await one.publications(2)) == [1, 2]
            assert set(one.positions) == {f"@session/{mine['session']}", "@user/ann"}

    async def test_who_publishes_hears_it_once_whatever_comes_in_between(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one, wire("websocket", served) as two:
            mine = await one.open(["join", 1, "log/a"])
            await one.outcome(1)
            await two.open(["join", 1, "log/a"])
            await two.outcome(1)
            frame = ["publish", 2, "log/a", "said", "mine"]
            await one.say(frame)
            await one.say(frame)
            await one.drop()
            await one.open(frame)
            await served.application.publish("log/a", "after it")
            assert [await one.publication("log/a"), (await one.publication("log/a"))[4]] == [
                ["pub", "log/a", 1, "said", "mine", {"from": mine["session"]}],
                "after it",
            ]
            assert await two.publications(2) == ["mine", "after it"]

    async def test_what_a_client_publishes_to_a_state_room_has_a_key(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one:
            mine = await one.open(["join", 1, "state/a"])
            await one.outcome(1)
            await one.say(["publish", 2, "state/a", "moved", {"x": 1}, {"key": "cursor"}])
            assert (await one.publication("state/a"))[3:] == [
                "moved",
                {"x": 1},
                {"key": "cursor", "from": mine["session"]},
            ]
            await one.say(["publish", 3, "state/a", "moved", {"x": 2}, {"key": "cursor", "deleted": True}])
            await one.holds("state/a", {})
            await one.say(["publish", 4, "state/a", "moved", "no key"])
            assert (await one.outcome(4))[2] == "invalid"
            await one.say(["publish", 5, "state/a", "moved", "forbidden", {"key": "b"}])
            assert (await one.outcome(5))[2] == "bad_words"
