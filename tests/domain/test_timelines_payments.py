"""Timelines T26–T30, T34, T46: invoices, debits that take days, and banks that ask the customer."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.domain.world import BANK, CARD, INVOICE, SUPPORT, M, MakeWorld, World, day, euros, instant, policy

from subscription_lifecycle import (
    ACTIVE,
    DELETED,
    DISABLED,
    EXPIRED,
    NON_PAYMENT,
    PAST_DUE,
    PROVIDER,
    SCHEDULED,
    Applied,
    AwaitingPayment,
    BillingPeriod,
    Disable,
    Enable,
    PaymentDeclined,
    Reactivate,
)
from subscription_lifecycle.ports import Captured, Declined


def april() -> BillingPeriod:
    return BillingPeriod(day("2024-04-01"), day("2024-05-01"))


def test_t26_the_extension_is_on_the_next_invoice_alone(world: World) -> None:
    world.start(M, INVOICE, off="2024-03-10")
    world.at("2024-04-20")
    assert len(world.take_lines("until-march")) == 3
    with world.new_captures():
        result = world.reactivate(INVOICE)
    assert (result.subscription.state, result.payment) == (ACTIVE, None)
    assert result.subscription.next_billing_date == day("2024-05-01")
    (line,) = world.take_lines("april")
    assert (line.amount, line.period, line.subscription, line.invoice) == (euros(20), april(), "sub", "april")
    assert world.take_lines("may") == []


def test_t27_arrears_are_not_payable_by_invoice(world: World) -> None:
    world.start(M, CARD)
    world.unpaid("2024-03-01", "2024-03-31")
    assert (world.state, world.sub.cause, world.sub.owed) == (DISABLED, NON_PAYMENT, euros(20))
    (refusal,) = world.refused(Reactivate(INVOICE)).refusals
    assert refusal.code == "arrears.by_invoice"
    assert "20.00 EUR" in refusal.remedy


def test_t28_an_unpaid_invoice_is_paid_not_invoiced_again(world: World) -> None:
    """Assumed: reported unpaid on 31 March, so service stops thirty days later; April is on the next invoice then."""
    world.start(M, INVOICE)
    world.at("2024-02-29")
    assert len(world.take_lines("R-6")) == 2
    world.at("2024-03-31")
    (line,) = world.take_lines("R-7")
    assert line.period == (march := BillingPeriod(day("2024-03-01"), day("2024-04-01")))
    world.subs.report_invoice("R-7", paid=False, by=SUPPORT, idempotency_key="overdue")
    assert (world.state, world.sub.owed) == (PAST_DUE, euros(20))
    world.at("2024-04-30")
    assert (world.state, world.sub.cause) == (DISABLED, NON_PAYMENT)
    (refusal,) = world.refused(Reactivate(INVOICE)).refusals
    assert refusal.code == "arrears.by_invoice"
    assert "R-7" in refusal.remedy
    with world.new_captures("20.00"):
        after = world.reactivate(CARD).subscription
    assert (after.state, after.arrears, after.next_billing_date) == (ACTIVE, (), day("2024-05-01"))
    (line,) = world.take_lines("R-8")
    assert line.period == BillingPeriod(day("2024-04-01"), day("2024-05-01"))
    lines = [line for entry in world.history for line in entry.invoice_lines]
    assert [line.period for line in lines].count(march) == 1


def test_t29_a_debit_brings_service_back_when_it_is_submitted(world: World) -> None:
    world.start(M, BANK, off="2024-03-10")
    world.at("2024-04-29")
    world.gateway.process_next()
    result = world.reactivate(BANK)
    assert (result.subscription.state, result.subscription.next_billing_date) == (ACTIVE, day("2024-05-01"))
    assert result.payment is not None
    assert result.payment.status == "submitted"
    world.jump("2024-04-30")
    failed = world.subs.report_payment(result.payment.reference, Declined("no_funds"))
    assert (failed.subscription.state, failed.subscription.owed) == (PAST_DUE, euros(20))
    assert [debt.period for debt in failed.subscription.arrears] == [april()]


def test_t29_under_a_policy_that_waits_the_clock_is_held(make_world: MakeWorld) -> None:
    world = make_world("2024-01-01", policy(activates_on={"bank_account": "captured"}))
    world.start(M, BANK, off="2024-03-10")
    world.at("2024-04-29")
    world.gateway.process_next()
    waiting = world.waits(Reactivate(BANK))
    assert (waiting.why, waiting.subscription.state) == ("processing", EXPIRED)
    world.at("2024-05-04")
    assert (world.state, world.sub.until) == (EXPIRED, day("2024-05-01"))
    result = world.subs.report_payment(waiting.payment.reference, Captured("ch_1", world.clock()))
    assert result.entries[-1].terms == waiting.entries[0].terms
    assert (result.subscription.state, result.subscription.next_billing_date) == (ACTIVE, day("2024-05-01"))
    world.swept()
    assert (world.state, world.sub.since) == (EXPIRED, instant("2024-05-01"))


def test_t30_money_for_a_blocked_reactivation_goes_back(world: World) -> None:
    world.start(M, off="2024-03-10")
    world.at("2024-04-20")
    world.gateway.process_next()
    waiting = world.waits(Reactivate(CARD))
    world.at("2024-04-20T12:00")
    world.done(Disable(PROVIDER), by=SUPPORT)
    world.capture_arrives(waiting.payment.reference)
    late = world.subs.report_payment(waiting.payment.reference, Captured("ch_late", world.clock()))
    assert late.subscription.state == DISABLED
    assert world.refunded == [euros(20)]
    assert [entry.event for entry in late.entries] == ["late", "refunded"]
    world.at("2024-04-21")
    lifted = world.done(Enable(), by=SUPPORT).subscription
    assert (lifted.state, lifted.until, lifted.arrears) == (EXPIRED, day("2024-05-01"), ())


def test_t34_the_attempt_holds_the_clock_and_its_decision_is_pinned(world: World) -> None:
    world.start(M, off="2024-03-10")
    world.at("2024-04-30T23:50")
    world.gateway.require_action_next()
    waiting = world.waits(Reactivate(CARD))
    assert waiting.why == "customer_action"
    world.jump("2024-05-01T00:05")
    assert (world.swept().awaiting, world.state) == (("sub",), EXPIRED)
    world.capture_arrives(waiting.payment.reference)
    result = world.subs.report_payment(waiting.payment.reference, Captured("ch_1", world.clock()))
    assert (result.subscription.state, result.subscription.next_billing_date) == (ACTIVE, day("2024-05-01"))
    assert world.captured[-1] == euros(20)
    world.swept()
    assert (world.state, world.sub.since) == (EXPIRED, instant("2024-05-01"))


def test_t46_a_first_payment_that_is_declined(world: World) -> None:
    world.gateway.decline_next()
    with pytest.raises(PaymentDeclined):
        world.start(M)
    assert world.state == DELETED
    assert [entry.event for entry in world.history] == ["attempted", "declined"]
    assert world.captured == []


def test_t46_a_first_payment_that_is_never_finished(world: World) -> None:
    """The policy gives a card one day."""
    world.gateway.require_action_next()
    waiting = world.start(M)
    assert isinstance(waiting, AwaitingPayment)
    assert (waiting.why, waiting.subscription.state) == ("customer_action", SCHEDULED)
    world.at("2024-01-01T23:59")
    assert world.state == SCHEDULED
    world.clock.advance(minutes=1)
    world.swept()
    assert world.state == DELETED
    assert world.history[-1].event == "abandoned"
    late = world.subs.report_payment(waiting.payment.reference, Declined("expired"))
    assert isinstance(late, Applied)
    assert (world.state, world.captured) == (DELETED, [])


def test_t46_finished_in_time(world: World) -> None:
    world.gateway.require_action_next()
    waiting = world.start(M)
    assert isinstance(waiting, AwaitingPayment)
    world.clock.advance(hours=3)
    world.capture_arrives(waiting.payment.reference)
    world.swept()
    assert (world.state, world.sub.next_billing_date, world.captured) == (ACTIVE, day("2024-02-01"), [euros(20)])
    assert world.history[-1].effective_at == world.clock() - timedelta(hours=3)
