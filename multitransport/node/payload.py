"""What a client sends, read as the type its handler is annotated with."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from multitransport.errors import Refuse
from multitransport.protocol.codes import ErrorCode

__all__ = ["Payload", "decode_json", "read_data"]

_UNREADABLE = (msgspec.DecodeError, UnicodeError, RecursionError)


class Payload:
    """Reads data as one type: any that msgspec knows, or a pydantic model. Bytes are themselves."""

    __slots__ = ("_decode", "_type")

    def __init__(self, type_: Any) -> None:
        self._type = type_
        self._decode = type_.model_validate_json if _is_model(type_) else msgspec.json.Decoder(type_).decode

    def read(self, data: Raw | bytes) -> Any:
        """Return the data as the type. Raises Refuse ``invalid``, which names the field."""
        try:
            return self._decode(bytes(data)) if isinstance(data, Raw) else msgspec.convert(data, self._type)
        except _UNREADABLE as error:
            raise Refuse(ErrorCode.INVALID, str(error)) from None
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


def _fields(error: ValueError) -> str:
    """Name the wrong fields as msgspec does; pydantic's own text also links to its site."""
    errors = getattr(error, "errors", None)
    if errors is None:
        return str(error)
    return "; ".join(f"{each['msg']} - at `$.{'.'.join(map(str, each['loc']))}`" for each in errors())
