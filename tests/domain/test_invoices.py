"""Paying by invoice: lines collect, an invoice claims them once, and what is left unpaid becomes a debt."""

from __future__ import annotations

import pytest
from tests.domain.world import BANK, CARD, INVOICE, SUPPORT, M, World, Y, day, euros, policy

from subscription_lifecycle import (
    ACTIVE,
    DELETED,
    DISABLED,
    NON_PAYMENT,
    PAST_DUE,
    PROVIDER,
    Cancel,
    ChangePaymentMethod,
    Delete,
    Disable,
    PayArrears,
    Reactivate,
    SetRecurringBilling,
)


@pytest.fixture
def payer(world: World) -> World:
    """One subscription that pays by invoice, with its first line."""
    world.start(M, INVOICE)
    return world


def unpaid(world: World, invoice: str) -> None:
    world.subs.report_invoice(invoice, paid=False, by=SUPPORT, idempotency_key=world.key())


def paid(world: World, invoice: str) -> None:
    world.subs.report_invoice(invoice, paid=True, by=SUPPORT, idempotency_key=world.key())


def test_lines_collect_per_customer(payer: World) -> None:
    payer.start(Y, INVOICE, id="other")
    payer.start(M, INVOICE, id="foreign", customer="fabrikam", by=SUPPORT)
    lines = payer.take_lines("R-1")
    assert {(line.subscription, line.amount) for line in lines} == {("sub", euros(20)), ("other", euros(365))}
    assert {line.customer for line in lines} == {"contoso"}
    (foreign,) = payer.subs.take_invoice_lines(customer="fabrikam", invoice="R-2")
    assert (foreign.subscription, foreign.invoice) == ("foreign", "R-2")


def test_a_line_is_on_exactly_one_invoice(payer: World) -> None:
    first = payer.take_lines("R-1")
    assert len(first) == 1
    assert payer.take_lines("R-2") == []
    assert payer.take_lines("R-1") == first
    payer.at("2024-02-01")
    (second,) = payer.take_lines("R-2")
    assert second.period.start == day("2024-02-01")
    assert payer.take_lines("R-1") == first


def test_renewing_by_invoice_captures_nothing(payer: World) -> None:
    payer.at("2024-03-15")
    assert (payer.state, payer.sub.next_billing_date, payer.sub.paid_through) == (
        ACTIVE,
        day("2024-04-01"),
        day("2024-04-01"),
    )
    assert [line.period.start for line in payer.take_lines("R-1")] == [
        day("2024-01-01"),
        day("2024-02-01"),
        day("2024-03-01"),
    ]
    assert payer.gateway.requests == []


def test_paid_changes_nothing_owed(payer: World) -> None:
    payer.take_lines("R-1")
    before = payer.sub
    paid(payer, "R-1")
    after = payer.sub
    assert (after.state, after.arrears, after.next_billing_date) == (ACTIVE, (), before.next_billing_date)


def test_unpaid_makes_arrears_and_paying_late_lifts_them(payer: World) -> None:
    (line,) = payer.take_lines("R-1")
    payer.at("2024-01-20")
    unpaid(payer, "R-1")
    (debt,) = payer.sub.arrears
    assert (payer.state, debt.period, debt.amount, debt.invoice) == (PAST_DUE, line.period, line.amount, "R-1")
    assert payer.sub.paid_through == day("2024-01-01")
    paid(payer, "R-1")
    assert (payer.state, payer.sub.arrears, payer.sub.paid_through) == (ACTIVE, (), day("2024-02-01"))


def test_unpaid_is_reported_once_or_twice_with_one_debt(payer: World) -> None:
    payer.take_lines("R-1")
    unpaid(payer, "R-1")
    unpaid(payer, "R-1")
    assert payer.sub.owed == euros(20)


def test_each_subscription_on_the_invoice_owes_its_own_lines(payer: World) -> None:
    payer.start(Y, INVOICE, id="other")
    payer.take_lines("R-1")
    unpaid(payer, "R-1")
    assert payer.sub.owed == euros(20)
    assert payer.subs.get("other").owed == euros(365)


@pytest.mark.parametrize("gone", ["sub", "other"])
def test_a_deleted_subscription_on_the_invoice_keeps_no_report_from_the_others(payer: World, gone: str) -> None:
    payer.start(M, INVOICE, id="other")
    payer.take_lines("R-1")
    payer.done(Delete(), id=gone)
    (living,) = {"sub", "other"} - {gone}
    results = payer.subs.report_invoice("R-1", paid=False, by=SUPPORT, idempotency_key=payer.key())
    assert {result.subscription.id for result in results} == {"sub", "other"}
    assert (payer.subs.get(living).state, payer.subs.get(living).owed) == (PAST_DUE, euros(20))
    paid(payer, "R-1")
    assert (payer.subs.get(living).state, payer.subs.get(living).owed) == (ACTIVE, euros(0))
    assert payer.subs.get(gone).state == DELETED


def test_nothing_is_retried_by_invoice_and_service_ends(payer: World) -> None:
    payer.take_lines("R-1")
    payer.at("2024-01-20")
    unpaid(payer, "R-1")
    payer.at("2024-02-19")
    assert (payer.state, payer.sub.cause) == (DISABLED, NON_PAYMENT)
    assert payer.gateway.requests == []
    assert [debt.period.start for debt in payer.sub.arrears] == [day("2024-01-01")]
    (february,) = payer.take_lines("R-2")
    assert (february.period.start, february.amount) == (day("2024-02-01"), euros(20))


def test_who_pays_every_invoice_late_goes_on(payer: World) -> None:
    """February begins while January is unpaid: it is put on an invoice, and paid_through waits for January."""
    payer.take_lines("R-1")
    payer.at("2024-01-15")
    unpaid(payer, "R-1")
    payer.at("2024-02-05")
    assert [line.amount for line in payer.take_lines("R-2")] == [euros(20)]
    assert (payer.state, payer.sub.owed, payer.sub.paid_through) == (PAST_DUE, euros(20), day("2024-01-01"))
    paid(payer, "R-1")
    assert (payer.state, payer.sub.owed, payer.sub.paid_through) == (ACTIVE, euros(0), day("2024-03-01"))
    unpaid(payer, "R-2")
    assert (payer.state, payer.sub.owed) == (PAST_DUE, euros(20))


def test_by_card_a_period_that_begins_while_past_due_is_owed(world: World) -> None:
    world.start(M, INVOICE)
    world.take_lines("R-1")
    world.at("2024-01-20")
    unpaid(world, "R-1")
    world.use(policy(invoice=True, arrears="keep"))
    world.done(ChangePaymentMethod(CARD))
    world.declining(10)
    world.at("2024-02-05")
    assert [debt.invoice for debt in world.sub.arrears] == ["R-1", None]
    assert world.take_lines("R-2") == []


@pytest.mark.parametrize("paid_on", ["2024-02-25", "2024-03-05"])
def test_the_report_that_nothing_is_owed_any_more_brings_service_back(payer: World, paid_on: str) -> None:
    payer.take_lines("R-1")
    payer.at("2024-01-20")
    unpaid(payer, "R-1")
    payer.at(paid_on)
    assert (payer.state, payer.sub.cause) == (DISABLED, NON_PAYMENT)
    key = payer.key()
    for _ in range(2):
        payer.subs.report_invoice("R-1", paid=True, by=SUPPORT, idempotency_key=key)
        assert (payer.state, payer.sub.causes, payer.sub.owed) == (ACTIVE, (), euros(0))
    ahead = day(paid_on) < day("2024-03-01")
    payer.swept()
    assert payer.sub.next_billing_date == (day("2024-03-01") if ahead else day("2024-04-05"))


def test_a_report_restores_no_service_while_something_else_is_owed_or_a_block_stands(payer: World) -> None:
    payer.take_lines("R-1")
    payer.at("2024-02-01")
    payer.take_lines("R-2")
    unpaid(payer, "R-1")
    unpaid(payer, "R-2")
    payer.at("2024-03-10")
    paid(payer, "R-1")
    assert (payer.state, payer.sub.owed) == (DISABLED, euros(20))
    payer.done(Disable(reason="abuse"), by=SUPPORT)
    paid(payer, "R-2")
    assert (payer.state, payer.sub.cause, payer.sub.owed) == (DISABLED, PROVIDER, euros(0))


def test_an_unpaid_invoice_is_paid_by_card(payer: World) -> None:
    payer.take_lines("R-1")
    unpaid(payer, "R-1")
    payer.refused(PayArrears())
    payer.refused(PayArrears(INVOICE))
    with payer.new_captures("20.00"):
        after = payer.done(PayArrears(CARD)).subscription
    assert (after.state, after.arrears) == (ACTIVE, ())
    assert payer.take_lines("R-2") == []


def test_a_second_report_of_what_was_paid_by_card_makes_no_second_debt(payer: World) -> None:
    """The collection agency's report of R-1 comes after the customer paid R-1 by card."""
    payer.take_lines("R-1")
    unpaid(payer, "R-1")
    payer.done(PayArrears(CARD))
    unpaid(payer, "R-1")
    assert (payer.state, payer.sub.owed) == (ACTIVE, euros(0))


def test_a_mistaken_paid_that_is_corrected_makes_what_a_card_paid_no_debt_again(payer: World) -> None:
    payer.take_lines("R-1")
    unpaid(payer, "R-1")
    payer.done(PayArrears(CARD))
    paid(payer, "R-1")
    before = payer.sub
    paid(payer, "R-1")
    assert (payer.sub.credit, payer.sub.settlements) == (before.credit, before.settlements)
    unpaid(payer, "R-1")
    assert (payer.state, payer.sub.owed) == (ACTIVE, euros(0))


def test_a_mistaken_paid_that_is_corrected_makes_the_debt_again_that_it_had_settled(payer: World) -> None:
    payer.take_lines("R-1")
    unpaid(payer, "R-1")
    for _ in range(2):
        paid(payer, "R-1")
        assert (payer.state, payer.sub.owed) == (ACTIVE, euros(0))
        unpaid(payer, "R-1")
        assert (payer.state, payer.sub.owed) == (PAST_DUE, euros(20))


def test_invoice_is_offered_where_policy_allows_it() -> None:
    world = World("2024-01-01", policy(invoice=False))
    world.start(M, CARD, off="2024-01-10")
    world.at("2024-02-10")
    (refusal,) = world.refused(Reactivate(INVOICE)).refusals
    assert refusal.code == "payment_method.invoice"
    assert world.reactivate(CARD).subscription.state == ACTIVE


def test_a_refund_of_what_was_invoiced_becomes_credit_not_money(payer: World) -> None:
    """Jan 11 to Feb 1: 21 of 31 days. What comes next uses the credit first."""
    payer.take_lines("R-1")
    payer.at("2024-01-11")
    payer.done(Cancel("now", "prorated"))
    assert (payer.sub.credit, payer.sub.refunds, payer.gateway.refunds) == (euros("13.55"), (), [])
    payer.at("2024-02-11")
    payer.reactivate(INVOICE)
    (line,) = payer.take_lines("R-2")
    assert (line.amount, payer.sub.credit) == (euros("6.45"), None)


def test_one_customer_may_pay_one_subscription_by_invoice_and_another_by_debit(payer: World) -> None:
    payer.start(M, BANK, id="other")
    assert payer.captured == [euros(20)]
    assert [line.subscription for line in payer.take_lines("R-1")] == ["sub"]


def test_recurring_billing_off_ends_the_lines(payer: World) -> None:
    payer.done(SetRecurringBilling(False))
    payer.at("2024-04-01")
    assert len(payer.take_lines("R-1")) == 1
