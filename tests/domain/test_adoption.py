"""A subscription that is brought in, and the schedule it comes with: billed as often as its plan says."""

from __future__ import annotations

import attrs
import pytest
from tests.domain.world import CARD, SUPPORT, M, World, Y, day

from subscription_lifecycle import (
    ACTIVE,
    DAILY,
    MONTHLY,
    YEARLY,
    Adopt,
    BillingSchedule,
    InvalidValue,
    Period,
    Plan,
    Start,
    Subscription,
    UnknownSubscription,
)

FIRST = day("2024-01-01")


def brought(plan: Plan, every: Period) -> Subscription:
    """One that lives elsewhere and is paid for up to the second date of its schedule."""
    schedule = BillingSchedule(FIRST, every)
    following = schedule.next_date(FIRST)
    return Subscription(
        id="sub",
        customer="contoso",
        plan=plan,
        state=ACTIVE,
        schedule=schedule,
        next_billing_date=following,
        paid_through=following,
        term_start=FIRST,
        term_end=following,
        payment_method=CARD,
    )


OTHERWISE = {"a yearly plan by months": (Y, MONTHLY), "a monthly plan by years": (M, YEARLY), "by days": (M, DAILY)}


@pytest.mark.parametrize("steps", OTHERWISE)
def test_a_schedule_that_steps_otherwise_than_the_plan_is_not_adopted(steps: str, world: World) -> None:
    """A yearly price would be asked for every month, and no entry would be wrong by itself."""
    plan, every = OTHERWISE[steps]
    with pytest.raises(InvalidValue, match=f"schedule: it steps by {every}, the plan by {plan.billing}"):
        world.subs.adopt(brought(plan, every), by=SUPPORT, idempotency_key="adopt")
    with pytest.raises(UnknownSubscription):
        world.subs.get("sub")
    with pytest.raises(InvalidValue, match="schedule: it steps by"):
        world.preview(Adopt(brought(plan, every)), by=SUPPORT)


@pytest.mark.parametrize("steps", OTHERWISE)
def test_a_schedule_that_steps_otherwise_than_the_plan_is_not_started(steps: str) -> None:
    plan, every = OTHERWISE[steps]
    with pytest.raises(InvalidValue, match=f"schedule: it steps by {every}, the plan by {plan.billing}"):
        Start(customer="contoso", plan=plan, payment_method=CARD, schedule=BillingSchedule(FIRST, every))


def test_twelve_months_are_a_year(world: World) -> None:
    months = brought(Y, Period(12, "month"))
    world.subs.adopt(months, by=SUPPORT, idempotency_key="adopt")
    world.at("2025-01-02")
    assert [str(capture.amount) for capture in world.gateway.captures] == ["365.00 EUR"]
    weeks = attrs.evolve(M, billing=Period(2, "week"))
    Start(customer="contoso", plan=weeks, payment_method=CARD, schedule=BillingSchedule(FIRST, Period(14, "day")))
