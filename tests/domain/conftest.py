"""The world that every test of the domain plays in."""

from __future__ import annotations

import pytest
from tests.domain.world import MakeWorld, World


@pytest.fixture
def world() -> World:
    """From 1 January 2024 on, the standard lifecycle."""
    return World()


@pytest.fixture
def make_world() -> MakeWorld:
    """For another first day, or another lifecycle: `make_world("2023-01-01", policy(expired_days=90))`."""
    return World
