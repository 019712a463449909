"""Payments and refunds that end otherwise than hoped: each comes to rest, and is told the same way again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from tests.engine.cast import BANK, CARD, OTHER_CARD, PLAN, SUPPORT, NoVoid, do, start

from subscription_lifecycle import (
    ACTIVE,
    EXPIRED,
    MONTHLY,
    PAST_DUE,
    STANDARD,
    BillingSchedule,
    Cancel,
    Command,
    Disable,
    Enable,
    Lifecycle,
    MemoryStore,
    Money,
    PayArrears,
    Policy,
    Reactivate,
    Subscriptions,
)
from subscription_lifecycle.ports import ChargedBack
from subscription_lifecycle.testing import FakeClock, FakeGateway

MakeWorld = Callable[..., Subscriptions]


@pytest.fixture
def world() -> MakeWorld:
    def make(gateway: Any = FakeGateway, lifecycle: Lifecycle = STANDARD, **more: Any) -> Subscriptions:
        clock = FakeClock("2024-01-01T00:00Z")
        subs = Subscriptions(MemoryStore(), gateway(clock), clock=clock, lifecycle=lifecycle)
        start(subs, **more)
        return subs

    return make


def at(subs: Subscriptions, when: str) -> None:
    subs.clock.set(when)  # type: ignore[attr-defined]
    assert not subs.sweep().failed


def test_a_debit_that_the_customer_never_allows_is_given_up(world: MakeWorld) -> None:
    subs = world(NoVoid, recurring_billing=False)
    at(subs, "2024-02-03T00:00Z")
    subs.gateway.require_action_next()
    do(subs, Reactivate(BANK), "back")
    at(subs, "2024-02-16T23:00Z")
    assert subs.history("s")[-1].event == "awaiting"
    at(subs, "2024-02-17T00:00Z")
    assert (subs.history("s")[-1].event, subs.get("s").state) == ("abandoned", EXPIRED)


def test_a_capture_that_is_told_again_after_a_chargeback_is_not_refunded(world: MakeWorld) -> None:
    subs = world()
    reference = subs.gateway.captures[0].reference
    subs.report_payment(reference, ChargedBack("ch"))
    again = subs.report_payment(reference, subs.gateway.ledger[reference])
    assert (again.entries, subs.gateway.refunds) == ((), [])
    assert subs.get("s").owed == PLAN.price


def test_a_refund_is_part_of_the_answer_also_when_it_is_repeated(world: MakeWorld) -> None:
    subs = world()
    at(subs, "2024-01-10T00:00Z")
    first = do(subs, Cancel("now", "prorated"), "leave")
    assert do(subs, Cancel("now", "prorated"), "leave") == first
    assert first.subscription.refunds == ()


def test_an_answer_that_was_lost_is_told_like_every_later_one(world: MakeWorld) -> None:
    subs = world(recurring_billing=False)
    at(subs, "2024-02-03T00:00Z")
    subs.gateway.time_out_next(charged=True)
    do(subs, Reactivate(CARD), "back")
    found = [do(subs, Reactivate(CARD), "back") for _ in range(2)]
    assert found[0] == found[1]
    assert [entry.event for entry in found[0].entries] == ["attempted", "applied"]


@pytest.mark.parametrize("interrupts", [Disable(), Cancel("now")], ids=["blocked", "cancelled"])
def test_a_debt_that_comes_while_service_is_interrupted_is_dunned_when_it_returns(
    world: MakeWorld, interrupts: Command
) -> None:
    subs = world(lifecycle=STANDARD.with_policies(Policy(disputed_method="ask")))
    at(subs, "2024-01-10T00:00Z")
    do(subs, interrupts, "stop", SUPPORT)
    subs.report_payment(subs.gateway.captures[0].reference, ChargedBack("ch"))
    assert subs.get("s").interrupted == PAST_DUE
    do(subs, Enable() if isinstance(interrupts, Disable) else Reactivate(CARD), "back", SUPPORT)
    at(subs, "2024-01-17T00:00Z")
    assert (subs.get("s").state, subs.get("s").owed) == (ACTIVE, Money.zero("EUR"))
    assert len(subs.gateway.captures) == 2


def test_a_part_of_a_period_that_is_owed_is_owed_by_days(world: MakeWorld) -> None:
    """Blocked past a billing date while past due; from 21 March on, the calendar's April is eleven days away."""
    lifecycle = STANDARD.with_policies(Policy(retry_days=60, retry_after=(50,)))
    subs = world(lifecycle=lifecycle, schedule=BillingSchedule(date(2024, 1, 1), MONTHLY, align="calendar"))
    subs.gateway.decline_next()
    at(subs, "2024-02-01T00:00Z")
    do(subs, Disable(), "block", SUPPORT)
    at(subs, "2024-03-21T00:00Z")
    do(subs, Enable(), "lift", SUPPORT)
    subs.gateway.decline_next()
    at(subs, "2024-03-21T00:00Z")
    assert subs.get("s").state == PAST_DUE
    assert [str(debt.amount) for debt in subs.get("s").arrears] == ["20.00 EUR", "7.10 EUR"]


def test_paying_what_is_owed_while_a_retry_is_due_does_not_depend_on_the_sweep() -> None:
    """The retry that is due runs first; where it is declined, the new card pays."""
    clock = FakeClock("2024-01-01T09:00Z")
    gateway = FakeGateway(clock)
    subs = Subscriptions(MemoryStore(), gateway, clock=clock)
    start(subs)
    clock.set("2024-02-01T09:00Z")
    gateway.decline_next()
    subs.sweep()
    clock.set("2024-02-08T09:00Z")
    gateway.decline_next()
    do(subs, PayArrears(OTHER_CARD), "pay")
    assert subs.get("s").state == ACTIVE
    assert not subs.get("s").arrears
    assert [capture.payment_method for capture in gateway.captures] == [CARD, OTHER_CARD]
