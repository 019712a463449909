"""What costs nothing: plans without a price, and days of a price too small to be divided."""

from __future__ import annotations

from typing import Any

import pytest
from tests.domain.world import INVOICE, MakeWorld, day

from subscription_lifecycle import (
    ACTIVE,
    EXPIRED,
    MONTHLY,
    WEEKLY,
    BillingSchedule,
    Cancel,
    Money,
    Plan,
    Reactivate,
    SetRecurringBilling,
)

FREE = Plan("free", Money(0, "EUR"), MONTHLY)
CENT = Plan("cent", Money(1, "EUR"), WEEKLY)


@pytest.mark.parametrize("ends", [SetRecurringBilling(False), Cancel("now")], ids=["expired", "cancelled"])
def test_a_free_plan_comes_back_without_a_payment_method(make_world: MakeWorld, ends: Any) -> None:
    world = make_world()
    world.start(FREE, None)
    world.do(ends)
    world.at("2024-02-10")
    world.do(Reactivate())
    assert (world.state, world.captured) == (ACTIVE, [])


def test_a_plan_that_costs_something_does_not(make_world: MakeWorld) -> None:
    world = make_world()
    world.start(off="2024-01-02")
    world.at("2024-02-10")
    assert world.state == EXPIRED
    assert [refusal.code for refusal in world.refused(Reactivate()).refusals] == ["payment_method.missing"]


def test_days_that_cost_nothing_are_bought_again_and_not_for_the_first_time(make_world: MakeWorld) -> None:
    """Three days of a week for one cent cost nothing: nothing goes back, and nothing was written off."""
    world = make_world("2025-02-02")
    world.start(CENT, INVOICE, schedule=BillingSchedule(day("2020-01-01"), WEEKLY))
    world.done(Cancel("now", refund="prorated"))
    world.reactivate(INVOICE)
    bought, again = (entry.charge for entry in world.history if entry.charge is not None)
    assert [(line.purpose, line.amount.minor) for line in bought.lines] == [("period", 0)]
    assert [(line.purpose, line.amount.minor) for line in again.lines] == [("recharge", 0)]
