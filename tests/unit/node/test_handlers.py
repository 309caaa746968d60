from __future__ import annotations

from typing import Any

import pytest
from msgspec import Raw

from multitransport.errors import Refuse
from multitransport.node.session import Session
from tests.unit.node.checked import App, Named, Point, Size

# Handlers


async def handled(annotation: Any, data: bytes) -> Any:
    """Return what a handler gets whose data is of this type."""
    app = App()

    async def handler(client: Session, data: Any) -> Any:
        return data

    handler.__annotations__["data"] = annotation
    app.declared.on("e")(handler)
    return await app.checks.handle(app.client, "e", Raw(data))


@pytest.mark.parametrize(
    ("annotation", "data", "value"),
    [
        (Any, b'{"a": [1, null]}', {"a": [1, None]}),
        (Point, b'{"x": 1, "more": 2}', Point(1)),
        (Size, b'{"width": 3}', Size(3)),
        (Named, b'{"name": "ann"}', {"name": "ann"}),
        (list[int], b"[1, 2]", [1, 2]),
        (int | None, b"null", None),
    ],
)
async def test_a_handler_gets_data_of_its_type(annotation: Any, data: bytes, value: Any) -> None:
    assert await handled(annotation, data) == value


@pytest.mark.parametrize(
    ("annotation", "data", "where"),
    [
        (Point, b'{"x": "1"}', "$.x"),
        (Point, b'{"x": 1, "y": [1, "2"]}', "$.y[1]"),
        (Point, b"{}", "`x`"),
        (Size, b'{"width": null}', "$.width"),
        (Named, b'{"name": 1}', "$.name"),
        (list[Point], b'[{"x": 1}, {"x": true}]', "$[1].x"),
        (int, b"1e999", "range"),
        (Any, b'"\\ud800"', ""),
    ],
)
async def test_data_that_does_not_fit_is_invalid_and_the_message_names_the_field(
    annotation: Any, data: bytes, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(Refuse) as refused:
        await handled(annotation, data)
    assert refused.value.code == "invalid"
    assert where in refused.value.message
    assert caplog.records == []


async def test_an_event_without_a_handler_is_unknown() -> None:
    app = App()
    with pytest.raises(Refuse) as refused:
        await app.checks.handle(app.client, "nothing", Raw(b"null"))
    assert refused.value.code == "unknown_event"


async def test_a_plain_handler_runs_in_the_applications_context() -> None:
    app = App()

    @app.declared.on("e")
    def handler(client: Session, data: Any) -> Any:
        return [*app.host.within, client.session_id, data]

    assert await app.checks.handle(app.client, "e", Raw(b"1")) == ["app", "s", 1]
