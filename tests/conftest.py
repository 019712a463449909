"""Hypothesis profiles, chosen by HYPOTHESIS_PROFILE; slow tests start first."""

import os

import pytest
from hypothesis import HealthCheck, settings
from tests.postgresql import postgresql_server, postgresql_url  # noqa: F401 (fixtures)

# Generating a whole life is slow and large; every other health check, and every flaky test, is a bug.
# The ordinary run tries the same lives each time; the long one searches.
settings.register_profile(
    "quick",
    deadline=None,
    derandomize=True,
    max_examples=60,
    stateful_step_count=30,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.register_profile("ci", settings.get_profile("quick"))
settings.register_profile(
    "long", settings.get_profile("quick"), derandomize=False, max_examples=5_000, stateful_step_count=80
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
