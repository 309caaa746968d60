from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from typing import Any

import pytest
from msgspec import Raw

from multitransport.errors import BrokerUnavailable, ConfigurationError, Refuse
from multitransport.node.session import Session
from multitransport.protocol.frames import DataOptions
from tests.bare_host import Abort, BareHost
from tests.unit.node.checked import App, answering, raising

# The connect check


async def test_without_a_connect_check_everybody_may_connect() -> None:
    app = App()
    await app.connect()
    assert app.client.user_id is None


async def test_the_connect_check_runs_in_the_requests_context_and_says_who_it_is() -> None:
    app = App()

    @app.declared.on_connect
    async def connect(client: Session) -> None:
        client.user_id = "/".join(app.host.within)

    await app.connect()
    assert (app.client.user_id, app.host.within) == ("request of /realtime/sse", [])


@pytest.mark.parametrize(("auth", "value"), [(b"null", None), (b'{"key": [1]}', {"key": [1]}), (b'"x"', "x")])
async def test_the_connect_check_may_take_what_hello_brings(auth: bytes, value: Any) -> None:
    app = App()
    seen = []

    @app.declared.on_connect
    def connect(client: Session, auth: Any) -> None:
        seen.append(auth)

    await app.connect(auth)
    assert seen == [value]


async def test_a_client_that_a_test_has_signed_in_passes() -> None:
    app = App()
    app.declared.on_connect(raising(Refuse()))
    app.request.scope["extensions"] = {"multitransport.test": {"user": "ann"}}
    await app.connect()
    assert app.client.user_id == "ann"


@pytest.mark.parametrize("auth", [b"1e999", b'"\\ud800"', b"[" * 10_000 + b"]" * 10_000])
async def test_auth_that_cannot_be_decoded_is_invalid(auth: bytes) -> None:
    app = App()
    app.declared.on_connect(answering(None))
    with pytest.raises(Refuse) as refused:
        await app.connect(auth)
    assert refused.value.code == "invalid"


# Refusals, whatever refuses


async def joined(app: App, check: Callable[..., Any]) -> None:
    app.declared.room("chat/<id>")(check)
    await app.checks.join(app.client, app.room("chat/1"))


async def connected(app: App, check: Callable[..., Any]) -> None:
    app.declared.on_connect(check)
    await app.connect()


async def published(app: App, check: Callable[..., Any]) -> None:
    app.declared.room("chat/<id>", on_publish=check)(answering(None))
    await app.checks.publish(app.client, app.room("chat/1"), "line", Raw(b'"text"'))


EVERY_CHECK = pytest.mark.parametrize("run", [connected, joined, published])


@EVERY_CHECK
@pytest.mark.parametrize("value", [None, True, 0, ""])
async def test_a_check_that_does_not_say_no_says_yes(run: Any, value: Any) -> None:
    app = App()
    await run(app, answering(value))
    assert app.references == 0


@EVERY_CHECK
@pytest.mark.parametrize(
    ("check", "code", "message"),
    [
        (answering(False), "refused", "not allowed"),
        (raising(Refuse()), "refused", ""),
        (raising(Refuse("members_only", "Join the club first.")), "members_only", "Join the club first."),
        (raising(Refuse("a" * 64)), "a" * 64, ""),
        (raising(Refuse("code_404")), "code_404", ""),
        (raising(Abort()), "forbidden", "the framework said no"),
    ],
)
async def test_every_way_to_refuse(
    run: Any, check: Any, code: str, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = App()
    with pytest.raises(Refuse) as refused:
        await run(app, check)
    assert (refused.value.code, refused.value.message) == (code, message)
    assert (caplog.records, app.host.within) == ([], [])


@EVERY_CHECK
@pytest.mark.parametrize(
    "error",
    [ValueError("on purpose"), KeyError(), Refuse(""), Refuse("a" * 65), Refuse("No"), Refuse("a b"), Refuse("ä")],
    ids=repr,
)
async def test_what_fails_is_told_with_a_reference_and_logged_once(
    run: Any, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    app = App()
    with pytest.raises(Refuse) as refused:
        await run(app, raising(error))
    assert refused.value.code == "failed"
    assert "ref1" in refused.value.message
    assert "on purpose" not in refused.value.message
    [record] = caplog.records
    assert record.levelno == logging.ERROR
    assert "ref1" in record.getMessage()
    assert caplog.text.count("Traceback") <= 1
    assert record.exc_info is not None
    assert app.host.within == []


@EVERY_CHECK
async def test_that_rooms_are_away_is_logged_in_a_line(run: Any, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(Refuse) as refused:
        await run(App(), raising(BrokerUnavailable("Redis did not answer within 2 s")))
    assert refused.value.code == "failed"
    assert "Redis" not in refused.value.message
    [record] = caplog.records
    assert record.exc_info is None
    assert record.getMessage().endswith("(reference ref1): Redis did not answer within 2 s")


@EVERY_CHECK
async def test_a_check_that_is_cancelled_refuses_nobody(run: Any) -> None:
    begun = asyncio.Event()

    async def check(*_: Any, **__: Any) -> None:
        begun.set()
        await asyncio.Event().wait()

    checking = asyncio.create_task(run(App(), check))
    await begun.wait()
    checking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await checking


@EVERY_CHECK
async def test_the_cancellation_of_a_task_that_a_check_waits_for_is_a_failure(run: Any) -> None:
    with pytest.raises(Refuse) as refused:
        await run(App(), raising(asyncio.CancelledError()))
    assert refused.value.code == "failed"


async def test_a_traceback_leads_to_the_application(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(Refuse):
        await joined(App(), raising(ValueError("on purpose")))
    assert re.search(r"in check\n.*raise error", caplog.text)
    assert caplog.text.count("Traceback") == 1


async def test_what_the_framework_answers_itself_is_a_refusal() -> None:
    app = App()
    app.declared.on_connect(answering(None))

    class Host(BareHost):
        def request_context(self, scope: Any) -> Any:
            raise Refuse("http_302", "before_request answered")

    app.host = Host()
    with pytest.raises(Refuse) as refused:
        await app.connect()
    assert refused.value.code == "http_302"


# Rooms


async def test_a_rooms_check_gets_the_values_of_its_rule_in_the_applications_context() -> None:
    app = App()
    seen = []

    @app.declared.room("chat/<int:id>/<name>")
    def join(client: Session, id: int, name: str) -> None:
        seen.append((client.session_id, id, name, list(app.host.within)))

    await app.checks.join(app.client, app.room("chat/7/ann"))
    assert seen == [("s", 7, "ann", ["app"])]


async def test_clients_may_not_publish_where_nothing_is_said_of_it() -> None:
    app = App()
    app.declared.room("chat/<id>")(answering(None))
    with pytest.raises(Refuse) as refused:
        await app.checks.publish(app.client, app.room("chat/1"), "line", Raw(b"1"))
    assert refused.value.code == "refused"


async def test_on_publish_gets_the_event_the_data_and_the_values() -> None:
    app = App()
    seen = []

    def on_publish(client: Session, event: str, data: Any, id: str) -> None:
        seen.append((event, data, id))

    await published(app, on_publish)
    assert seen == [("line", "text", "1")]


async def test_on_publish_is_told_of_the_key_if_it_wants_to_know() -> None:
    app = App()
    seen: list[Any] = []

    def with_key(client: Session, event: str, data: Any, key: str) -> None:
        seen.append(key)

    def with_both(client: Session, event: str, data: Any, *, deleted: bool, key: str | None) -> None:
        seen.append((key, deleted))

    def of_its_rule(client: Session, event: str, data: Any, key: str) -> None:
        seen.append(f"{key} of the rule")

    for rule, on_publish in (("one", with_key), ("both", with_both)):
        app.declared.room(rule, mode="state", on_publish=on_publish)(answering(None))
    app.declared.room("rule/<key>", on_publish=of_its_rule)(answering(None))
    options = DataOptions(key="mine", deleted=True)
    for name in ("one", "both", "rule/own"):
        await app.checks.publish(app.client, app.room(name), "set", Raw(b"null"), options)
    assert seen == ["mine", ("mine", True), "own of the rule"]


async def test_a_handler_of_a_type_that_nobody_can_read_is_told_by_its_event() -> None:
    app = App()

    async def handler(client: Session, data: App) -> None:
        """Take what no client can send."""

    handler.__annotations__["data"] = App
    app.declared.on("odd")(handler)
    with pytest.raises(ConfigurationError, match=r"'odd'.*App"):
        _ = app.checks


async def test_data_that_cannot_be_decoded_is_not_published() -> None:
    app = App()
    app.declared.room("chat/<id>", on_publish=answering(None))(answering(None))
    with pytest.raises(Refuse) as refused:
        await app.checks.publish(app.client, app.room("chat/1"), "line", Raw(b"1e999"))
    assert refused.value.code == "invalid"


# The hook for transports, and the end


@pytest.mark.parametrize(("answer", "allowed"), [(True, True), (False, False), (None, False), ("yes", True)])
async def test_the_hook_says_which_transport_a_client_may_use(answer: Any, allowed: bool) -> None:
    app = App()
    app.declared.transports(answering(answer))
    assert await app.checks.transport(app.client, "poll") is allowed


async def test_without_a_hook_every_transport_may_be_used() -> None:
    assert await App().checks.transport(App().client, "poll")


async def test_every_disconnect_callback_runs_though_one_fails(caplog: pytest.LogCaptureFixture) -> None:
    app = App()
    seen = []

    @app.declared.on_disconnect
    async def first(client: Session, reason: str) -> None:
        seen.append((client.session_id, reason, list(app.host.within)))
        raise ValueError("on purpose")

    @app.declared.on_disconnect
    def second(client: Session, reason: str) -> None:
        seen.append((client.session_id, reason, list(app.host.within)))

    await app.checks.disconnected(app.client, "bye")
    assert seen == [("s", "bye", ["app"])] * 2
    assert caplog.text.count("Traceback") == 1


async def test_a_callback_that_runs_once_is_left_out_where_it_may_have_run() -> None:
    app = App()
    seen = []

    @app.declared.on_disconnect(once=True)
    def once(client: Session, reason: str) -> None:
        seen.append("once")

    @app.declared.on_disconnect(once=False)
    def again(client: Session, reason: str) -> None:
        seen.append("again")

    await app.checks.disconnected(app.client, "bye")
    app.client.record.ending = True
    await app.checks.disconnected(app.client, "bye")
    assert seen == ["once", "again", "again"]
