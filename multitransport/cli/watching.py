"""Tells which source files below a directory changed, by comparing what is there with what was."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["changed", "snapshot"]

_SUFFIXES = (".py", ".html", ".css", ".js")
_SKIPPED = frozenset({"__pycache__", "node_modules"})


def snapshot(root: Path) -> dict[str, int]:
    """Return the modification time in nanoseconds of each source file by its path.

    Hidden directories and virtual environments are left out.
    """
    found: dict[str, int] = {}
    waiting = [str(root)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                listed = list(entries)
        except OSError:
            continue  # gone or closed to us since it was listed
        if any(entry.name == "pyvenv.cfg" for entry in listed):
            continue
        for entry in listed:
            if entry.is_dir(follow_symlinks=False):
                if not entry.name.startswith(".") and entry.name not in _SKIPPED:
                    waiting.append(entry.path)
            elif entry.name.endswith(_SUFFIXES):
                try:
                    found[entry.path] = entry.stat().st_mtime_ns
                except OSError:
                    continue
    return found


def changed(before: dict[str, int], after: dict[str, int]) -> list[str]:
    """Return the names of files that came, went or were written."""
    return sorted({os.path.relpath(path) for path, _ in before.items() ^ after.items()})
