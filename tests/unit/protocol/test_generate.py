from __future__ import annotations

import re
import runpy

import pytest

from multitransport.protocol.codes import CloseCode, ErrorCode
from multitransport.protocol.generate import typescript


def test_the_copy_has_every_code() -> None:
    copy = typescript()
    closes = {name: int(code) for name, code in re.findall(r"^  (\w+): (\d+),$", copy, flags=re.MULTILINE)}
    assert closes == {code.name.lower(): code.value for code in CloseCode}
    assert re.findall(r'^  "(\w+)",$', copy, flags=re.MULTILINE) == [str(code) for code in ErrorCode]


@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
def test_run_as_a_program_it_prints_the_copy(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_module("multitransport.protocol.generate", run_name="__main__")
    assert capsys.readouterr().out == typescript()
