"""Write the tables of docs/reference/configuration.md from the source: python scripts/configuration.py."""

from __future__ import annotations

import ast
import inspect
import itertools
import json
import re
import sys
import textwrap
from pathlib import Path
from typing import Any

import msgspec

from multitransport.core import limits
from multitransport.core.limits import Limits
from multitransport.node.settings import Settings

PAGE = Path(__file__).resolve().parent.parent / "docs/reference/configuration.md"


def described(source: str) -> dict[str, str]:
    """Return the docstring below each constant of a module, or each field of a class."""
    body = ast.parse(textwrap.dedent(source)).body
    if isinstance(body[0], ast.ClassDef):
        body = body[0].body
    texts = {}
    for field, text in itertools.pairwise(body):
        match field, text:
            case (
                ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]),
                ast.Expr(value=ast.Constant(value=str(words))),
            ):
                texts[name] = " ".join(words.replace("``", "`").split())
    return texts


def shown(value: Any) -> str:
    """Return a default as it is written in a configuration file."""
    if isinstance(value, tuple):
        return json.dumps(list(value))
    return f"{value:,}".replace(",", "_") if type(value) is int else json.dumps(value).replace("true", "True")


def table(cls: type[msgspec.Struct]) -> str:
    """Return the Markdown table of the fields that the class itself declares."""
    texts = described(inspect.getsource(cls))
    defaults = {field.name: field.default for field in msgspec.structs.fields(cls)}
    rows = [f"| `MULTITRANSPORT_{n.upper()}` | `{shown(defaults[n])}` | {text} |" for n, text in texts.items()]
    return "\n".join(["| setting | default | meaning |", "|---|---|---|", *rows])


def bounds() -> str:
    """Return the Markdown table of the limits that are no settings."""
    texts = described(inspect.getsource(limits))
    rows = [f"| `{name}` | `{shown(getattr(limits, name))}` | {text} |" for name, text in texts.items()]
    return "\n".join(["| bound | value | meaning |", "|---|---|---|", *rows])


def written(page: str) -> str:
    """Return the page with its tables made anew."""
    for name, made in (("Settings", table(Settings)), ("Limits", table(Limits)), ("Bounds", bounds())):
        mark = f"<!-- {name} -->"
        before, after = re.split(rf"{mark}\n.*?{mark}", page, flags=re.DOTALL)
        page = f"{before}{mark}\n{made}\n{mark}{after}"
    return page


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write(f"written: {PAGE.name}\n")
