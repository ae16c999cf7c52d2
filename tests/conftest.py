"""What every test shares: hypothesis profiles, and the rule that a skip needs a reason the kernel gives."""

import os

from hypothesis import HealthCheck, settings

settings.register_profile("ci", max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("long", max_examples=10_000, deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile(os.environ.get("CALICOD_PROFILE", "ci"))
