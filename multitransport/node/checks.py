"""Calls into the application: its checks, handlers and callbacks, each in its context, each ending in a value or a
refusal.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from multitransport.errors import Refuse
from multitransport.node.declarations import Declarations
from multitransport.node.host import Host
from multitransport.node.request import Request
from multitransport.node.rooms import Room
from multitransport.node.session import Session
from multitransport.protocol.codes import ErrorCode

__all__ = ["Checks"]

logger = logging.getLogger("multitransport")

_MAX_CODE = 64


class Checks:
    """The application's functions, made ready once when the node starts. Every refusal comes out as Refuse."""

    def __init__(self, declarations: Declarations, host: Host, new_reference: Callable[[], str]) -> None:
        ready = host.ensure_async
        self._host = host
        self._new_reference = new_reference
        self._connect = None if declarations.connect_check is None else _with_auth(ready, declarations.connect_check)
        self._transport = None if declarations.transport_hook is None else ready(declarations.transport_hook)
        self._disconnect = [ready(function) for function in declarations.disconnect_callbacks]
        self._handlers = {
            event: (ready(handler.function), msgspec.json.Decoder(handler.payload_type()))
            for event, handler in declarations.handlers.items()
        }
        self._rooms = {each.rule: ready(each.check) for each in declarations.rooms}
        self._publish = {
            each.rule: ready(each.on_publish) for each in declarations.rooms if each.on_publish is not None
        }

    async def connect(self, client: Session, request: Request, auth: bytes) -> None:
        """Run the connect check in a request context; a test client that is signed in already passes. Raises Refuse."""
        if request.test_user is not None:
            client.user_id = request.test_user
        elif self._connect is not None:
            value = _decode(msgspec.json.decode, auth)
            try:
                async with self._host.request_context(request.scope):
                    allowed = await self._connect(client, value)
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - the application may raise anything
                raise self._told(error, "the connect check") from None
            _must_not_be_false(allowed)

    async def transport(self, client: Session, transport: str) -> bool:
        """Ask the hook whether this client may use the transport."""
        if self._transport is None:
            return True
        return bool(await self._call("the transport hook", self._transport, client, transport))

    async def join(self, client: Session, room: Room) -> None:
        """Run the room's check. Raises Refuse."""
        _must_not_be_false(
            await self._call(f"room {room.name!r}", self._rooms[room.declaration.rule], client, **room.values)
        )

    async def publish(self, client: Session, room: Room, event: str, data: msgspec.Raw) -> None:
        """Run the room's ``on_publish``; without one no client may publish. Raises Refuse."""
        check = self._publish.get(room.declaration.rule)
        if check is None:
            raise Refuse(ErrorCode.REFUSED, "clients may not publish to this room")
        _must_not_be_false(
            await self._call(
                f"room {room.name!r}", check, client, event, _decode(msgspec.json.decode, data), **room.values
            )
        )

    async def handle(self, client: Session, event: str, data: msgspec.Raw) -> Any:
        """Run an event's handler on data that fits its type. Raises Refuse."""
        found = self._handlers.get(event)
        if found is None:
            raise Refuse(ErrorCode.UNKNOWN_EVENT, f"there is no handler for {event!r}")
        function, decoder = found
        payload = _decode(decoder.decode, data)
        return await self._call(f"the handler of {event!r}", function, client, payload)

    async def disconnected(self, client: Session, reason: str) -> None:
        """Run the disconnect callbacks; what one raises is logged and keeps none of the others."""
        for function in self._disconnect:
            try:
                async with self._host.app_context():
                    await function(client, reason)
            except Exception:
                logger.exception("a disconnect callback failed for %s", client.session_id)

    def failure(self, error: BaseException, what: str) -> Refuse:
        """Log an exception once, with a reference the client gets in its stead."""
        reference = self._new_reference()
        logger.error("%s failed (reference %s)", what, reference, exc_info=error)
        return Refuse(ErrorCode.FAILED, f"{what} failed (reference {reference})")

    async def _call(self, what: str, function: Callable[..., Awaitable[Any]], *args: Any, **values: Any) -> Any:
        try:
            async with self._host.app_context():
                return await function(*args, **values)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - the application may raise anything
            raise self._told(error, what) from None

    def _told(self, error: Exception | asyncio.CancelledError, what: str) -> Refuse | asyncio.CancelledError:
        """Return what may come out of the application's code: Refuse, or the cancellation of this very task."""
        if isinstance(error, asyncio.CancelledError):
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                return error
            return self.failure(error, what)  # of a task that the application waited for
        refuse = error if isinstance(error, Refuse) else self._host.refusal(error)
        if refuse is None:
            return self.failure(error, what)
        if not _is_code(refuse.code):
            return self.failure(ValueError(f"{refuse.code!r} is not a code"), what)
        return refuse


def _decode(decode: Callable[..., Any], data: bytes | msgspec.Raw) -> Any:
    try:
        return decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise Refuse(ErrorCode.INVALID, str(error)) from None


def _is_code(code: str) -> bool:
    return 0 < len(code) <= _MAX_CODE and code.isascii() and code.replace("_", "a").isalnum() and code == code.lower()


def _must_not_be_false(allowed: Any) -> None:
    if allowed is False:
        raise Refuse(ErrorCode.REFUSED, "not allowed")


def _with_auth(ready: Callable[..., Any], function: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    """Let a connect check take ``(client)`` or ``(client, auth)``."""
    check = ready(function)
    if len(inspect.signature(function).parameters) > 1:
        return check  # type: ignore[no-any-return]

    async def without_auth(client: Session, auth: Any) -> Any:
        return await check(client)

    return without_auth
