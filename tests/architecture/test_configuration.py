from __future__ import annotations

import inspect

import msgspec
import pytest

from multitransport.core import limits
from multitransport.core.limits import Limits
from multitransport.node.settings import Settings
from scripts.configuration import PAGE, described, written


def test_the_page_lists_the_settings_as_they_are() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == written(page), "run: python scripts/configuration.py"


@pytest.mark.parametrize("cls", [Settings, Limits])
def test_every_setting_is_described(cls: type[msgspec.Struct]) -> None:
    own = {field.name for field in msgspec.structs.fields(cls)} & set(cls.__annotations__)
    assert described(inspect.getsource(cls)).keys() == own


def test_every_bound_that_is_no_setting_is_described() -> None:
    assert {*described(inspect.getsource(limits)), "Limits"} == set(limits.__all__)
