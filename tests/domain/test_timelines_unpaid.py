"""Timelines T20–T25, T33, T39, T40: money that did not come, and sweeps that did not run."""

from __future__ import annotations

import pytest
from tests.domain.world import CARD, OTHER_CARD, SUPPORT, M, MakeWorld, World, Y, day, euros, instant, policy

from subscription_lifecycle import (
    ACTIVE,
    CANCELLED,
    DELETED,
    DISABLED,
    EXPIRED,
    LAPSED,
    NON_PAYMENT,
    PAST_DUE,
    Access,
    BillingPeriod,
    Cancel,
    Debt,
    Delete,
    NotPossible,
    PayArrears,
    PaymentDeclined,
    Reactivate,
    RetryPayment,
)


def debt(start: str, end: str, amount: int = 20) -> Debt:
    return Debt(BillingPeriod(day(start), day(end)), euros(amount), day(start))


def test_t20_the_debt_survives_the_cancellation(world: World) -> None:
    world.start(M)
    world.unpaid("2024-03-01", "2024-03-05")
    assert (world.state, world.sub.owed) == (PAST_DUE, euros(20))
    world.done(Cancel("now"))
    assert (world.state, world.sub.owed) == (CANCELLED, euros(20))
    world.at("2024-03-06")
    with world.new_captures("20.00"):
        after = world.reactivate().subscription
    assert (after.state, after.arrears, after.next_billing_date) == (ACTIVE, (), day("2024-04-01"))


def test_t21_who_owes_pays_or_deletes(world: World) -> None:
    world.start(M)
    world.unpaid("2024-03-01", "2024-04-05")
    assert (world.state, world.sub.cause) == (DISABLED, NON_PAYMENT)
    refused = world.refused(Cancel("now"))
    assert isinstance(refused, NotPossible)
    assert {"pay arrears", "delete"} <= set(refused.possible)
    assert "pay arrears" in str(refused)
    assert "delete" in str(refused)
    assert world.done(Delete()).subscription.state == DELETED


@pytest.fixture
def t22(make_world: MakeWorld) -> World:
    world = make_world("2023-01-01")
    world.start(M)
    world.unpaid("2023-02-01", "2023-03-10")
    return world


def test_t22_two_periods_are_owed(t22: World) -> None:
    sub = t22.sub
    assert (sub.state, sub.cause, sub.since) == (DISABLED, NON_PAYMENT, instant("2023-03-03"))
    assert sub.arrears == (debt("2023-02-01", "2023-03-01"), debt("2023-03-01", "2023-04-01"))
    preview = t22.preview(Reactivate(CARD))
    assert (preview.terms.charge, preview.terms.next_billing_date) == (euros(40), day("2023-04-01"))
    with t22.new_captures("40.00"):
        after = t22.reactivate().subscription
    assert (after.state, after.causes, after.arrears) == (ACTIVE, (), ())
    assert (after.next_billing_date, after.paid_through) == (day("2023-04-01"), day("2023-04-01"))


def test_t23_the_term_is_over_and_two_periods_are_owed(t22: World) -> None:
    t22.at("2023-04-20")
    assert t22.sub.owed == euros(40)
    with t22.new_captures("60.00"):
        after = t22.reactivate().subscription
    assert (after.state, after.arrears, after.next_billing_date) == (ACTIVE, (), day("2023-05-20"))
    assert after.schedule.anchor == day("2023-04-20")


def test_t24_a_year_is_owed(make_world: MakeWorld) -> None:
    world = make_world("2023-01-01")
    world.start(Y)
    world.unpaid("2024-01-01", "2024-03-01")
    assert (world.state, world.sub.cause, world.sub.since) == (DISABLED, NON_PAYMENT, instant("2024-01-31"))
    with world.new_captures("365.00"):
        after = world.reactivate().subscription
    assert (after.state, after.next_billing_date, after.arrears) == (ACTIVE, day("2025-01-01"), ())


def test_t25_a_policy_that_forgives_says_so(make_world: MakeWorld) -> None:
    """Who forgave: the entry is by the customer whose reactivation it was, under a policy it names."""
    world = make_world("2024-01-01", policy(arrears="forgive"))
    world.start(M)
    world.unpaid("2024-03-01", "2024-03-31")
    assert (world.state, world.sub.cause) == (DISABLED, NON_PAYMENT)
    with world.new_captures():
        result = world.reactivate()
    after = result.subscription
    assert (after.state, after.next_billing_date, after.arrears) == (ACTIVE, day("2024-04-01"), ())
    entry = result.entries[-1]
    assert entry.forgiven == (debt("2024-03-01", "2024-04-01"),)
    assert (entry.by.id, entry.policy) == ("alice", "default")
    assert "forgiven: 20.00 EUR for [2024-03-01, 2024-04-01)" in str(entry)


def test_t33_a_decline_moves_nothing(world: World) -> None:
    world.start(M, off="2024-03-10")
    world.at("2024-04-13")
    before, entries = world.sub, world.history
    world.gateway.decline_next()
    with pytest.raises(PaymentDeclined) as caught:
        world.reactivate(OTHER_CARD)
    after = world.sub
    assert (after.state, after.next_billing_date, after.until) == (EXPIRED, day("2024-04-01"), day("2024-05-01"))
    assert after.payment_method == CARD
    assert after.version == before.version + 2
    assert after == before.changed({"version": after.version, "recorded_at": after.recorded_at})
    assert [entry.event for entry in world.history[len(entries) :]] == ["attempted", "declined"]
    assert (caught.value.decline, caught.value.retryable) == ("insufficient_funds", True)


@pytest.mark.parametrize("operator", [True, False], ids=["an_operator_retries", "the_customer_pays"])
def test_t39_several_charges_due_at_once_are_held(world: World, operator: bool) -> None:
    world.start(M)
    world.jump("2024-05-01")
    with world.new_captures():
        report = world.swept()
    assert report.held == ("sub",)
    sub = world.sub
    assert (sub.state, sub.next_billing_date) == (ACTIVE, day("2024-06-01"))
    assert [(item.period.start, item.amount, item.held) for item in sub.arrears] == [
        (day(f"2024-{month:02}-01"), euros(20), True) for month in (2, 3, 4, 5)
    ]
    asked = len(world.gateway.requests)
    world.at("2024-05-31")
    assert (world.state, len(world.gateway.requests)) == (ACTIVE, asked)
    with world.new_captures("80.00"):
        world.done(RetryPayment(), by=SUPPORT) if operator else world.done(PayArrears())
    assert (world.sub.arrears, world.sub.state) == ((), ACTIVE)
    with world.new_captures("20.00"):
        world.at("2024-06-01")


def test_t40_nothing_irreversible_comes_unannounced(make_world: MakeWorld) -> None:
    world = make_world("2023-12-01")
    world.start(M, off="2023-12-10")
    world.jump("2024-03-01")
    assert world.access == Access.REDUCED
    world.jump("2024-05-01")
    world.swept()
    assert (world.state, world.sub.cause) == (DISABLED, LAPSED)
    expired, disabled = world.entry("expire"), world.entry("disable")
    assert (expired.effective_at, disabled.effective_at) == (instant("2024-01-01"), instant("2024-01-31"))
    assert expired.recorded_at == disabled.recorded_at == instant("2024-05-01")
    assert world.sub.until == day("2024-07-30")
    world.at("2024-07-29T23:59")
    assert world.state == DISABLED
    world.at("2024-07-30")
    assert world.state == DELETED


def test_when_the_retries_end_nothing_more_is_added(world: World) -> None:
    """Declined on 1 June: the retries end with the thirty days of June, at the very instant July would be billed.

    July begins without service, so nobody owes it: a reactivation on the 20th buys a new period, as in T23.
    """
    world.start(M)
    world.unpaid("2024-06-01", "2024-07-01")
    assert (world.state, world.sub.cause, world.sub.since) == (DISABLED, NON_PAYMENT, instant("2024-07-01"))
    assert world.sub.arrears == (debt("2024-06-01", "2024-07-01"),)
    assert world.sub.next_billing_date == day("2024-07-01")
    world.at("2024-07-20")
    with world.new_captures("40.00"):
        after = world.reactivate().subscription
    assert after.next_billing_date == day("2024-08-20")
