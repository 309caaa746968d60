"""What an application declares: its checks, rooms and handlers. Declarations hold no running state."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Literal, TypeVar, get_type_hints

import msgspec
from msgspec import structs

from multitransport.core.log import Retention
from multitransport.errors import ConfigurationError

__all__ = ["Call", "Declarations", "HandlerDeclaration", "Namespace", "RoomDeclaration"]

F = TypeVar("F", bound=Callable[..., Any])


class Call(msgspec.Struct, frozen=True):
    """What a middleware is told of what it runs around. ``name`` is the event of a send, else the room."""

    kind: Literal["send", "join", "publish"]
    name: str
    event: str | None = None
    data: Any = None


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
    gate: Callable[..., Any] | None = None

    def payload_type(self) -> Any:
        """Return the annotation of the handler's second parameter, Any where there is none.

        Raises ConfigurationError where the handler takes no data or its annotation cannot be resolved.
        """
        parameters = list(inspect.signature(self.function).parameters)
        if len(parameters) < 2:
            raise ConfigurationError(f"the handler of {self.event!r} must take (client, data)")
        try:
            return get_type_hints(self.function).get(parameters[1], Any)
        except NameError as error:
            raise ConfigurationError(
                f"the handler of {self.event!r} has an annotation of no known type: {error}"
            ) from error


class Declarations:
    """Decorators by which an application says what it offers."""

    def __init__(self) -> None:
        self.connect_check: Callable[..., Any] | None = None
        self.transport_hook: Callable[..., Any] | None = None
        self.disconnect_callbacks: list[Callable[..., Any]] = []
        self.rooms: list[RoomDeclaration] = []
        self.handlers: dict[str, HandlerDeclaration] = {}
        self.middlewares: list[Callable[..., Any]] = []

    def middleware(self, function: F) -> F:
        """Declare what runs around each join, publish and handler, in the order of declaration.

        It is ``(client, call, proceed)``: ``call`` is a Call, ``await proceed()`` goes on and returns what comes of it.
        It may refuse as a check does.
        """
        self.middlewares.append(function)
        return function

    def register(self, namespace: Namespace) -> None:
        """Take in what a namespace declares, under its name."""
        name, gate = namespace.name, namespace.connect_check
        if namespace.transport_hook or namespace.disconnect_callbacks or namespace.middlewares:
            raise ConfigurationError(
                f"declare transports, on_disconnect and middleware on the extension, not on {name!r}"
            )
        self.rooms += [structs.replace(room, rule=f"{name}/{room.rule}", gate=gate) for room in namespace.rooms]
        for handler in namespace.handlers.values():
            event = f"{name}/{handler.event}"
            if event in self.handlers:
                raise ConfigurationError(f"the event {event!r} has a handler already")
            self.handlers[event] = structs.replace(handler, event=event, gate=gate)

    def on_connect(self, function: F) -> F:
        """Declare the connect check: ``(client)`` or ``(client, auth)``, run in a request context.

        It sets ``client.user_id`` and may refuse by ``raise Refuse(code, message)``, ``abort(4xx)`` or
        ``return False``. It runs for each new session and again whenever a session is resumed; ``client.resumed`` tells
        which. Changes it makes to ``quart.session`` are not saved: there is no response to save them with.
        """
        if self.connect_check is not None:
            raise ConfigurationError("there is a connect check already")
        self.connect_check = function
        return function

    def on_disconnect(self, function: F) -> F:
        """Declare a callback ``(client, reason)`` for a session's end; it runs in an application context."""
        self.disconnect_callbacks.append(function)
        return function

    def transports(self, function: F) -> F:
        """Declare the hook ``(client, transport) -> bool`` that may keep a client from a transport."""
        if self.transport_hook is not None:
            raise ConfigurationError("there is a transport hook already")
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
        mode: Literal["log", "state"] = "log",
        max_keys: int = 1000,
        slow: Literal["skip", "conflate", "disconnect"] | None = None,
        presence: bool = False,
        on_publish: Callable[..., Any] | None = None,
    ) -> Callable[[F], F]:
        """Declare a family of rooms by a rule such as ``"chat/<id>"`` (Werkzeug's converters are known).

        The function decorated is the room's check: ``(client, **values)``; it refuses as the connect check does.
        ``history`` is how many publications a newcomer gets, ``retention_*`` what a returning reader can get.
        ``on_publish(client, event, data, **values)`` allows clients to publish to the room; it may refuse.

        With ``mode="state"`` the room keeps the newest publication of each of at most ``max_keys`` keys instead.
        ``slow`` is what becomes of a reader that falls behind: ``skip`` moves it on and tells it how much it lost,
        ``disconnect`` disconnects it, ``conflate``, which is how state rooms are, gives it the newest value of each
        key. ``presence`` lets those in the room see who else is.
        """
        if (slow == "conflate") > (mode == "state") or (slow == "skip") > (mode == "log"):
            raise ConfigurationError(f"room {rule!r}: {slow!r} is not for rooms of mode {mode!r}")
        if history > retention_count:
            raise ConfigurationError(
                f"room {rule!r}: history {history} is more than retention_count {retention_count} keeps"
            )
        retention = Retention(
            count=retention_count,
            seconds=retention_seconds,
            bytes=retention_bytes,
            keys=max_keys if mode == "state" else 0,
            disconnect=slow == "disconnect",
        )

        def declare(function: F) -> F:
            self.rooms.append(RoomDeclaration(rule, function, history, retention, on_publish, presence))
            return function

        return declare

    def on(self, event: str, *, concurrent: bool = False) -> Callable[[F], F]:
        """Declare the handler of an event: ``(client, data)``; what it returns is the reply.

        A client's frames run one after another; with ``concurrent`` the next does not wait for this handler.

        The annotation of ``data`` (a msgspec Struct, dataclass, TypedDict or any type msgspec knows) is checked
        before it runs.
        """
        if event in self.handlers:
            raise ConfigurationError(f"the event {event!r} has a handler already")

        def declare(function: F) -> F:
            self.handlers[event] = HandlerDeclaration(event, function, concurrent)
            return function

        return declare


class Namespace(Declarations):
    """A group of rooms and handlers with a connect check of its own, to be registered under its name.

    ``Namespace("chat")``: the event ``say`` is ``chat/say``, the room ``<id>`` is ``chat/<id>``. The connect check,
    ``(client)``, runs before a session's first use of the namespace.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
