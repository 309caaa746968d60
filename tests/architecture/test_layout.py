from __future__ import annotations

import pytest

from tests.architecture.source import PACKAGE, ROOT


@pytest.mark.parametrize("package", ["core", "protocol"])
def test_every_file_of_the_logic_has_its_tests(package: str) -> None:
    sources = {path.stem for path in (PACKAGE / package).glob("*.py")} - {"__init__"}
    tests = {path.stem.removeprefix("test_") for path in (ROOT / "tests/unit" / package).glob("test_*.py")}
    assert sources, "no source was found: this test has gone blind"
    assert sources <= tests, f"without tests of their own: {sorted(sources - tests)}"


def test_the_package_says_that_it_is_typed() -> None:
    assert (PACKAGE / "py.typed").is_file()
