"""Reads Kubernetes manifests: the part of YAML they are written in here, and nothing else."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["manifests"]

Lines = list[tuple[int, str]]


def manifests(text: str) -> list[dict[str, Any]]:
    """Return the objects of a file. Raises ValueError for what is not blocks of mappings, lists and scalars."""
    found = []
    for document in re.split(r"^---$", text, flags=re.MULTILINE):
        lines = [(len(line) - len(line.lstrip(" ")), line.strip()) for line in document.splitlines() if line.strip()]
        value = _block(lines)
        if not isinstance(value, dict):
            raise ValueError(f"an object is a mapping, not {value!r}")  # noqa: TRY004 - it is the file that is wrong
        found.append(value)
    return found


def _block(lines: Lines) -> Any:
    indent, first = lines[0]
    if first.startswith("- "):
        return [_item(indent, part) for part in _parts(lines)]
    mapping: dict[str, Any] = {}
    for part in _parts(lines):
        matched = re.fullmatch(r"([\w./-]+):(?: (.+))?", part[0][1])
        if matched is None or matched[1] in mapping or (matched[2] is None) == (len(part) == 1):
            raise ValueError(f"not a line of a mapping, or twice: {part[0][1]!r}")
        mapping[matched[1]] = _block(part[1:]) if matched[2] is None else _scalar(matched[2])
    return mapping


def _parts(lines: Lines) -> list[Lines]:
    """Cut a block at the lines that are indented least."""
    indent = lines[0][0]
    parts: list[Lines] = []
    for line in lines:
        if line[0] == indent:
            parts.append([])
        elif line[0] < indent + 2 or line[0] % 2:
            raise ValueError(f"oddly indented: {line[1]!r}")
        parts[-1].append(line)
    return parts


def _item(indent: int, part: Lines) -> Any:
    if not (text := part[0][1].removeprefix("- ")) or text == part[0][1]:
        raise ValueError(f"not an item of a list: {part[0][1]!r}")
    if len(part) == 1 and not re.match(r"[\w./-]+:( |$)", text):
        return _scalar(text)
    return _block([(indent + 2, text), *part[1:]])


def _scalar(text: str) -> str | int:
    if re.fullmatch(r'"[^"\\]*"', text):
        return text[1:-1]
    if not re.fullmatch(r"[\w$/-][^\"'#]*", text) or ": " in text or text in ("yes", "no", "true", "false", "null"):
        raise ValueError(f"not a plain scalar: {text!r}")
    return int(text) if text.isdecimal() else text
