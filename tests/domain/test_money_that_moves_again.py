"""Timelines T32 and T48, and what else happens to money after it was asked for."""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime, timedelta

import attrs
import pytest
from tests.domain.world import BANK, CARD, SUPPORT, M, World, day, euros, policy
from tests.engine.books import adds_up

from subscription_lifecycle import (
    ACTIVE,
    DISABLED,
    EXPIRED,
    NON_PAYMENT,
    PAST_DUE,
    AwaitingPayment,
    Money,
    Reactivate,
    Refund,
    Refused,
    WriteOff,
)
from subscription_lifecycle.ports import Captured, ChargebackReversed, ChargedBack, Declined, PaymentOutcome


def last_reference(world: World) -> str:
    return world.gateway.captures[-1].reference


def charged_back(world: World, reference: str) -> None:
    outcome = ChargedBack(f"dp_{reference}")
    world.gateway.report(reference, outcome)
    world.subs.report_payment(reference, outcome)


def given_back(world: World, reference: str) -> None:
    outcome = ChargebackReversed(f"dp_{reference}")
    world.gateway.report(reference, outcome)
    world.subs.report_payment(reference, outcome)


def test_t32_late_money_pays_what_is_owed() -> None:
    """The March debit is reported paid on 2 April, after service was disabled on 31 March."""
    world = World()
    world.start(M, CARD)
    world.at("2024-02-29")
    world.gateway.decline_next()
    world.at("2024-03-01")
    declined = next(entry.payment for entry in reversed(world.history) if entry.event == "declined")
    assert declined is not None
    world.declining(9)
    world.at("2024-04-02")
    assert (world.state, world.sub.cause) == (DISABLED, NON_PAYMENT)
    world.gateway.forget()
    assert world.sub.owed == euros(20)
    outcome = Captured("late", world.clock())
    world.gateway.report(declined.reference, outcome)
    result = world.subs.report_payment(declined.reference, outcome)
    assert result.subscription.state is ACTIVE
    assert result.subscription.arrears == ()
    assert world.refunded == []
    assert world.subs.report_payment(declined.reference, outcome).entries == ()
    before = len(world.captured)
    world.swept()
    assert len(world.captured) == before + 1, "then April's renewal is due"


def test_late_money_that_nobody_owes_goes_back() -> None:
    world = World()
    world.start(M, CARD)
    world.gateway.decline_next()
    world.at("2024-02-01")
    declined = next(entry.payment for entry in reversed(world.history) if entry.event == "declined")
    assert declined is not None
    world.at("2024-02-08")
    assert world.state is ACTIVE
    assert world.sub.arrears == ()
    outcome = Captured("late", world.clock())
    world.gateway.report(declined.reference, outcome)
    world.subs.report_payment(declined.reference, outcome)
    assert world.refunded == [euros(20)]


@pytest.mark.parametrize("disables", [False, True])
def test_t48_a_chargeback_is_a_debt_and_its_reversal_pays_it(disables: bool) -> None:
    world = World(lifecycle=policy(chargeback="disable" if disables else "owed"))
    world.start(M, CARD, off="2024-01-10")
    world.at("2024-02-10")
    assert world.state is EXPIRED
    world.reactivate()
    reference, then = last_reference(world), world.sub
    world.at("2024-02-20")
    charged_back(world, reference)
    charged_back(world, reference)
    assert world.sub.owed == euros(20)
    assert (world.state, world.sub.cause) == ((DISABLED, NON_PAYMENT) if disables else (PAST_DUE, None))
    given_back(world, reference)
    given_back(world, reference)
    assert (world.state, world.sub.causes, world.sub.arrears) == (ACTIVE, (), ())
    assert (world.sub.next_billing_date, world.sub.paid_through) == (then.next_billing_date, then.paid_through)
    assert world.refunded == []


def test_a_reversal_that_is_heard_of_first_undoes_the_chargeback() -> None:
    world = World()
    world.start(M, CARD)
    reference = last_reference(world)
    given_back(world, reference)
    charged_back(world, reference)
    assert (world.state, world.sub.arrears) == (ACTIVE, ())


def test_a_reversal_after_the_debt_was_paid_again_goes_back() -> None:
    world = World()
    world.start(M, CARD)
    reference = last_reference(world)
    charged_back(world, reference)
    world.subs.pay_arrears("sub", payment_method=CARD, by=SUPPORT, idempotency_key="again")
    given_back(world, reference)
    assert world.refunded == [euros(20)]
    assert world.state is ACTIVE


@pytest.mark.parametrize("came", [Money(7, "EUR"), Money(2000, "USD")])
def test_another_amount_or_currency_is_parked_and_never_accepted(came: Money) -> None:
    world = World()
    world.start(M, CARD, off="2024-01-10")
    world.at("2024-02-10")
    world.gateway.take_next(came)
    result = world.waits(Reactivate(CARD))
    assert (result.why, result.payment.status, result.payment.captured) == ("mismatched", "mismatched", came)
    assert world.state is EXPIRED
    for _ in range(2):
        world.clock.set(world.clock() + timedelta(days=40))
        assert world.swept().mismatched == ("sub",)
    assert world.state is EXPIRED, "the clock waits until somebody has looked at it"
    right = Captured("set right", world.clock(), euros(20))
    done = world.subs.report_payment(result.payment.reference, right)
    assert not isinstance(done, AwaitingPayment)
    assert done.subscription.state is ACTIVE


def test_support_refunds_a_payment_once_and_not_more_than_was_paid() -> None:
    world = World()
    world.start(M, CARD)
    reference = last_reference(world)
    (too_much,) = world.refused(Refund(reference, euros(21)), by=SUPPORT).refusals
    assert too_much.code == "refund.amount"
    (unknown,) = world.refused(Refund("pay_other"), by=SUPPORT).refusals
    assert unknown.code == "refund.payment"
    assert "role.support" in [no.code for no in world.refused(Refund(reference)).refusals]
    before = world.sub
    world.done(Refund(reference, euros(5), "sorry"), by=SUPPORT)
    assert world.refunded == [euros(5)]
    assert (world.state, world.sub.next_billing_date) == (ACTIVE, before.next_billing_date)
    with pytest.raises(Refused):
        world.do(Refund(reference), by=SUPPORT)
    assert world.refunded == [euros(5)]


def test_a_refund_that_does_not_arrive_is_made_again() -> None:
    world = World()
    world.start(M, CARD)
    reference = last_reference(world)
    world.done(Refund(reference), by=SUPPORT)
    failure = world.gateway.fail_refund(reference)
    for _ in range(2):
        world.subs.report_payment(reference, failure)
    (due,) = world.sub.refunds
    assert (due.amount, due.failed) == (euros(20), "failed")
    world.swept()
    assert world.sub.refunds == ()
    assert world.refunded == [euros(20)]


def test_writing_off_gives_up_the_debt_and_ends_service() -> None:
    world = World()
    world.start(M, CARD)
    world.declining(9)
    world.at("2024-02-03")
    assert world.state is PAST_DUE
    world.done(WriteOff("uncollectable"), by=SUPPORT)
    assert (world.state, world.sub.cause, world.sub.arrears) == (DISABLED, NON_PAYMENT, ())
    assert world.history[-1].forgiven


def test_a_submitted_debit_that_nobody_reports_is_asked_for() -> None:
    world = World()
    world.start(M, CARD, off="2024-01-10")
    world.at("2024-02-10")
    world.gateway.process_next()
    world.reactivate(BANK)
    (debit,) = world.sub.submitted
    assert debit.ask_on == date(2024, 2, 24)
    world.gateway.ledger[debit.reference] = Captured("ch", world.clock())
    world.at("2024-02-23")
    assert world.sub.submitted == (debit,)
    world.at("2024-02-25")
    assert world.sub.submitted == ()
    assert [entry.event for entry in world.history if entry.event == "settled"] == ["settled"]


def test_a_debt_made_while_a_reactivation_waits_is_collected_like_others() -> None:
    world = World()
    world.start(M, CARD, off="2024-01-10")
    first = last_reference(world)
    world.at("2024-02-10")
    world.gateway.require_action_next()
    waiting = world.waits(Reactivate(CARD))
    charged_back(world, first)
    outcome = Captured("ch", world.clock())
    world.gateway.report(waiting.payment.reference, outcome)
    world.subs.report_payment(waiting.payment.reference, outcome)
    assert (world.state, world.sub.owed) == (PAST_DUE, euros(20))
    assert world.sub.until is not None
    assert world.sub.next_billing_date == day("2024-03-01")


def told(world: World, reference: str, *outcomes: PaymentOutcome) -> None:
    for outcome in outcomes:
        world.gateway.report(reference, outcome)
        world.subs.report_payment(reference, outcome)


def submitted_debit() -> tuple[World, str]:
    """Service runs from 10 February on a debit that is under way."""
    world = World()
    world.start(M, CARD, off="2024-01-10")
    world.at("2024-02-10")
    world.gateway.process_next()
    world.reactivate(BANK)
    (debit,) = world.sub.submitted
    return world, debit.reference


FAILED = Declined("insufficient_funds")
CAME = Captured("ch", datetime(2024, 2, 12, tzinfo=UTC))


@pytest.mark.parametrize("outcomes", [[FAILED, CAME], [FAILED, CAME, CAME], [FAILED, CAME, FAILED], [CAME, FAILED]])
def test_a_debit_that_comes_after_it_failed_pays_its_debt(outcomes: list[PaymentOutcome]) -> None:
    world, reference = submitted_debit()
    running = world.sub
    told(world, reference, *outcomes)
    assert (world.state, world.sub.arrears, world.sub.submitted) == (ACTIVE, (), ())
    assert (world.sub.next_billing_date, world.sub.paid_through) == (running.next_billing_date, running.paid_through)
    assert world.refunded == []
    adds_up(world.subs, "sub")


def test_a_debit_that_failed_is_a_debt_until_it_comes() -> None:
    world, reference = submitted_debit()
    told(world, reference, FAILED)
    assert (world.state, world.sub.owed) == (PAST_DUE, euros(20))


def test_a_debit_that_comes_when_its_debt_was_paid_goes_back() -> None:
    world, reference = submitted_debit()
    told(world, reference, FAILED)
    world.subs.pay_arrears("sub", payment_method=CARD, by=SUPPORT, idempotency_key="again")
    told(world, reference, CAME, CAME)
    assert world.refunded == [euros(20)]
    adds_up(world.subs, "sub")


@pytest.mark.parametrize(("came", "owed", "back"), [(25, 0, [5]), (15, 20, [15])])
def test_a_debit_that_comes_as_another_amount_pays_whole_debts(came: int, owed: int, back: list[int]) -> None:
    world, reference = submitted_debit()
    world.subs.report_payment(reference, FAILED)
    outcome = attrs.evolve(CAME, amount=euros(came))
    world.gateway.report(reference, outcome)
    world.gateway.captures[-1] = attrs.evolve(world.gateway.captures[-1], amount=euros(came))
    world.subs.report_payment(reference, outcome)
    assert world.sub.owed == euros(owed)
    assert world.refunded == [euros(each) for each in back]
    adds_up(world.subs, "sub")


TAKEN, UNDONE = ChargedBack("dp_1"), ChargebackReversed("dp_1")
TAKEN_AGAIN, UNDONE_AGAIN = ChargedBack("dp_2"), ChargebackReversed("dp_2")


def test_a_debit_that_failed_and_was_charged_back_is_one_debt() -> None:
    """It came between, which nobody had told."""
    world, reference = submitted_debit()
    told(world, reference, FAILED)
    world.subs.report_payment(reference, TAKEN)
    world.gateway.report(reference, CAME)
    world.subs.report_payment(reference, CAME)
    assert world.sub.owed == euros(20)
    told(world, reference, UNDONE)
    assert (world.state, world.sub.arrears, world.refunded) == (ACTIVE, (), [])
    adds_up(world.subs, "sub")


ORDERS = [*itertools.permutations([CAME, TAKEN, UNDONE]), (TAKEN, UNDONE), (UNDONE, TAKEN)]


@pytest.mark.parametrize("outcomes", ORDERS)
@pytest.mark.parametrize("how", ["open", "submitted", "declined"])
def test_a_chargeback_and_its_end_are_heard_in_any_order(how: str, outcomes: tuple[PaymentOutcome, ...]) -> None:
    """Of a payment that is open, of a debit that service runs on, and of what was taken for declined: it is here."""
    world = World()
    world.start(M, CARD, off="2024-01-10")
    world.at("2024-02-10")
    world.gateway.process_next()
    world.reactivate(BANK) if how == "submitted" else world.waits(Reactivate(CARD))
    reference = world.gateway.requests[-1].reference
    if how == "declined":
        world.subs.report_payment(reference, FAILED)
    world.gateway.report(reference, CAME)
    for outcome in (*outcomes, *outcomes):
        world.subs.report_payment(reference, outcome)
    world.gateway.report(reference, UNDONE)
    world.swept()
    assert (world.sub.arrears, world.sub.submitted) == ((), ())
    kept = world.refunded == []
    assert world.state is (ACTIVE if kept else EXPIRED)
    assert kept or how == "declined" or outcomes[0] == TAKEN
    adds_up(world.subs, "sub")


def test_a_second_dispute_of_a_payment_is_another() -> None:
    world = World()
    world.start(M, CARD)
    reference = last_reference(world)
    told(world, reference, TAKEN, UNDONE)
    assert world.state is ACTIVE
    told(world, reference, TAKEN_AGAIN, TAKEN_AGAIN, TAKEN, UNDONE)
    world.gateway.report(reference, TAKEN_AGAIN)
    assert (world.state, world.sub.owed) == (PAST_DUE, euros(20))
    told(world, reference, UNDONE_AGAIN)
    assert (world.state, world.sub.arrears, world.refunded) == (ACTIVE, (), [])
    adds_up(world.subs, "sub")


def test_two_disputes_at_once_are_one_debt_until_both_are_undone() -> None:
    world = World()
    world.start(M, CARD)
    reference = last_reference(world)
    told(world, reference, TAKEN, TAKEN_AGAIN)
    assert world.sub.owed == euros(20)
    world.subs.report_payment(reference, UNDONE)
    world.subs.report_payment(reference, CAME)
    assert world.sub.owed == euros(20)
    told(world, reference, UNDONE_AGAIN)
    assert (world.state, world.sub.arrears, world.refunded) == (ACTIVE, (), [])
    adds_up(world.subs, "sub")


@pytest.mark.parametrize("outcomes", [[UNDONE, TAKEN], [UNDONE, TAKEN, UNDONE, TAKEN, TAKEN]])
def test_a_wrong_sum_that_the_bank_gave_back_still_waits_for_an_operator(outcomes: list[PaymentOutcome]) -> None:
    world = World()
    world.start(M, CARD, off="2024-01-10")
    world.at("2024-02-10")
    world.gateway.take_next(euros(7))
    reference = world.waits(Reactivate(CARD)).payment.reference
    for outcome in outcomes:
        assert isinstance(world.subs.report_payment(reference, outcome), AwaitingPayment)
    world.gateway.report(reference, UNDONE)
    world.swept()
    version = world.sub.version
    world.at("2024-02-11")
    world.swept()
    assert world.sub.version == version, "what is known is not written again"
    world.subs.report_payment(reference, Captured("set right", world.clock(), euros(20)))
    assert world.state is ACTIVE
