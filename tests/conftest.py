from __future__ import annotations

from hypothesis import HealthCheck, settings

# How long an example takes says how busy the machine is; what takes too long in all, pytest's own timeout ends.
settings.register_profile("checks", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("checks")
