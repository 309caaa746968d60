from __future__ import annotations

import signal

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

# How long an example takes says how busy the machine is; what takes too long in all, pytest's own timeout ends.
settings.register_profile("checks", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("checks")

# A shell that runs the tests in the background has it ignored, and so would what they start and end as Ctrl-C does.
signal.signal(signal.SIGINT, signal.default_int_handler)


class OneBrowser(LoadScopeScheduling):  # type: ignore[misc]  # it is not typed
    """Gives whoever is free the next test; what needs the browser goes to one process, which goes through it first."""

    def _split_scope(self, nodeid: str) -> str:
        return "tests/e2e" if nodeid.startswith("tests/e2e/") else nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """Distribute the tests where there are several processes (``-n``)."""
    return OneBrowser(config, log)
