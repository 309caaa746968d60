from __future__ import annotations

from pathlib import Path

import pytest

HELPERS = [path.stem for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith(("test_", "conftest"))]

pytest.register_assert_rewrite("multitransport.testing.contracts", *(f"tests.contracts.{name}" for name in HELPERS))
