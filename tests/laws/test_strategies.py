"""Every public value has a strategy by its type, wherever the package is installed; and what it makes is valid."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from datetime import timedelta
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import subscription_lifecycle as door
from subscription_lifecycle import STANDARD, Command, Start, Subscription
from subscription_lifecycle.testing import strategies

PROJECT = tomllib.loads(Path(__file__).parents[2].joinpath("pyproject.toml").read_text("utf-8"))["project"]


@pytest.fixture(scope="module", autouse=True)
def registered() -> Callable[[], None]:
    """What Hypothesis does where the package is installed."""
    ((name, value),) = PROJECT["entry-points"]["hypothesis"].items()
    register: Callable[[], None] = EntryPoint(name, value, "hypothesis").load()
    register()
    return register


# Made of functions, of other values, or by the library alone: there is nothing to draw.
NOT_DRAWN = {
    "Action",
    "Context",
    "Difference",
    "Due",
    "Finding",
    "Guard",
    "Health",
    "Moment",
    "Reconciliation",
    "RefusedCommand",
    "Stretch",
    "SweepProgress",
    "SweepReport",
    "Timeline",
    "TimelineCharge",
    "TimelineTotals",
    "Totals",
    "Transition",
}


def public_values() -> list[type[Any]]:
    found = (getattr(door, name) for name in door.__all__)
    return [
        kind
        for kind in found
        if isinstance(kind, type)
        and (attrs.has(kind) or issubclass(kind, tuple))
        and not issubclass(kind, Exception)
        and kind.__name__ not in NOT_DRAWN
    ]


FEW = settings(max_examples=15, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("kind", public_values(), ids=lambda kind: kind.__name__)
def test_every_public_value_is_drawn_by_its_type(kind: type[Any]) -> None:
    @FEW
    @given(st.from_type(kind))
    def drawn(value: Any) -> None:
        assert isinstance(value, kind)
        if attrs.has(kind) and kind is not Command:
            attrs.validate(value)
        assert value == value
        assert str(value)

    drawn()


def test_registering_twice_does_no_harm(registered: Callable[[], None]) -> None:
    registered()


@given(st.data())
def test_subscriptions_can_be_lived_on(data: st.DataObject) -> None:
    """Every one is in a condition that the table knows, and the clock knows what is next."""
    subscription = data.draw(st.from_type(Subscription))
    assert (subscription.state, subscription.cause) in STANDARD.conditions
    due = STANDARD.due(subscription)
    if due is not None:
        before = STANDARD.catch_up(subscription, due.at - timedelta(seconds=1))
        assert (before.subscription, before.charge) == (subscription, None)


@given(strategies.starts(), strategies.instants)
def test_beginnings_succeed(start: Start, at: Any) -> None:
    decision = STANDARD.decide(start.create("sub", at), start, by=strategies.ALICE, at=at)
    assert decision.row.startswith("start")


def test_each_command_that_people_give_is_drawn() -> None:
    by_people = set(strategies.standard_commands())
    others = {kind.__name__ for kind in STANDARD.commands if kind not in by_people}
    assert others == {
        "Start",
        "Adopt",
        "CancelAsScheduled",
        "CancelForNonPayment",
        "FailPayment",
        "Notify",
        "PauseAsScheduled",
        "ReportInvoice",
        "ResumeAsScheduled",
        "SettlePayment",
    }
