"""Calls into the application: its checks, handlers and callbacks, each in its context, each ending in a value or a
refusal.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import reprlib
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, NamedTuple

from msgspec import Raw

from multitransport.errors import BrokerUnavailable, ConfigurationError, Refuse
from multitransport.node.declarations import Call, Declarations, HandlerDeclaration
from multitransport.node.faults import also_wanted
from multitransport.node.host import Host
from multitransport.node.payload import Payload, decode_json, read_data
from multitransport.node.request import Request
from multitransport.node.rooms import Room
from multitransport.node.session import Session
from multitransport.protocol.codes import ErrorCode
from multitransport.protocol.frames import Answer, AnswerError, DataOptions, Send

__all__ = ["Checks"]

logger = logging.getLogger("multitransport")

_MAX_CODE = 64
_NO_OPTIONS = DataOptions()


class Handler(NamedTuple):
    """An event's handler, made ready; ``what`` it is called in an error."""

    what: str
    function: Callable[..., Awaitable[Any]]
    payload: Payload
    repeatable: bool
    gate: Callable[..., Any] | None


class Publish(NamedTuple):
    """A room's ``on_publish``, made ready, and which of ``key`` and ``deleted`` it takes."""

    function: Callable[..., Awaitable[Any]]
    also: frozenset[str]


class Checks:
    """The application's functions, made ready once when the node starts. Every refusal comes out as Refuse."""

    def __init__(self, declarations: Declarations, host: Host, new_reference: Callable[[], str]) -> None:
        ready = host.ensure_async
        self._host = host
        self._new_reference = new_reference
        self._connect = None if declarations.connect_check is None else _with_auth(ready, declarations.connect_check)
        self._transport = None if declarations.transport_hook is None else ready(declarations.transport_hook)
        self._disconnect = [(ready(function), once) for function, once in declarations.disconnect_callbacks]
        self._handlers = {
            event: Handler(_what(event), ready(each.function), _payload(each), each.repeatable, each.gate)
            for event, each in declarations.handlers.items()
        }
        self._concurrent = frozenset(event for event, each in declarations.handlers.items() if each.concurrent)
        """Events for whose handlers the next frame need not wait."""
        self._gates = {each: ready(each) for each in _gates(declarations)}
        self._middlewares = [ready(function) for function in declarations.middlewares]
        self._rooms = {each.rule: ready(each.check) for each in declarations.rooms}
        self._publish = {
            each.rule: Publish(ready(each.on_publish), also_wanted(each.on_publish))
            for each in declarations.rooms
            if each.on_publish is not None
        }

    async def connect(self, client: Session, request: Request, auth: bytes) -> None:
        """Run the connect check in a request context; a test client that is signed in already passes. Raises Refuse."""
        if request.test_user is not None:
            client.user_id = request.test_user
        elif self._connect is not None:
            value = decode_json(auth)
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
        declared = room.declaration
        await self.stay(client, room)
        check = partial(self._rooms[declared.rule], client, **room.values)
        await self._allow(f"room {room.name!r}", client, Call("join", room.name), check)

    async def stay(self, client: Session, room: Room) -> None:
        """Run the connect check of the room's namespace unless the session has passed it. Raises Refuse."""
        await self._pass(client, room.declaration.gate)

    async def publish(
        self, client: Session, room: Room, event: str, data: Raw | bytes, options: DataOptions = _NO_OPTIONS
    ) -> None:
        """Run the room's ``on_publish``; without one no client may publish. Raises Refuse."""
        allow = self._publish.get(room.declaration.rule)
        if allow is None:
            raise Refuse(ErrorCode.REFUSED, "clients may not publish to this room")
        await self.stay(client, room)
        value = read_data(data)
        values = {**{name: getattr(options, name) for name in allow.also}, **room.values}
        check = partial(allow.function, client, event, value, **values)
        await self._allow(f"room {room.name!r}", client, Call("publish", room.name, event, value), check)

    async def around(self, client: Session, call: Call, function: Callable[[], Awaitable[None]]) -> None:
        """Do something for a client that no function of the application does, behind the middlewares. Raises Refuse."""
        if self._middlewares:
            await self._allow(f"{call.kind} in {call.name!r}", client, call, function)
        else:
            await function()

    def runs_beside(self, frame: object) -> bool:
        """Tell whether the frames after this one do not wait for it. A handler may wait for an answer."""
        if isinstance(frame, Send):
            return frame.event in self._concurrent
        return isinstance(frame, Answer | AnswerError)

    def is_repeatable(self, event: str) -> bool:
        """Tell whether this event's handler may run again where nobody knows whether it has run."""
        handler = self._handlers.get(event)
        return handler is None or handler.repeatable  # without one it is refused again

    async def handle(self, client: Session, event: str, data: Raw | bytes) -> Any:
        """Run an event's handler on data that fits its type. Raises Refuse."""
        handler = self._handlers.get(event)
        if handler is None:
            raise Refuse(ErrorCode.UNKNOWN_EVENT, f"there is no handler for {event!r}")
        if handler.gate is not None:
            await self._pass(client, handler.gate)
        payload = handler.payload.read(data)
        if not self._middlewares:
            return await self._call(handler.what, handler.function, client, payload)
        call = Call("send", event, event, payload)
        return await self._run(handler.what, client, call, partial(handler.function, client, payload))

    async def disconnected(self, client: Session, reason: str) -> None:
        """Run the disconnect callbacks; what one raises is logged and keeps none of the others. Those declared ``once``
        are left out where a node that is gone may have run them.
        """
        for function, once in self._disconnect:
            if once and client.record.ending:
                continue
            try:
                async with self._host.app_context():
                    await function(client, reason)
            except Exception:
                logger.exception("a disconnect callback failed for %s", client.session_id)

    def failure(self, error: BaseException, what: str) -> Refuse:
        """Log an exception once, with a reference the client gets in its stead."""
        reference = self._new_reference()
        if isinstance(error, BrokerUnavailable):  # it says all there is, and each request fails until it is back
            logger.error("%s failed (reference %s): %s", what, reference, error)
        else:
            logger.error("%s failed (reference %s)", what, reference, exc_info=error)
        return Refuse(ErrorCode.FAILED, f"{what} failed (reference {reference})")

    async def _pass(self, client: Session, gate: Callable[..., Any] | None) -> None:
        """Run the connect check of a namespace unless the session has passed it. Raises Refuse."""
        while gate is not None and gate not in client.gates:
            admissions = client.admissions
            _must_not_be_false(await self._call("the namespace's connect check", self._gates[gate], client))
            if client.admissions == admissions:  # else it was resumed meanwhile, and is asked for that request too
                client.gates |= {gate}

    async def _allow(self, what: str, client: Session, call: Call, function: Callable[[], Awaitable[Any]]) -> None:
        """Run a check behind all middlewares. Raises Refuse where it says no, whatever they make of that, and where one
        of them did not proceed to it.
        """
        allowed = False

        async def check() -> None:
            nonlocal allowed
            _must_not_be_false(await function())
            allowed = True

        _must_not_be_false(await self._run(what, client, call, check))
        _must_not_be_false(allowed)

    async def _run(self, what: str, client: Session, call: Call, function: Callable[[], Awaitable[Any]]) -> Any:
        """Run a function behind all middlewares."""
        for middleware in reversed(self._middlewares):
            function = partial(middleware, client, call, function)
        return await self._call(what, function)

    async def _call(self, what: str, function: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        try:
            async with self._host.app_context():
                return await function(*args)
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
            return self.failure(
                ValueError(f"{reprlib.repr(refuse.code)} is not a code: 1 to 64 of a-z, 0-9 and _"), what
            )
        return refuse


def _gates(declarations: Declarations) -> set[Callable[..., Any]]:
    gates = [room.gate for room in declarations.rooms] + [each.gate for each in declarations.handlers.values()]
    return {gate for gate in gates if gate is not None}


def _is_code(code: str) -> bool:
    return 0 < len(code) <= _MAX_CODE and code.isascii() and code.replace("_", "a").isalnum() and code == code.lower()


def _payload(declared: HandlerDeclaration) -> Payload:
    type_ = declared.payload_type()
    try:
        return Payload(type_)
    except ConfigurationError as error:
        raise ConfigurationError(f"{_what(declared.event)}: {error}") from error


def _what(event: str) -> str:
    return f"the handler of {event!r}"


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
