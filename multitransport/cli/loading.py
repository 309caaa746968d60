"""Finds the application a command line names."""

from __future__ import annotations

import importlib
import inspect
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import click

__all__ = ["load_app"]


def load_app(target: str) -> Any:
    """Return the ASGI application named ``module:name``, or made by ``module:factory()``; the name is ``app`` by
    default.

    Raises ClickException where there is none, and where the module or the factory raises: its message has the
    traceback then, from the application's own code on.
    """
    module_name, _, name = target.partition(":")
    if module_name.endswith(".py") or "/" in module_name:
        raise click.ClickException(f"name the module as an import does, `package.module:app`, not {module_name!r}")
    sys.path.insert(0, str(Path.cwd()))
    found = _attribute(_module(module_name), name.removesuffix("()") or "app")
    if name.endswith("()"):
        if not callable(found):
            raise click.ClickException(f"{target} is no factory but {type(found).__name__}")
        with _application_code(target):
            found = found()
    elif inspect.isfunction(found) and not inspect.signature(found).parameters:
        raise click.ClickException(
            f"{target} is a function without parameters; if it makes the application, say `{target}()`"
        )
    if not callable(found):
        raise click.ClickException(f"{target} is no ASGI application but {type(found).__name__}")
    return found


def _module(name: str) -> ModuleType:
    with _application_code(name):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise
    raise click.ClickException(f"there is no module {name!r} to import from {Path.cwd()}")


@contextmanager
def _application_code(what: str) -> Iterator[None]:
    """Tell an error of the application without the frames of what called it, which are none of its business."""
    try:
        yield
    except Exception as error:
        frames = error.__traceback__
        while frames and _leads_to_application(frames.tb_frame.f_code.co_filename):
            frames = frames.tb_next
        told = "".join(traceback.format_exception(type(error), error, frames)).rstrip()
        raise click.ClickException(f"{what} cannot be loaded\n{told}") from error


def _leads_to_application(filename: str) -> bool:
    return filename in (__file__, importlib.__file__) or filename.startswith("<frozen importlib")


def _attribute(module: ModuleType, path: str) -> Any:
    found: Any = module
    for name in path.split("."):
        if not hasattr(found, name):
            # Looked up on the type: `session` and the like of Quart are proxies that raise outside of a request.
            known = [key for key, value in vars(module).items() if hasattr(type(value), "asgi_app")]
            hint = f"; did you mean `{module.__name__}:{known[0]}`?" if known else ""
            raise click.ClickException(f"module {module.__name__!r} has no {path!r}{hint}")
        found = getattr(found, name)
    return found
