from __future__ import annotations

from typing import Any

import pytest
import quart_auth
from quart import Quart, abort, current_app, g, has_request_context, redirect, request, session
from quart.typing import ResponseReturnValue
from werkzeug.exceptions import Forbidden, HTTPException

from multitransport.errors import Refuse
from multitransport.quart.host import QuartHost


def scope_of(kind: str = "http", **changes: Any) -> dict[str, Any]:
    scope: dict[str, Any] = {
        "type": kind,
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "http",
        "path": "/realtime/sse",
        "query_string": b"a=b",
        "root_path": "",
        "headers": [(b"host", b"app.example"), (b"x-trace", b"7")],
        "client": ("192.0.2.1", 4711),
        "server": ("127.0.0.1", 80),
    }
    if kind == "http":
        scope["method"] = "POST"
    else:
        scope["scheme"] = "ws"
    return scope | changes


def secret_app() -> Quart:
    app = Quart(__name__)
    app.secret_key = "of the tests"
    return app


async def cookie_of(app: Quart, **values: str) -> bytes:
    """Return the cookie header of a browser whose session has these values."""

    @app.get("/remember")
    async def remember() -> str:
        session.update(values)
        return ""

    response = await app.test_client().get("/remember")
    return response.headers["Set-Cookie"].split(";")[0].encode()


@pytest.mark.parametrize("kind", ["http", "websocket"])
async def test_every_transport_is_presented_as_a_get_request(kind: str) -> None:
    scope = scope_of(kind)
    scope["headers"] += [(b"content-type", b"application/x-ndjson"), (b"content-length", b"12")]
    async with QuartHost(secret_app()).request_context(scope):
        assert (request.method, request.url) == ("GET", "http://app.example/realtime/sse?a=b")
        assert (request.headers["X-Trace"], request.remote_addr) == ("7", "192.0.2.1")
        about_a_body: list[object] = [request.content_length, request.content_type]
        assert about_a_body == [None, None]
        assert await request.get_data() == b""
    assert not has_request_context()


async def test_a_wss_scope_is_a_https_request() -> None:
    async with QuartHost(secret_app()).request_context(scope_of("websocket", scheme="wss")):
        assert request.is_secure


@pytest.mark.parametrize("path", ["/app/realtime/sse", "/realtime/sse"])
async def test_below_a_root_path_the_path_is_the_application_s_own(path: str) -> None:
    async with QuartHost(secret_app()).request_context(scope_of(path=path, root_path="/app")):
        assert (request.path, request.root_path) == ("/realtime/sse", "/app")


async def test_the_session_of_the_cookie_is_readable() -> None:
    app = secret_app()
    cookie = await cookie_of(app, user="ann")
    async with QuartHost(app).request_context(scope_of("websocket", headers=[(b"host", b"a"), (b"cookie", cookie)])):
        assert session["user"] == "ann"


async def test_current_user_of_quart_auth_is_known() -> None:
    app = secret_app()
    auth = quart_auth.QuartAuth(app, cookie_secure=False)
    host = QuartHost(app)
    for user in ("ann", "bob"):
        cookie = f"{auth.cookie_name}={auth.dump_token(user, app)}".encode()
        async with host.request_context(scope_of(headers=[(b"host", b"a"), (b"cookie", cookie)])):
            assert quart_auth.current_user.auth_id == user


async def test_before_request_and_teardown_functions_run_around_it() -> None:
    app, seen = secret_app(), []

    @app.before_request
    async def before() -> None:
        g.user = "ann"
        seen.append("before")

    @app.teardown_request
    async def teardown_request(error: BaseException | None) -> None:
        seen.append(f"teardown {error!r}")

    @app.teardown_appcontext
    async def teardown_app(error: BaseException | None) -> None:
        seen.append("teardown of the application's")

    async with QuartHost(app).request_context(scope_of()):
        assert g.user == "ann"
        seen.append("within")
    assert seen == ["before", "within", "teardown None", "teardown of the application's"]


async def test_an_error_within_reaches_the_teardown_functions_and_the_caller() -> None:
    app, seen = secret_app(), []

    @app.teardown_request
    async def teardown(error: BaseException | None) -> None:
        seen.append(error)

    error = ValueError("within")
    with pytest.raises(ValueError, match="within"):
        async with QuartHost(app).request_context(scope_of()):
            raise error
    assert seen == [error]
    assert not has_request_context()


async def forbid() -> None:
    abort(403, "not you")


async def send_away() -> ResponseReturnValue:
    return redirect("/login")


async def answer_itself() -> ResponseReturnValue:
    return "down for maintenance"


async def answer_by_status() -> ResponseReturnValue:
    return "", 429


@pytest.mark.parametrize(
    ("hook", "code", "message"),
    [
        (forbid, "forbidden", "not you"),
        (send_away, "redirected", "/login"),
        (answer_itself, "refused", ""),
        (answer_by_status, "too_many_requests", ""),
    ],
)
async def test_what_a_before_request_function_answers_is_a_refusal(hook: Any, code: str, message: str) -> None:
    app, seen = secret_app(), []
    app.before_request(hook)

    @app.teardown_request
    async def teardown(error: BaseException | None) -> None:
        seen.append(error)

    with pytest.raises(Refuse) as refused:
        async with QuartHost(app).request_context(scope_of()):
            pytest.fail("the connect check must not run")
    assert (refused.value.code, refused.value.message) == (code, message)
    assert seen == [None]


async def test_refusing_within_is_no_error_to_teardown_functions() -> None:
    app, seen = secret_app(), []

    @app.teardown_request
    async def teardown(error: BaseException | None) -> None:
        seen.append(error)

    for error in (Refuse("banned"), Forbidden()):
        with pytest.raises(Refuse):
            async with QuartHost(app).request_context(scope_of()):
                raise error
    assert seen == [None, None]


async def test_two_requests_share_no_g_even_within_an_application_context() -> None:
    app = secret_app()
    async with app.app_context():
        async with QuartHost(app).request_context(scope_of()):
            g.user = "ann"
        async with QuartHost(app).request_context(scope_of()):
            assert "user" not in g


async def test_the_application_context() -> None:
    app = secret_app()
    host = QuartHost(app)
    async with host.app_context():
        assert current_app.name == app.name
        g.user = "ann"
    async with host.app_context():
        assert "user" not in g


async def test_plain_functions_are_awaited_in_a_thread_within_the_context() -> None:
    app = secret_app()
    host = QuartHost(app)
    async with host.app_context():
        assert await host.ensure_async(lambda: current_app.name)() == app.name


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (401, "unauthorized"),
        (403, "forbidden"),
        (404, "not_found"),
        (413, "request_entity_too_large"),
        (418, "im_a_teapot"),
    ],
)
def test_abort_means_a_refusal_by_its_name(status: int, code: str) -> None:
    with pytest.raises(HTTPException) as aborted:
        abort(status, "because")
    refuse = QuartHost(secret_app()).refusal(aborted.value)
    assert refuse is not None
    assert (refuse.code, refuse.message) == (code, "because")


def test_other_errors_are_no_refusals() -> None:
    assert QuartHost(secret_app()).refusal(ValueError("abort")) is None
