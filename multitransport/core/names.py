"""Which strings may name a room, whatever the application declares."""

from __future__ import annotations

import unicodedata

__all__ = ["MAX_NAME_BYTES", "name_fault"]

MAX_NAME_BYTES = 255


def name_fault(name: str) -> str | None:
    """Say why a client may not use this name of a room; None where it may."""
    if not name:
        return "a room's name must not be empty"
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        return "a room's name must be Unicode text"
    if size > MAX_NAME_BYTES:
        return f"a room's name must not be over {MAX_NAME_BYTES} bytes"
    if name.startswith("@"):
        return "names that begin with @ are the server's own"
    if any(unicodedata.category(character) == "Cc" for character in name):
        return "a room's name must not contain control characters"
    if not unicodedata.is_normalized("NFC", name):
        return "a room's name must be in Unicode normal form C"
    return None
