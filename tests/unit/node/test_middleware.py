"""Middleware: what it sees, in which order, and that it lets nobody in unknowingly."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from multitransport.errors import ConfigurationError, Refuse
from multitransport.node.declarations import Call, Declarations
from multitransport.node.session import Session
from tests.bare_host import Abort
from tests.simulated import simulated
from tests.unit.node.site import Site, of_kind

Proceed = Callable[[], Awaitable[Any]]
Middleware = Callable[[Session, Call, Proceed], Awaitable[Any]]


def site_behind(*middlewares: Any) -> Site:
    site = Site()
    for middleware in middlewares:
        site.declared.middleware(middleware)

    async def on_publish(client: Session, event: str, data: Any) -> Any:
        return data != "bad"

    async def nobody(client: Session) -> bool:
        return False

    async def anybody(client: Session) -> None:
        """Let everybody in."""

    site.declared.room("hall", presence=True, on_publish=on_publish)(anybody)
    site.declared.room("closed")(nobody)

    @site.declared.on("double")
    async def double(client: Session, data: int) -> int:
        return data * 2

    return site


EVERYTHING = [
    ["join", 1, "hall"],
    ["send", 2, "double", 4],
    ["publish", 3, "hall", "said", "x"],
    ["presence", 4, "hall", "here"],
    ["leave", 5, "hall"],
]


async def through(*middlewares: Any, frames: list[Any] | None = None) -> list[Any]:
    """Return what comes of frames behind these middlewares."""
    async with site_behind(*middlewares) as site:
        one = await site.attach()
        await site.say(one, *(EVERYTHING if frames is None else frames))
        return site.take(one)


@simulated
async def test_it_sees_each_frame_in_order_and_what_comes_of_it() -> None:
    seen: list[tuple[Call, Any]] = []

    async def watch(client: Session, call: Call, proceed: Proceed) -> Any:
        result = await proceed()
        seen.append((call, result))
        return result

    frames = await through(watch)
    assert of_kind(frames, "reply") == [[2, 8]]
    assert of_kind(frames, "error") == []
    assert seen == [
        (Call("join", "hall"), None),
        (Call("send", "double", "double", 4), 8),
        (Call("publish", "hall", "said", "x"), None),
        (Call("presence", "hall", data="here"), None),
        (Call("leave", "hall"), None),
    ]


@simulated
async def test_the_first_declared_is_the_outermost() -> None:
    order: list[str] = []

    def layer(name: str) -> Middleware:
        async def middleware(client: Session, call: Call, proceed: Proceed) -> Any:
            order.append(f"{name} in")
            result = await proceed()
            order.append(f"{name} out")
            return [name, result]

        return middleware

    frames = await through(layer("a"), layer("b"), frames=[["send", 1, "double", 1]])
    assert order == ["a in", "b in", "b out", "a out"]
    assert of_kind(frames, "reply") == [[1, ["a", ["b", 2]]]]


async def refuses(client: Session, call: Call, proceed: Proceed) -> Any:
    raise Refuse("too_often", "Slow down.")


async def aborts(client: Session, call: Call, proceed: Proceed) -> Any:
    raise Abort


async def fails(client: Session, call: Call, proceed: Proceed) -> Any:
    raise ValueError("on purpose")


@pytest.mark.parametrize(("middleware", "code"), [(refuses, "too_often"), (aborts, "forbidden"), (fails, "failed")])
def test_it_may_refuse_anything(middleware: Any, code: str) -> None:
    @simulated
    async def test() -> None:
        refused: set[str] = set()

        async def but_joins(client: Session, call: Call, proceed: Proceed) -> Any:
            if call.kind == "join":
                return await proceed()
            refused.add(call.kind)
            return await middleware(client, call, proceed)

        frames = await through(but_joins)
        assert [error[:2] for error in of_kind(frames, "error")] == [[seq, code] for seq in (2, 3, 4)]
        assert refused == {"send", "publish", "presence", "leave"}
        assert of_kind(frames, "left") == [[5, "hall"]], "a leave cannot be refused"
        assert "on purpose" not in str(frames)
        frames = await through(middleware, frames=[["join", 1, "hall"]])
        assert [error[:2] for error in of_kind(frames, "error")] == [[1, code]]

    test()


@simulated
async def test_who_leaves_is_out_whatever_a_middleware_makes_of_it() -> None:
    async with site_behind(refuses_leaves) as site:
        one = await site.attach()
        await site.say(one, ["join", 1, "hall"], ["leave", 2, "hall"])
        assert site.client(one).record.rooms == {}
        assert await site.node.verbs.members("hall") == []


async def refuses_leaves(client: Session, call: Call, proceed: Proceed) -> Any:
    if call.kind == "leave":
        raise Refuse("stay")
    return await proceed()


@simulated
async def test_a_no_of_the_check_stays_a_no_whatever_it_makes_of_it() -> None:
    async def forgets(client: Session, call: Call, proceed: Proceed) -> None:
        await proceed()

    async def swallows(client: Session, call: Call, proceed: Proceed) -> Any:
        try:
            return await proceed()
        except Refuse:
            return True

    for middleware in (forgets, swallows):
        frames = await through(
            middleware, frames=[["join", 1, "closed"], ["join", 2, "hall"], ["publish", 3, "hall", "e", "bad"]]
        )
        assert [error[:2] for error in of_kind(frames, "error")] == [[1, "refused"], [3, "refused"]]
        assert of_kind(frames, "pub")[0][0] != "hall"


@simulated
async def test_one_that_does_not_proceed_answers_a_send_and_refuses_the_rest() -> None:
    async def cached(client: Session, call: Call, proceed: Proceed) -> Any:
        return "from the cache"

    frames = await through(cached, frames=[["send", 1, "double", 1], ["join", 2, "hall"]])
    assert of_kind(frames, "reply") == [[1, "from the cache"]]
    assert [error[:2] for error in of_kind(frames, "error")] == [[2, "refused"]]


@simulated
async def test_one_that_returns_false_refuses_what_a_check_may_refuse() -> None:
    async def no(client: Session, call: Call, proceed: Proceed) -> Any:
        await proceed()
        return False

    frames = await through(no, frames=[["join", 1, "hall"], ["send", 2, "double", 1]])
    assert [error[:2] for error in of_kind(frames, "error")] == [[1, "refused"]]
    assert of_kind(frames, "reply") == [[2, False]]


def test_a_plain_function_is_no_middleware() -> None:
    def plain(client: Session, call: Call, proceed: Proceed) -> Any:
        return proceed()

    with pytest.raises(ConfigurationError, match="plain is not"):
        Declarations().middleware(plain)
