from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from quart import Quart

from multitransport.cli.loading import load_app

SOURCE = """
from quart import Quart, session

app = Quart(__name__)
number = 1

class Space:
    inner = app

def create_app(name="made"):
    return Quart(name)

def make():
    return app

def fail():
    return 1 / 0
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    (tmp_path / "loaded_app.py").write_text(SOURCE)
    (tmp_path / "broken_app.py").write_text("import no_such_library")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    yield "loaded_app"
    sys.modules.pop("loaded_app", None)


@pytest.mark.parametrize("target", ["loaded_app", "loaded_app:app", "loaded_app:Space.inner", "loaded_app:make()"])
def test_an_application_is_found(module: str, target: str) -> None:
    app = load_app(target)
    assert isinstance(app, Quart)
    assert app.name == module


def test_a_factory_is_called(module: str) -> None:
    assert load_app(f"{module}:create_app()").name == "made"


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("nowhere", "there is no module 'nowhere'"),
        ("nowhere.at.all:app", "there is no module 'nowhere.at.all'"),
        ("loaded_app.inner:app", "there is no module 'loaded_app.inner'"),
        ("loaded_app.py", "name the module as an import does"),
        ("loaded_app:ap", "has no 'ap'; did you mean `loaded_app:app`?"),
        ("loaded_app:number", "loaded_app:number is no ASGI application but int"),
        ("loaded_app:make", "say `loaded_app:make()`"),
        ("loaded_app:number()", "loaded_app:number() is no factory but int"),
    ],
)
@pytest.mark.usefixtures("module")
def test_what_cannot_be_loaded_is_said_in_a_line(target: str, message: str) -> None:
    with pytest.raises(click.ClickException) as raised:
        load_app(target)
    assert message in raised.value.message


@pytest.mark.usefixtures("module")
def test_an_error_inside_the_module_is_told_from_its_own_line_on() -> None:
    with pytest.raises(click.ClickException) as raised:
        load_app("broken_app:app")
    first, *trace = raised.value.message.splitlines()
    assert first == "broken_app cannot be loaded"
    assert trace[1].endswith('broken_app.py", line 1, in <module>')
    assert trace[-1] == "ModuleNotFoundError: No module named 'no_such_library'"


def test_an_error_inside_a_factory_is_told_from_its_own_line_on(module: str) -> None:
    with pytest.raises(click.ClickException) as raised:
        load_app(f"{module}:fail()")
    assert raised.value.message.splitlines()[2].endswith("in fail")
    assert raised.value.message.endswith("ZeroDivisionError: division by zero")
