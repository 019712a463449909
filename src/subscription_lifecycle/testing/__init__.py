"""What we test ourselves with, for your lifecycles, stores, gateways. Fakes, laws and suites need no Hypothesis."""

from typing import TYPE_CHECKING, Any

from subscription_lifecycle.testing import faults, laws
from subscription_lifecycle.testing.conformance import check_store
from subscription_lifecycle.testing.fakes import FakeClock, FakeGateway
from subscription_lifecycle.testing.gateway_conformance import check_gateway
from subscription_lifecycle.testing.law import Law, law
from subscription_lifecycle.testing.step import Step

if TYPE_CHECKING:
    from subscription_lifecycle.testing import strategies
    from subscription_lifecycle.testing.stateful import lifecycle_machine

__all__ = [
    "FakeClock",
    "FakeGateway",
    "Law",
    "Step",
    "check_gateway",
    "check_store",
    "faults",
    "law",
    "laws",
    "lifecycle_machine",
    "strategies",
]


def __getattr__(name: str) -> Any:
    """What needs Hypothesis is imported when it is asked for."""
    import importlib

    if name == "strategies":
        return importlib.import_module("subscription_lifecycle.testing.strategies")
    if name == "lifecycle_machine":
        return importlib.import_module("subscription_lifecycle.testing.stateful").lifecycle_machine
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
