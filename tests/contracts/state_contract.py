"""What every transport does with state rooms: of each key its newest value, in the end."""

from __future__ import annotations

import pytest

from multitransport.errors import RoomFull
from tests.contracts.served import Served
from tests.contracts.transport_contract import TransportContract
from tests.contracts.wires import wire

__all__ = ["StateContract"]


class StateContract(TransportContract):
    """State rooms."""

    async def test_a_late_joiner_gets_what_is_and_then_what_follows(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one:
            for number in range(3):
                await put(served, "state/a", cpu0=number, cpu1=10 + number)
            await one.open(["join", 1, "state/a"])
            joined = await one.outcome(1)
            assert (joined[3][1], joined[4]) == (0, {"mode": "state", "recovered": True})
            assert await one.publication("state/a") == ["pub", "state/a", 5, "load", 2, {"key": "cpu0"}]
            assert await one.publication("state/a") == ["pub", "state/a", 6, "load", 12, {"key": "cpu1"}]
            assert (await one.next("at"))[1:] == ["state/a", [joined[3][0], 6]]
            await put(served, "state/a", cpu0=3)
            assert (await one.publication("state/a"))[4:] == [3, {"key": "cpu0"}]
            await one.holds("state/a", {"cpu0": 3, "cpu1": 12})

    async def test_a_deletion_is_told_and_no_newcomer_hears_of_the_key(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one, wire(transport, served) as late:
            await put(served, "state/a", gone=1, kept=2)
            await one.open(["join", 1, "state/a"])
            await one.holds("state/a", {"gone": 1, "kept": 2})
            await served.application.rt.publish("state/a", "load", None, key="gone", deleted=True)
            await one.holds("state/a", {"kept": 2})
            assert one.seen[-2][3:] == ["load", None, {"key": "gone", "deleted": True}]
            await late.open(["join", 1, "state/a"])
            await late.until(lambda: late.positions.get("state/a", [0, 0])[1] == 3)
            assert late.values["state/a"] == {"kept": 2}
            await served.application.rt.publish("state/a", "load", 4, key="gone")
            for each in (one, late):
                await each.holds("state/a", {"kept": 2, "gone": 4})

    async def test_a_resume_brings_what_changed_since(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one:
            await put(served, "state/a", same=1, changed=1, gone=1)
            await one.open(["join", 1, "state/a"])
            await one.holds("state/a", {"same": 1, "changed": 1, "gone": 1})
            await one.until(lambda: one.positions["state/a"][1] == 3)
            await one.drop()
            for number in range(50):
                await put(served, "state/a", changed=number, new=number)
            await served.application.rt.publish("state/a", "load", None, key="gone", deleted=True)
            one.seen.clear()
            assert (await one.open())["resumed"]
            await one.holds("state/a", {"same": 1, "changed": 49, "new": 49})
            await one.until(lambda: one.positions["state/a"][1] == 104)
            told = [frame[5]["key"] for frame in one.seen if frame[0] == "pub"]
            assert sorted(told) == ["changed", "gone", "new"]

    @pytest.mark.parametrize("where", ["at the end of a pass", "within the first pass"])
    async def test_from_before_a_forgotten_deletion_it_begins_anew(self, transport: str, where: str) -> None:
        async with self.serve() as served, wire(transport, served) as one:
            await put(served, "small/a", a=1, b=1, c=1)
            await one.open(["join", 1, "small/a"])
            await one.holds("small/a", {"a": 1, "b": 1, "c": 1})
            await one.until(lambda: one.positions["small/a"][1] == 3)
            epoch, _ = one.positions["small/a"]
            await one.drop()
            # There is room for no fourth key, so the deletion of the first is forgotten for it.
            await served.application.rt.publish("small/a", "load", None, key="a", deleted=True)
            await put(served, "small/a", d=2)
            if where == "within the first pass":
                one.positions["small/a"] = [epoch, 0]
            await one.open()
            assert (await one.rejoined())[4] == {"mode": "state", "recovered": False, "lost": None}
            await one.holds("small/a", {"b": 1, "c": 1, "d": 2})

    async def test_an_attached_reader_is_told_that_it_begins_anew(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one:
            await put(served, "small/a", a=1, b=1, c=1)
            await one.open(["join", 1, "small/a"])
            await one.holds("small/a", {"a": 1, "b": 1, "c": 1})
            await one.until(lambda: one.positions["small/a"][1] == 3)
            # In one go, so that no reader has a chance in between.
            await served.application.rt.publish("small/a", "load", None, key="a", deleted=True)
            await put(served, "small/a", d=2)
            await one.holds("small/a", {"b": 1, "c": 1, "d": 2})

    async def test_another_epoch_begins_anew(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one:
            await put(served, "state/a", a=1)
            await one.open(["join", 1, "state/a"])
            await one.holds("state/a", {"a": 1})
            await one.drop()
            one.positions["state/a"] = ["other", 1]
            one.values["state/a"]["phantom"] = 1
            await one.open()
            assert not (await one.rejoined())[4]["recovered"]
            await one.holds("state/a", {"a": 1})

    async def test_a_pass_larger_than_a_batch_is_whole(self, transport: str) -> None:
        async with self.serve(batch_bytes=2000) as served, wire(transport, served) as one:
            expected = {f"key {number}": "x" * 100 for number in range(200)}
            await put(served, "state/a", **expected)
            await one.open(["join", 1, "state/a"])
            joined = await one.outcome(1)
            await one.until(lambda: one.positions["state/a"][1] == 200)
            assert one.values["state/a"] == expected
            told = [frame for frame in one.seen if frame[0] in ("pub", "at")]
            assert told[-1] == ["at", "state/a", [joined[3][0], 200]]
            assert [frame[0] for frame in told].count("at") == 1
            await put(served, "state/a", **dict.fromkeys(expected, 1))
            await one.holds("state/a", dict.fromkeys(expected, 1))

    async def test_a_pass_larger_than_a_message_is_whole(self, transport: str) -> None:
        async with self.serve(batch_bytes=500, max_message_bytes=2000) as served, wire(transport, served) as one:
            expected = {f"key {number}": "x" * 100 for number in range(100)}
            await put(served, "state/a", **expected)
            await one.open(["join", 1, "state/a"])
            await one.holds("state/a", expected)
            await one.until(lambda: one.positions["state/a"][1] == 100)

    async def test_bytes_are_values_too(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one:
            await put(served, "state/a", a=b"\x00\xff", b=b"", c=None)
            await one.open(["join", 1, "state/a"])
            await one.holds("state/a", {"a": b"\x00\xff", "b": b"", "c": None})

    async def test_who_is_excluded_is_spared_until_it_begins_anew(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one, wire("websocket", served) as other:
            await put(served, "state/a", first=1)
            mine = await one.open(["join", 1, "state/a"])
            await other.open(["join", 1, "state/a"])
            await one.holds("state/a", {"first": 1})
            await one.next("at")
            await other.holds("state/a", {"first": 1})
            publish = served.application.rt.publish
            await publish("state/a", "load", "one's own", key="mine", exclude=mine["session"])
            await publish("state/a", "load", "for all", key="shared")
            await other.holds("state/a", {"first": 1, "mine": "one's own", "shared": "for all"})
            await one.until(lambda: one.positions["state/a"][1] == 3)
            assert one.values["state/a"] == {"first": 1, "shared": "for all"}
            await one.say(["leave", 2, "state/a"], ["join", 3, "state/a"])
            await one.outcome(3)
            await one.holds("state/a", {"first": 1, "mine": "one's own", "shared": "for all"})

    async def test_a_volatile_publication_leaves_the_state_as_it_is(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one:
            await put(served, "state/a", a=1)
            await one.open(["join", 1, "state/a"])
            await one.holds("state/a", {"a": 1})
            await one.until(lambda: one.positions["state/a"][1] == 1)
            one.seen.clear()
            waiting = await one.held("pub")
            await served.application.rt.publish("state/a", "blink", 5, key="a", volatile=True)
            assert await waiting == ["pub", "state/a", None, "blink", 5, {"key": "a"}]
            await one.drop()
            await one.open()
            await put(served, "state/a", b=2)
            await one.holds("state/a", {"a": 1, "b": 2})

    async def test_the_rate_holds_over_a_resume(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one:
            await put(served, "state/a", a=0)
            await one.open(["join", 1, "state/a", {"max_rate": 0.01}])
            await one.until(lambda: one.positions.get("state/a", [0, 0])[1] == 1)
            position = one.positions["state/a"]
            await one.drop()
            await put(served, "state/a", a=1)
            one.positions.clear()
            asked = {"state/a": {"position": position, "max_rate": 0.01}}
            assert (await one.open(["send", 2, "echo", 2], rooms=asked))["resumed"]
            assert await one.outcome(2) == ["reply", 2, 2]
            assert one.values["state/a"] == {"a": 0}
            one.positions["state/a"] = position
            await one.say(["join", 3, "state/a", {"position": position}])
            await one.holds("state/a", {"a": 1})

    async def test_a_client_gets_passes_at_the_rate_it_asks_for(self, transport: str) -> None:
        async with self.serve() as served, wire(transport, served) as one:
            await put(served, "state/a", a=0)
            await one.open(["join", 1, "state/a", {"max_rate": 0.01}])
            await one.holds("state/a", {"a": 0})
            await one.until(lambda: one.positions["state/a"][1] == 1)
            epoch, _ = one.positions["state/a"]
            await put(served, "state/a", a=1)
            await put(served, "state/a", b=1)
            one.seen.clear()
            await one.say(["join", 2, "state/a", {"position": [epoch, 1], "max_rate": 1000}])
            assert (await one.outcome(2))[3:] == [[epoch, 1], {"mode": "state", "recovered": True}]
            assert not [frame for frame in one.seen if frame[0] == "pub" and frame[2] <= 1]
            await one.holds("state/a", {"a": 1, "b": 1})
            await put(served, "state/a", a=2)
            await one.holds("state/a", {"a": 2, "b": 1})

    @pytest.mark.parametrize("full", ["keys", "bytes"])
    async def test_a_full_room_takes_no_more(self, transport: str, full: str) -> None:
        async with self.serve() as served, wire(transport, served) as one:
            await put(served, "small/a", a=1, b=1, **({"c": 1} if full == "keys" else {}))
            await one.open(["join", 1, "small/a"])
            await one.outcome(1)
            too_much = 1 if full == "keys" else "x" * 2000
            await one.say(["publish", 2, "small/a", "load", too_much, {"key": "new"}])
            assert (await one.outcome(2))[2] == "too_many_keys"
            with pytest.raises(RoomFull):
                await served.application.rt.publish("small/a", "load", too_much, key="new")
            # What is there can change, and a deletion makes room.
            await one.say(["publish", 3, "small/a", "load", 2, {"key": "a"}])
            await one.say(["publish", 4, "small/a", "load", None, {"key": "b", "deleted": True}])
            await one.say(["publish", 5, "small/a", "load", 3, {"key": "new"}])
            rest = {"c": 1} if full == "keys" else {}
            await one.holds("small/a", {"a": 2, "new": 3, **rest})


async def put(served: Served, room: str, **values: object) -> None:
    """Publish the value of each key."""
    for key, value in values.items():
        await served.application.rt.publish(room, "load", value, key=key)
