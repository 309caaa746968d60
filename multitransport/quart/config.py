"""Reads the settings of a node from a Quart application's configuration."""

from __future__ import annotations

import difflib
import logging
import secrets
from collections.abc import Iterable, Mapping
from typing import Any, get_origin

import msgspec
from quart import Quart

from multitransport.errors import ConfigurationError
from multitransport.node.settings import Settings

__all__ = ["read_secret_keys", "read_settings"]

PREFIX = "MULTITRANSPORT_"

logger = logging.getLogger("multitransport")

_FIELDS = {field.name: field for field in msgspec.structs.fields(Settings)}


def read_settings(app: Quart, defaults: Mapping[str, Any]) -> Settings:
    """Return the settings in ``MULTITRANSPORT_<NAME>`` of the configuration, else in ``defaults`` (by lower-case name).

    Text is converted, so that environment variables will do: ``"2.5"``, ``"false"``, ``"websocket,sse"``.
    Raises ConfigurationError for a name that is no setting and for a value that does not fit.
    """
    given = {name: (f"{name}=", value) for name, value in defaults.items()}
    for key, value in app.config.items():
        if key.startswith(PREFIX):
            given[key.removeprefix(PREFIX).lower()] = (key, value)
    values = {name: _value(name, written, value) for name, (written, value) in given.items()}
    return Settings(**values)


def _value(name: str, written: str, value: Any) -> Any:
    field = _FIELDS.get(name)
    if field is None:
        raise ConfigurationError(f"{written} is not a setting{_suggestion(name, written)}")
    if get_origin(field.type) is tuple and isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    try:
        return msgspec.convert(value, field.type, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"{written} {value!r}: {error}") from None


def _suggestion(name: str, written: str) -> str:
    nearest = difflib.get_close_matches(name, _FIELDS, n=1, cutoff=0.0)[0]
    return f"; did you mean {PREFIX + nearest.upper() if written.startswith(PREFIX) else nearest + '='}?"


def read_secret_keys(app: Quart, *, shared: bool = False) -> list[str]:
    """Return the keys that sign resume tokens, oldest first: the last one signs, all verify.

    Without a SECRET_KEY sessions cannot outlive this process, which is all the memory broker can do anyway: a random
    key and a warning. Where they are ``shared`` between nodes, raises ConfigurationError.
    """
    current = app.config.get("SECRET_KEY")
    if not current and shared:
        raise ConfigurationError(
            "with a broker that nodes share SECRET_KEY must be set, the same for each of them: it signs what clients "
            "resume their sessions with on any node, and what nodes say to each other"
        )
    if not current:
        logger.warning(
            "no SECRET_KEY is set: a random one signs what clients come back with, until this process ends. That does "
            "while you develop; set app.secret_key, and keep it, before you deploy"
        )
        return [secrets.token_urlsafe(32)]
    fallbacks: Iterable[str | bytes] = app.config.get("SECRET_KEY_FALLBACKS") or ()
    return [_text(key) for key in (*reversed(list(fallbacks)), current)]


def _text(key: str | bytes) -> str:
    return key if isinstance(key, str) else key.decode("latin-1")
