"""What an application declares: its checks, rooms and handlers. Declarations hold no running state."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Literal, TypeVar, get_type_hints, overload

import msgspec
from msgspec import structs

from multitransport.core.log import Retention
from multitransport.errors import ConfigurationError
from multitransport.node.faults import (
    Mode,
    Slow,
    also_wanted,
    check_event,
    check_rule,
    kept_fault,
    must_take,
    name_of,
    shape_of,
    takes_auth,
)
from multitransport.node.session import Session

__all__ = ["Call", "Declarations", "HandlerDeclaration", "Namespace", "RoomDeclaration"]

F = TypeVar("F", bound=Callable[..., Any])


class Call(msgspec.Struct, frozen=True):
    """What a middleware is told of what it runs around.

    ``name`` is the event of a send, else the room. ``data`` is what a send or publish brings, or the meta of presence.
    """

    kind: Literal["send", "join", "publish", "presence", "leave"]
    name: str
    event: str | None = None
    data: Any = None


M = TypeVar("M", bound=Callable[[Session, Call, Callable[[], Awaitable[Any]]], Awaitable[Any]])


class RoomDeclaration(msgspec.Struct, frozen=True):
    """A family of rooms: its rule, who may join, what is kept."""

    rule: str
    check: Callable[..., Any]
    history: int
    retention: Retention
    on_publish: Callable[..., Any] | None
    presence: bool = False
    gate: Callable[..., Any] | None = None
    """The connect check of its namespace."""


class HandlerDeclaration(msgspec.Struct, frozen=True):
    """The handler of an event."""

    event: str
    function: Callable[..., Any]
    concurrent: bool = False
    repeatable: bool = False
    gate: Callable[..., Any] | None = None

    def payload_type(self) -> Any:
        """Return the annotation of the handler's second parameter, Any where there is none.

        Raises ConfigurationError where its annotation cannot be resolved.
        """
        parameters = list(inspect.signature(self.function).parameters)
        try:
            return get_type_hints(self.function).get(parameters[1], Any) if len(parameters) > 1 else Any
        except NameError as error:
            raise ConfigurationError(
                f"the handler of {self.event!r} has an annotation of no known type: {error}"
            ) from error


class Declarations:
    """Decorators by which an application says what it offers; ConfigurationError is raised for what cannot be meant."""

    _prefix = ""

    def __init__(self) -> None:
        self.connect_check: Callable[..., Any] | None = None
        self.transport_hook: Callable[..., Any] | None = None
        self.disconnect_callbacks: list[tuple[Callable[..., Any], bool]] = []
        self.rooms: list[RoomDeclaration] = []
        self.handlers: dict[str, HandlerDeclaration] = {}
        self.middlewares: list[Callable[..., Any]] = []
        self._namespaces: set[str] = set()

    def middleware(self, function: M) -> M:
        """Declare what runs around each handler, check of a join or publish, change of presence and leave that clients
        ask for, the first declared outermost.

        It is ``async def (client, call, proceed)``: ``call`` is a Call, ``await proceed()`` goes on and returns what
        comes of it. It may refuse as a check does. One that does not proceed answers a send itself, and refuses
        everything else.
        """
        self._may_declare()
        is_async = inspect.iscoroutinefunction(function)
        if not is_async:
            raise ConfigurationError(f"a middleware is an async def, which {name_of(function)} is not")
        must_take("a middleware", function, ("client", "call", "proceed"))
        self.middlewares.append(function)
        return function

    def register(self, namespace: Namespace) -> None:
        """Take in what a namespace declares, under its name. What it would declare later is refused.

        Raises ConfigurationError where its name, or one of its rooms or events, is taken.
        """
        self._may_declare()
        given: object = namespace
        if not isinstance(given, Namespace):
            raise ConfigurationError(f'a Namespace("chat") can be registered, not {given!r}')
        if namespace.name in self._namespaces:
            raise ConfigurationError(f"a namespace {namespace.name!r} is registered already")
        rooms, handlers = namespace.declared()
        for room in rooms:
            self._must_be_free(room.rule)
        for handler in handlers:
            self._must_have_no_handler(handler.event)
        self._namespaces.add(namespace.name)
        self.rooms += rooms
        self.handlers.update({handler.event: handler for handler in handlers})

    def on_connect(self, function: F) -> F:
        """Declare the connect check: ``(client)`` or ``(client, auth)``, run in a request context.

        It sets ``client.user_id`` and may refuse by ``raise Refuse(code, message)``, ``abort(4xx)`` or
        ``return False``. It runs for each new session and again whenever a session is resumed; ``client.resumed`` tells
        which. Changes it makes to ``quart.session`` are not saved: there is no response to save them with.
        """
        self._may_declare()
        if self.connect_check is not None:
            raise ConfigurationError("there is a connect check already")
        must_take("the connect check", function, ("client", "auth") if takes_auth(function) else ("client",))
        self.connect_check = function
        return function

    @overload
    def on_disconnect(self, function: F) -> F: ...

    @overload
    def on_disconnect(self, *, once: bool) -> Callable[[F], F]: ...

    def on_disconnect(self, function: F | None = None, *, once: bool = False) -> F | Callable[[F], F]:
        """Declare a callback ``(client, reason)`` for a session's end; it runs in an application context.

        Where the node that runs it dies, it runs again on another one; with ``once`` it does not: then it has run once,
        in part or not at all.
        """
        self._may_declare()

        def declare(function: F) -> F:
            must_take("a disconnect callback", function, ("client", "reason"))
            self.disconnect_callbacks.append((function, once))
            return function

        return declare if function is None else declare(function)

    def transports(self, function: F) -> F:
        """Declare the hook ``(client, transport) -> bool`` that may keep a client from a transport."""
        self._may_declare()
        if self.transport_hook is not None:
            raise ConfigurationError("there is a transport hook already")
        must_take("the transport hook", function, ("client", "transport"))
        self.transport_hook = function
        return function

    def room(
        self,
        rule: str,
        *,
        history: int = 0,
        retention_count: int = 1000,
        retention_seconds: float = 300.0,
        retention_bytes: int = 1 << 20,
        mode: Mode = "log",
        max_keys: int | None = None,
        slow: Slow | None = None,
        presence: bool = False,
        on_publish: Callable[..., Any] | None = None,
    ) -> Callable[[F], F]:
        """Declare a family of rooms by a rule such as ``"chat/<id>"`` (Werkzeug's converters are known).

        The function decorated is the room's check: ``(client, **values)``; it refuses as the connect check does.
        ``history`` is how many publications a newcomer gets, ``retention_*`` what a returning reader can get.
        ``on_publish(client, event, data, **values)`` allows clients to publish to the room; it may refuse.

        With ``mode="state"`` the room keeps the newest publication of each of at most ``max_keys`` keys (1000) instead,
        and an ``on_publish`` with a parameter ``key`` or ``deleted`` is told which key it is, and whether that is to
        end.
        ``slow`` is what becomes of a reader that falls behind: ``skip`` moves it on and tells it how much it lost,
        ``disconnect`` disconnects it, ``conflate``, which is how state rooms are, gives it the newest value of each
        key. ``presence`` lets those in the room see who else is.
        """
        self._may_declare()
        values = check_rule(rule, self._prefix)
        self._must_be_free(rule)
        kept: dict[str, object] = {"retention_count": retention_count, "retention_seconds": retention_seconds}
        kept |= {"retention_bytes": retention_bytes, "max_keys": max_keys}
        if fault := kept_fault(mode, slow, history, presence, kept):
            raise ConfigurationError(f"room {rule!r}: {fault}")
        if on_publish is not None:
            also = also_wanted(on_publish)
            if mode == "state" and (both := also & values):
                raise ConfigurationError(f"room {rule!r}: {min(both)!r} is what on_publish has of a publication")
            must_take(f"on_publish of the room {rule!r}", on_publish, ("client", "event", "data"), values | also)
        retention = Retention(
            count=retention_count,
            seconds=retention_seconds,
            bytes=retention_bytes,
            keys=(max_keys or 1000) if mode == "state" else 0,
            disconnect=slow == "disconnect",
        )

        def declare(function: F) -> F:
            must_take(f"the check of the room {rule!r}", function, ("client",), values)
            self.rooms.append(RoomDeclaration(rule, function, history, retention, on_publish, presence))
            return function

        return declare

    def on(self, event: str, *, concurrent: bool = False, repeatable: bool = False) -> Callable[[F], F]:
        """Declare the handler of an event: ``(client, data)``; what it returns is the reply.

        A client's frames run one after another; with ``concurrent`` the next does not wait for this handler. Where the
        node that runs it dies, its client is told ``outcome_unknown``; with ``repeatable`` another node runs it again.

        The annotation of ``data`` (a msgspec Struct, dataclass, TypedDict or any type msgspec knows) is checked
        before it runs.
        """
        self._may_declare()
        check_event(event, self._prefix)
        self._must_have_no_handler(event)

        def declare(function: F) -> F:
            must_take(f"the handler of {event!r}", function, ("client", "data"))
            self.handlers[event] = HandlerDeclaration(event, function, concurrent, repeatable)
            return function

        return declare

    def _may_declare(self) -> None:
        """Raise ConfigurationError where nobody would take notice of a declaration any more."""

    def _must_be_free(self, rule: str) -> None:
        for room in self.rooms:
            if shape_of(room.rule) == shape_of(rule):
                same = "" if room.rule == rule else f", as {room.rule!r}"
                raise ConfigurationError(f"the room {rule!r} is declared already{same}")

    def _must_have_no_handler(self, event: str) -> None:
        if event in self.handlers:
            raise ConfigurationError(f"the event {event!r} has a handler already")


class Namespace(Declarations):
    """A group of rooms and handlers with a connect check of its own, to be registered under its name.

    ``Namespace("chat")``: the event ``say`` is ``chat/say``, the room ``<id>`` is ``chat/<id>``. The connect check,
    ``(client)``, runs before a session's first use of the namespace, and again once it has been resumed.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        if not name or name != name.strip("/") or set(name) & set("<>@"):
            raise ConfigurationError(f"a namespace has a name such as 'chat' or 'chat/admin', not {name!r}")
        self.name = name
        self._prefix = f"{name}/"
        self._registered = False

    def register(self, namespace: Namespace) -> None:
        """Refuse: namespaces do not nest, though one may be named ``chat/admin``. Raises ConfigurationError."""
        raise ConfigurationError(f"register {namespace.name!r} on the extension, not on {self.name!r}")

    def declared(self) -> tuple[list[RoomDeclaration], list[HandlerDeclaration]]:
        """Return its rooms and handlers under their full names; it takes no more. Raises ConfigurationError."""
        name, gate = self.name, self.connect_check
        if self.transport_hook or self.disconnect_callbacks or self.middlewares:
            raise ConfigurationError(
                f"declare transports, on_disconnect and middleware on the extension, not on {name!r}"
            )
        if gate is not None and len(inspect.signature(gate).parameters) != 1:
            raise ConfigurationError(
                f"the connect check of a namespace must take (client), which {name_of(gate)} does not"
            )
        self._registered = True
        rooms = [structs.replace(room, rule=self._prefix + room.rule, gate=gate) for room in self.rooms]
        handlers = [
            structs.replace(each, event=self._prefix + each.event, gate=gate) for each in self.handlers.values()
        ]
        return rooms, handlers

    def _may_declare(self) -> None:
        if self._registered:
            raise ConfigurationError(f"declare it before {self.name!r} is registered")
