"""The supervisor's own endpoint, behind nginx: how things are, and what its buttons do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

# No form and no page of another site can send it: for those a browser would have to ask first, and is told nothing.
HEADER = "x-control"
HOSTS = ("127.0.0.1", "localhost", "::1")
MAX_HEAD_BYTES = 16_384
PATIENCE_SECONDS = 5.0

Press = Callable[[str, str], Awaitable[None]]


class Refused(Exception):
    """A request is not carried out."""

    def __init__(self, status: HTTPStatus, why: str) -> None:
        super().__init__(why)
        self.status = status


class Control:
    """Serves ``GET /state`` and ``POST /<what>/<action>``; ``press`` raises KeyError for what there is not."""

    def __init__(self, state: Callable[[], Any], press: Press) -> None:
        self._state = state
        self._press = press
        self._server: asyncio.Server | None = None

    async def start(self, path: Path) -> None:
        """Listen on a Unix socket, in a directory that is nobody else's."""
        self._server = await asyncio.start_unix_server(self._serve, path, limit=MAX_HEAD_BYTES)

    async def stop(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
            status, body = await self._answer(head.decode("latin-1"))
            text = json.dumps(body).encode()
            writer.write(
                f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: application/json\r\n"
                f"Cache-Control: no-store\r\nContent-Length: {len(text)}\r\nConnection: close\r\n\r\n".encode()
                + text
            )
            await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return  # whoever asked is gone, or does not ask in HTTP
        finally:
            writer.close()

    async def _answer(self, head: str) -> tuple[HTTPStatus, Any]:
        request, *lines = head.split("\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        try:
            method, path, _ = request.split(" ", 2)
            check(method, headers)
            if method == "GET" and path == "/state":
                return HTTPStatus.OK, self._state()
            if method != "POST":
                raise Refused(HTTPStatus.NOT_FOUND, f"there is nothing at {path[:80]}")
            what, action = path.strip("/").split("/")
            await self._press(what, action)
        except Refused as error:
            return error.status, {"error": str(error)}
        except (ValueError, KeyError):
            return HTTPStatus.NOT_FOUND, {"error": "there is no such thing to be done"}
        return HTTPStatus.OK, self._state()


def check(method: str, headers: dict[str, str]) -> None:
    """Let in what comes from the pages here. Raises Refused.

    A name that somebody else's name server made point here is no name of ours.
    """
    host = headers.get("host", "")
    if urlsplit(f"//{host}").hostname not in HOSTS:
        raise Refused(HTTPStatus.FORBIDDEN, "this is for the machine it runs on: open the page by 127.0.0.1")
    if method == "GET":
        return
    origin = headers.get("origin")
    if HEADER not in headers or (origin is not None and origin != f"http://{host}"):
        raise Refused(HTTPStatus.FORBIDDEN, f"only the page itself may do that, with the header {HEADER}")
