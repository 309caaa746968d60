"""The work itself: counting lines of Python code. It knows nothing of the web."""

from __future__ import annotations

import sysconfig
from collections.abc import Iterator
from pathlib import Path

import quart

import multitransport

FOLDERS = {
    "multitransport": Path(multitransport.__file__).parent,
    "quart": Path(quart.__file__).parent,
    "python": Path(sysconfig.get_path("stdlib")),
}


def find(folder: Path) -> list[Path]:
    """Return the Python files of a folder; installed packages and caches inside it are none of its own."""
    return sorted(_walk(folder))


def _walk(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.is_dir() and path.name not in ("site-packages", "dist-packages", "node_modules", "__pycache__"):
            yield from _walk(path)
        elif path.suffix == ".py":
            yield path


def count_lines(file: Path) -> int:
    """Return how many lines of a file hold anything but space and comment. Raises OSError."""
    with file.open(encoding="utf-8", errors="replace") as lines:
        return sum(not line.isspace() and not line.lstrip().startswith("#") for line in lines)
