"""What a client sends, read as the type its handler is annotated with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Raw
from msgspec.inspect import CustomType, type_info

from multitransport.errors import ConfigurationError, Refuse
from multitransport.protocol.binary import BYTES
from multitransport.protocol.codes import ErrorCode

__all__ = ["Payload", "decode_json", "read_data"]

_UNREADABLE = (msgspec.DecodeError, UnicodeError, RecursionError)


_OUTER = "\0"
"""Ends what is said of a model within another type; where that is follows."""


class Payload:
    """Reads data as one type: any that msgspec knows, or one with pydantic models in it. Bytes are themselves."""

    __slots__ = ("_decode", "_type")

    def __init__(self, type_: Any) -> None:
        """Raises ConfigurationError for a type that nobody can read."""
        self._type = type_
        self._decode: Callable[[Raw | bytes], Any]
        if _is_model(type_):
            self._decode = lambda data: type_.model_validate_json(bytes(data))
            return
        try:
            self._decode = msgspec.json.Decoder(type_, dec_hook=_read_inner).decode
            unknown = isinstance(type_info(type_), CustomType)
        except TypeError as error:
            raise ConfigurationError(str(error)) from error
        if unknown:
            raise ConfigurationError(f"{type_!r} is no type that data can be read as")

    def read(self, data: Raw | bytes) -> Any:
        """Return the data as the type. Raises Refuse ``invalid``, which names the field."""
        try:
            if isinstance(data, Raw):
                value = self._decode(data)
                if isinstance(value, BYTES):  # bytes as a whole travel as such; within JSON base64 is all they can be
                    raise Refuse(ErrorCode.INVALID, "Expected `bytes`, got `str`")
                return value
            if _is_model(self._type):
                raise Refuse(ErrorCode.INVALID, "Expected `object`, got `bytes`")
            return msgspec.convert(data, self._type)
        except _UNREADABLE as error:
            raise Refuse(ErrorCode.INVALID, _one_path(str(error))) from None
        except ValueError as error:
            raise Refuse(ErrorCode.INVALID, _fields(error)) from None


def read_data(data: Raw | bytes) -> Any:
    """Return bytes as they are, and what JSON says. Raises Refuse ``invalid``."""
    return decode_json(data) if isinstance(data, Raw) else data


def decode_json(data: Raw | bytes) -> Any:
    """Return what JSON says. Raises Refuse ``invalid`` for what no decoder can hold."""
    try:
        return msgspec.json.decode(data)
    except _UNREADABLE as error:
        raise Refuse(ErrorCode.INVALID, str(error)) from None


def _is_model(type_: Any) -> bool:
    # A pydantic model; pydantic itself need not be installed.
    return isinstance(type_, type) and hasattr(type_, "model_validate_json")


def _read_inner(type_: Any, value: Any) -> Any:
    """Read a model within another type; msgspec adds where that is to what a ValueError says."""
    if not _is_model(type_):
        raise NotImplementedError(f"{type_!r} is no type that data can be read as")
    try:
        # As JSON again: pydantic reads that by other rules than values of Python.
        return type_.model_validate_json(msgspec.json.encode(value))
    except ValueError as error:
        raise ValueError(_fields(error) + _OUTER) from None


def _fields(error: ValueError) -> str:
    """Name the wrong fields as msgspec does; pydantic's own text also links to its site."""
    errors = getattr(error, "errors", None)
    if errors is None:
        return str(error)
    return "; ".join(f"{each['msg']} - at `${''.join(map(_step, each['loc']))}`" for each in errors())


def _one_path(text: str) -> str:
    """Put the path of a model, which msgspec adds at the end, before the paths within it."""
    within, outer, path = text.rpartition(_OUTER)
    return (
        within.replace(" - at `$", " - at `" + (path.removeprefix(" - at `").removesuffix("`") or "$"))
        if outer
        else text
    )


def _step(part: int | str) -> str:
    return f"[{part}]" if isinstance(part, int) else f".{part}"
