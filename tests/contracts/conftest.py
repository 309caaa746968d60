from __future__ import annotations

import pytest

pytest.register_assert_rewrite("tests.contracts.transport_contract", "tests.contracts.wires", "tests.contracts.served")
