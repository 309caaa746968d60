"""Namespaces: names, their connect check, and what cannot be declared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from multitransport.errors import ConfigurationError, Refuse
from multitransport.node.declarations import Declarations, Namespace
from multitransport.node.session import Session
from tests.simulated import simulated
from tests.unit.node.site import NEW, Site, of_kind


async def anybody(client: Session, **values: Any) -> None:
    """Let everybody in."""


async def echo(client: Session, data: Any) -> Any:
    return data


async def may_publish(client: Session, event: str, data: Any) -> None:
    """Let everybody publish."""


class Chat:
    """A namespace whose check counts how often it is asked, and says what ``allowed`` says."""

    def __init__(self) -> None:
        self.namespace = Namespace("chat")
        self.namespace.on_connect(self.check)
        self.namespace.on("say")(echo)
        self.namespace.on("say beside", concurrent=True)(echo)
        self.namespace.room("hall", on_publish=may_publish)(anybody)
        self.asked = 0
        self.allowed: Any = None

    async def check(self, client: Session) -> Any:
        self.asked += 1
        if isinstance(self.allowed, Exception):
            raise self.allowed
        return self.allowed


def chat_site() -> tuple[Site, Chat]:
    site, chat = Site(), Chat()
    site.declared.on("outside")(echo)
    site.declared.register(chat.namespace)
    return site, chat


@simulated
async def test_rooms_and_events_are_under_its_name_and_its_check_runs_before_the_first_use() -> None:
    site, chat = chat_site()
    async with site:
        one = await site.attach()
        await site.say(one, ["send", 1, "outside", 0])
        assert chat.asked == 0
        await site.say(one, ["send", 2, "chat/say", "a"], ["join", 3, "chat/hall"], ["send", 4, "say", "b"])
        await site.say(one, ["publish", 5, "chat/hall", "e", 1], ["send", 6, "chat/say beside", "c"])
        frames = site.take(one)
        assert of_kind(frames, "reply") == [[1, 0], [2, "a"], [6, "c"]]
        assert [error[:2] for error in of_kind(frames, "error")] == [[4, "unknown_event"]]
        assert len(of_kind(frames, "pub")) == 1
        assert chat.asked == 1


@pytest.mark.parametrize(
    ("answer", "code"), [(False, "refused"), (Refuse("members", "Join."), "members"), (ValueError("x"), "failed")]
)
def test_whom_its_check_refuses_uses_nothing_of_it(answer: Any, code: str) -> None:
    @simulated
    async def test() -> None:
        site, chat = chat_site()
        chat.allowed = answer
        async with site:
            one = await site.attach()
            await site.say(one, ["send", 1, "chat/say", 1], ["join", 2, "chat/hall"], ["send", 3, "outside", 0])
            frames = site.take(one)
            assert [error[:2] for error in of_kind(frames, "error")] == [[1, code], [2, code]]
            assert of_kind(frames, "reply") == [[3, 0]]
            chat.allowed = None
            await site.say(one, ["send", 4, "chat/say", 1])
            assert of_kind(site.take(one), "reply") == [[4, 1]]

    test()


@simulated
async def test_a_resume_asks_again_but_not_each_poll() -> None:
    site, chat = chat_site()
    async with site:
        one = await site.attach()
        token = (await site.welcomed(one))["token"]
        await site.say(one, ["send", 1, "chat/say", 1])
        two = await site.attach(2, "poll", token=token)
        await site.say(two, ["send", 2, "chat/say", 2])
        assert chat.asked == 2
        three = await site.attach(3, "poll", token=token)
        await site.say(three, ["send", 3, "chat/say", 3])
        assert chat.asked == 2
        chat.allowed = False
        four = await site.attach(4, "websocket", token=token)
        await site.say(four, ["send", 4, "chat/say", 4])
        assert of_kind(site.take(four), "error")[0][1] == "refused"


@simulated
async def test_who_is_not_let_in_is_not_told_what_data_would_fit() -> None:
    site = Site()
    closed = Namespace("closed")

    @closed.on_connect
    def nobody(client: Session) -> bool:
        return False

    @closed.on("typed")
    async def typed(client: Session, data: int) -> None:
        """Take a number."""

    site.declared.register(closed)
    async with site:
        one = await site.attach(new=NEW)
        await site.say(one, ["send", 1, "closed/typed", "x"])
        assert of_kind(site.take(one), "error") == [[1, "refused", "not allowed"]]


def test_a_namespace_serves_several_extensions() -> None:
    chat = Chat().namespace
    first, second = Declarations(), Declarations()
    first.register(chat)
    second.register(chat)
    assert list(first.handlers) == list(second.handlers) == ["chat/say", "chat/say beside"]
    assert [room.rule for room in second.rooms] == ["chat/hall"]


@pytest.mark.parametrize("name", ["", "/chat", "chat/", "<id>", "@chat"])
def test_a_name_that_no_namespace_can_have(name: str) -> None:
    with pytest.raises(ConfigurationError, match="such as 'chat'"):
        Namespace(name)


def test_a_name_is_registered_once() -> None:
    declared, chat = Declarations(), Chat().namespace
    declared.register(chat)
    for again in (chat, Namespace("chat")):
        with pytest.raises(ConfigurationError, match="'chat' is registered already"):
            declared.register(again)


@pytest.mark.parametrize("taken", ["event", "room"])
def test_what_is_taken_already_is_told_and_nothing_is_registered(taken: str) -> None:
    declared = Declarations()
    if taken == "event":
        declared.on("chat/say")(echo)
    else:
        declared.room("chat/hall")(anybody)
    with pytest.raises(ConfigurationError, match="already"):
        declared.register(Chat().namespace)
    assert len(declared.rooms) + len(declared.handlers) == 1


def _nested(chat: Namespace) -> None:
    chat.register(Namespace("admin"))


def _on_disconnect(chat: Namespace) -> None:
    chat.on_disconnect(print)
    Declarations().register(chat)


def _takes_auth(chat: Namespace) -> None:
    def check(client: Session, auth: Any) -> None:
        """Want more than there is."""

    chat.on_connect(check)
    Declarations().register(chat)


def _late(declare: Callable[[Namespace], Any]) -> Callable[[Namespace], None]:
    def run(chat: Namespace) -> None:
        Declarations().register(chat)
        declare(chat)

    return run


@pytest.mark.parametrize(
    ("declare", "words"),
    [
        (_nested, "'admin' on the extension"),
        (_on_disconnect, "on the extension, not on 'chat'"),
        (_takes_auth, r"must take \(client\)"),
        (_late(lambda chat: chat.on("late")), "before 'chat' is registered"),
        (_late(lambda chat: chat.room("late")), "before 'chat' is registered"),
        (_late(lambda chat: chat.on_connect(print)), "before 'chat' is registered"),
    ],
)
def test_what_a_namespace_cannot_declare(declare: Callable[[Namespace], None], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        declare(Namespace("chat"))
