"""The source tree as the architecture tests see it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "multitransport"
BROWSER_CLIENT = PACKAGE / "js"


def python_files() -> list[Path]:
    """Return the package's Python files."""
    return sorted(path for path in PACKAGE.rglob("*.py") if BROWSER_CLIENT not in path.parents)


def typescript_files() -> list[Path]:
    """Return the browser client's own source files."""
    return sorted((BROWSER_CLIENT / "src").rglob("*.ts"))


def module_name(path: Path) -> str:
    """Return the dotted name under which a file of the package is imported."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path, modules: frozenset[str]) -> Iterator[str]:
    """Yield the modules of the package that a file names in its imports, those for type checking too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom) and node.module in modules:
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                yield submodule if submodule in modules else node.module
