"""What keeps the tests of the logic honest: no event loop, no socket."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import Any, NoReturn

import pytest

__all__ = ["pure"]


def _refuse(*_: Any, **__: Any) -> NoReturn:
    raise AssertionError("the logic must do without a loop and without sockets")


@pytest.fixture(autouse=True, scope="module")
def pure() -> Iterator[None]:
    """Make it an error to create an event loop or a socket."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio.BaseEventLoop, "__init__", _refuse)
        patch.setattr(socket.socket, "__init__", _refuse)
        yield
