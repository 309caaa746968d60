from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.property.complaints import COMPLAINTS


@pytest.fixture(autouse=True)
def complaints() -> Iterator[None]:
    logger = logging.getLogger("multitransport")
    logger.addHandler(COMPLAINTS)
    logger.propagate = False
    yield
    logger.propagate = True
    logger.removeHandler(COMPLAINTS)
