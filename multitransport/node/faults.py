"""What is wrong with a declaration, found when it is made."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from typing import Literal, get_args

from werkzeug.routing import Map, Rule

from multitransport.core.limits import MAX_SECONDS
from multitransport.core.names import name_fault
from multitransport.errors import ConfigurationError
from multitransport.protocol.frames import MAX_EVENT_CHARACTERS

__all__ = [
    "Mode",
    "Slow",
    "also_wanted",
    "check_event",
    "check_rule",
    "kept_fault",
    "must_take",
    "name_of",
    "shape_of",
    "takes_auth",
]

Mode = Literal["log", "state"]
Slow = Literal["skip", "conflate", "disconnect"]

_VARIABLE = re.compile(r"(?<=[<:])[a-zA-Z_]\w*>")


def must_take(what: str, function: object, arguments: Iterable[str], keywords: Iterable[str] = ()) -> None:
    """Raise ConfigurationError where a function cannot be called with these."""
    arguments, keywords = list(arguments), sorted(keywords)
    if not callable(function):
        raise ConfigurationError(f"{what} is a function, not {function!r}")
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return  # one of those built in that do not tell
    try:
        signature.bind(*arguments, **dict.fromkeys(keywords))
    except TypeError:
        wanted, taken = ", ".join([*arguments, *keywords]), ", ".join(map(str, signature.parameters))
        raise ConfigurationError(f"{what} must take ({wanted}); {name_of(function)} takes ({taken})") from None


def also_wanted(on_publish: object) -> frozenset[str]:
    """Return which of ``key`` and ``deleted`` an ``on_publish`` takes."""
    return frozenset(_parameters(on_publish)) & {"key", "deleted"}


def takes_auth(connect_check: object) -> bool:
    """Tell whether a connect check takes ``(client, auth)``, and not ``(client)``."""
    return len(_parameters(connect_check)) > 1


def _parameters(function: object) -> list[str]:
    try:
        return list(inspect.signature(function).parameters)  # type: ignore[arg-type] # it may be anything
    except (TypeError, ValueError):
        return []


def check_event(event: object, prefix: str) -> None:
    """Raise ConfigurationError for what is no name of an event, whose full form has the prefix."""
    if not isinstance(event, str):
        raise ConfigurationError(f'a handler has an event, as in @on("say"), which {name_of(event)} is not')
    if not (event and len(prefix + event) <= MAX_EVENT_CHARACTERS):
        raise ConfigurationError(f"an event is 1 to {MAX_EVENT_CHARACTERS} characters, not {prefix + event!r}")


def check_rule(rule: object, prefix: str) -> frozenset[str]:
    """Return the variables of a room's rule, whose full form has the prefix. Raises ConfigurationError."""
    if not isinstance(rule, str):
        raise ConfigurationError(f'a room has a rule, as in @room("chat/<id>"), which {name_of(rule)} is not')
    if not rule or rule.startswith("/"):
        raise ConfigurationError(f"the rule of a room, {rule!r}, must neither be empty nor begin with a slash")
    if fault := name_fault(prefix + rule):
        raise ConfigurationError(f"room {rule!r}: {fault}")
    known = Rule(f"/{rule}", endpoint=0)
    try:
        Map([known])
    except (ValueError, LookupError, TypeError, SyntaxError) as error:
        raise ConfigurationError(f"room {rule!r}: not a rule Werkzeug knows: {error}") from error
    return frozenset(known.arguments)


def shape_of(rule: str) -> str:
    """Return a rule without the names of its variables: two rules of one shape are rules for the same rooms."""
    return _VARIABLE.sub(">", rule).replace("<string:>", "<>")


def kept_fault(mode: Mode, slow: Slow | None, history: object, presence: object, kept: dict[str, object]) -> str | None:
    """Say what is wrong with what a room keeps, and how."""
    if mode not in get_args(Mode):
        return f"mode is 'log' or 'state', not {mode!r}"
    if slow is not None and slow not in get_args(Slow):
        return f"slow is 'skip', 'conflate' or 'disconnect', not {slow!r}"
    if slow == ("skip" if mode == "state" else "conflate"):
        return f"{slow!r} is not for rooms of mode {mode!r}"
    if not isinstance(presence, bool):
        return f"presence is True or False, not {presence!r}"
    if mode == "log" and kept["max_keys"] is not None:
        return "max_keys is for rooms of mode 'state'"
    for name, value in {"history": history, **kept}.items():
        fault = _number_fault(name, value)
        if fault and value is not None:
            return fault
    if mode == "state" and history:
        return "a state room has no history: a newcomer gets the current value of each key"
    if not 0 <= history <= kept["retention_count"]:  # type: ignore[operator] # they are numbers
        return f"history {history} is not between 0 and the {kept['retention_count']} of retention_count"
    return None


def _number_fault(name: str, value: object) -> str | None:
    if name == "retention_seconds" and isinstance(value, int | float) and not isinstance(value, bool):
        kept = 0 < value <= MAX_SECONDS
        return None if kept else f"{name} must be above 0 and at most {MAX_SECONDS} (100 years), not {value}"
    if not isinstance(value, int) or isinstance(value, bool):
        return f"{name} is a number, not {value!r}"
    return None if value > 0 or name == "history" else f"{name} must be above 0, not {value}"


def name_of(function: object) -> str:
    """Return the name of a function, for messages."""
    return getattr(function, "__name__", repr(function))
