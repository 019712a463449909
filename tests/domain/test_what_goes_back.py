"""What is paid for and not served goes back whole, also where a bank, an invoice or late money came between."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from tests.domain.test_money_that_moves_again import charged_back, given_back, last_reference
from tests.domain.world import CARD, INVOICE, SUPPORT, M, World, day, euros, policy
from tests.domain.world import Refund as RefundAsked
from tests.engine.books import adds_up

from subscription_lifecycle import (
    ACTIVE,
    PAST_DUE,
    BillingPeriod,
    Cancel,
    ChangePaymentMethod,
    Correct,
    Disable,
    Enable,
    Money,
    Pause,
    PayArrears,
    Reactivate,
    Refund,
    Resume,
)
from subscription_lifecycle.ports import Captured
from subscription_lifecycle.testing import laws
from subscription_lifecycle.testing.step import whole_life

FEBRUARY = BillingPeriod(day("2024-02-01"), day("2024-03-01"))


def nothing_is_kept(world: World) -> None:
    adds_up(world.subs, "sub")
    laws.unserved_days_come_back(whole_life(world.subs, "sub"))


def paid_with_credit() -> tuple[World, str]:
    """February, with 5.00 of credit and 15.00 by card."""
    world = World()
    world.start(M, CARD)
    world.done(Correct(credit=euros(5)), by=SUPPORT)
    world.at("2024-02-01")
    return world, last_reference(world)


def test_what_is_bought_while_a_bank_takes_an_older_payment_back_stays_bought() -> None:
    world = World()
    world.start(M, CARD, off="2024-01-10")
    january = last_reference(world)
    world.at("2024-02-10")
    world.gateway.require_action_next()
    waiting = world.waits(Reactivate(CARD))
    charged_back(world, january)
    world.capture_arrives(waiting.payment.reference)
    world.subs.report_payment(waiting.payment.reference, Captured("ch", world.clock()))
    assert (world.state, world.sub.owed) == (PAST_DUE, euros(20))
    assert [paid.reference for paid in world.sub.settlements] == [waiting.payment.reference]
    world.done(Cancel("now", "prorated"))
    assert world.refunded == [Money(1379, "EUR")], "20 of 29 days"
    nothing_is_kept(world)


def test_what_falls_due_waits_for_an_open_payment_also_where_a_bank_takes_back_another() -> None:
    """Both February, for which the payment is open, and March would be owed; and February once more when it ends."""
    world = World()
    world.start(M, CARD)
    january = last_reference(world)
    world.gateway.take_next(euros(7))
    world.at("2024-02-01")
    world.clock.set("2024-03-05T09:00Z")
    charged_back(world, january)
    assert [debt.period.start for debt in world.sub.arrears] == [day("2024-01-01")]
    reference = world.gateway.requests[-1].reference
    world.subs.report_payment(reference, Captured("set right", world.clock(), euros(20)))
    world.gateway.captures[-1] = attrs.evolve(world.gateway.captures[-1], amount=euros(20))
    periods = [entry.billed for entry in world.history if entry.billed is not None]
    assert len(set(periods)) == len(periods)
    laws.periods_tile(whole_life(world.subs, "sub"))
    nothing_is_kept(world)


def test_blocked_days_become_credit_while_an_older_debt_stands() -> None:
    world = World()
    world.start(M, CARD)
    january = last_reference(world)
    world.at("2024-02-10")
    world.done(Disable(), by=SUPPORT)
    charged_back(world, january)
    world.at("2024-03-05")
    lifted = world.done(Enable(), by=SUPPORT).subscription
    assert (lifted.owed, lifted.credit) == (euros(20), Money(1379, "EUR"))
    nothing_is_kept(world)


@pytest.mark.parametrize(("amount", "left"), [(None, euros(5)), (euros(2), euros(18))])
def test_a_payment_that_support_gave_back_leaves_what_credit_paid(amount: Money | None, left: Money) -> None:
    world, february = paid_with_credit()
    world.done(Refund(february, amount), by=SUPPORT)
    world.done(Cancel("now", "prorated"))
    assert (world.refunded, world.sub.credit) == ([amount or euros(15)], left)
    nothing_is_kept(world)


@pytest.mark.parametrize(("refund", "left"), [("prorated", euros("12.19")), ("full", euros(18)), ("none", None)])
def test_a_favour_counts_once(refund: RefundAsked, left: Money | None) -> None:
    """Of 13.55 for 21 days come back between 11.55 and 13.55, and of the whole period all but the gift: as credit, the
    payment was refunded once."""
    world = World()
    world.start(M, CARD)
    world.done(Refund(last_reference(world), euros(2)), by=SUPPORT)
    world.at("2024-01-11")
    world.done(Cancel("now", refund), by=SUPPORT)
    assert (world.refunded, world.sub.credit) == ([euros(2)], left)
    nothing_is_kept(world)


def test_a_favour_takes_no_more_than_itself_of_the_days_of_a_pause() -> None:
    world = World(lifecycle=policy(resume="keep", pause_credit=True))
    world.start(M, CARD)
    world.done(Refund(last_reference(world), euros(2)), by=SUPPORT)
    world.at("2024-01-11")
    world.done(Pause())
    world.at("2024-01-21")
    world.done(Resume(CARD))
    assert world.sub.credit == euros("5.81"), "10/31 of 18.00"
    nothing_is_kept(world)


def test_days_that_a_favour_and_a_cancellation_gave_back_cost_what_they_brought() -> None:
    world = World()
    world.start(M, CARD)
    world.done(Refund(last_reference(world), euros(2)), by=SUPPORT)
    world.at("2024-01-11")
    world.done(Cancel("now", "prorated"))
    with world.new_captures():
        world.reactivate(CARD)
    assert (world.sub.credit, world.sub.paid_through) == (None, day("2024-02-01"))
    world.done(Cancel("now", "prorated"), by=SUPPORT)
    assert world.sub.credit == euros("12.19")
    nothing_is_kept(world)


def test_a_favour_of_a_payment_that_a_bank_takes_back_is_owed_and_buys_nothing() -> None:
    """Paid again, the days bring what they would have brought without the bank."""
    world = World()
    world.start(M, CARD)
    january = last_reference(world)
    world.done(Refund(january, euros(15)), by=SUPPORT)
    charged_back(world, january)
    assert [(debt.amount, debt.buys) for debt in world.sub.arrears] == [(euros(5), "period"), (euros(15), "nothing")]
    world.done(PayArrears(CARD))
    world.at("2024-01-11")
    world.done(Cancel("now", "prorated"))
    assert (world.refunded, world.sub.credit) == ([euros(15), euros("3.39")], None), "21/31 of 5.00"
    nothing_is_kept(world)


@pytest.mark.parametrize("credited", [False, True])
def test_a_pause_ends_where_the_date_was_corrected_meanwhile(credited: bool) -> None:
    """The period that was paid for is over, and no date has passed."""
    world = World(lifecycle=policy(resume="keep", pause_credit=credited))
    world.start(M, CARD)
    world.at("2024-01-10")
    world.done(Pause())
    world.done(Correct(next_billing_date=day("2024-03-01")), by=SUPPORT)
    world.at("2024-02-15")
    world.done(Resume(CARD))
    assert (world.state, world.sub.credit) == (ACTIVE, Money(1419, "EUR") if credited else None)
    nothing_is_kept(world)


def test_money_that_comes_back_when_a_blocked_period_is_over_has_paid_for_it() -> None:
    world, february = paid_with_credit()
    world.at("2024-02-05")
    world.done(Disable(), by=SUPPORT)
    charged_back(world, february)
    world.at("2024-03-05")
    given_back(world, february)
    lifted = world.done(Enable(), by=SUPPORT).subscription
    assert lifted.credit == Money(1724, "EUR"), "25 of 29 days, whatever they were paid with"
    nothing_is_kept(world)


def test_an_invoice_that_is_paid_when_a_blocked_period_is_over_has_paid_for_it() -> None:
    world = World()
    world.start(M, CARD)
    world.done(ChangePaymentMethod(INVOICE))
    world.done(Correct(credit=euros(5)), by=SUPPORT)
    world.at("2024-02-01")
    world.take_lines("inv-1")
    world.at("2024-02-05")
    world.done(Disable(), by=SUPPORT)
    world.subs.report_invoice("inv-1", paid=False, by=SUPPORT, idempotency_key="unpaid")
    world.at("2024-03-05")
    world.subs.report_invoice("inv-1", paid=True, by=SUPPORT, idempotency_key="paid")
    assert world.done(Enable(), by=SUPPORT).subscription.credit == Money(1724, "EUR")
    nothing_is_kept(world)


def test_late_money_that_left_a_rest_pays_for_nothing_once_a_bank_has_taken_it() -> None:
    """25.00 came for the 20.00 that were declined; its rest went back, and then the bank took it. Paid again by card,
    that is what a cancellation gives back, and no credit beside it."""
    world = World()
    world.start(M, CARD)
    world.declining(1)
    world.at("2024-02-01")
    declined = world.gateway.requests[-1].reference
    late = Captured("late", world.clock(), euros(25))
    world.gateway.report(declined, late)
    world.gateway.captures[-1] = attrs.evolve(world.gateway.captures[-1], amount=euros(25))
    world.subs.report_payment(declined, late)
    assert [(paid.period, paid.refundable) for paid in world.sub.settlements] == [(FEBRUARY, False)]
    charged_back(world, declined)
    world.done(PayArrears(CARD))
    world.done(Cancel("now", "prorated"))
    assert (world.refunded, world.sub.credit) == ([euros(5), euros(20)], None)
    nothing_is_kept(world)


def test_what_late_money_that_left_a_rest_has_paid_goes_back_as_credit() -> None:
    world = World()
    world.start(M, CARD)
    world.declining(1)
    world.at("2024-02-01")
    declined = world.gateway.requests[-1].reference
    late = Captured("late", world.clock(), euros(25))
    world.gateway.report(declined, late)
    world.gateway.captures[-1] = attrs.evolve(world.gateway.captures[-1], amount=euros(25))
    world.subs.report_payment(declined, late)
    world.done(Cancel("now", "prorated"))
    assert (world.refunded, world.sub.credit) == ([euros(5)], euros(20))
    nothing_is_kept(world)


def test_a_pause_that_was_over_when_service_came_back_moves_the_date_and_what_was_paid() -> None:
    """Cancelled an hour before its last day, and back an hour after: it resumes at once."""
    world = World()
    world.start(M, CARD)
    world.at("2024-01-10")
    world.done(Pause(until=day("2024-01-20")))
    world.at("2024-01-19T23:00")
    world.done(Cancel("now", "none"))
    world.at("2024-01-20T01:00")
    assert world.reactivate().subscription.next_billing_date == day("2024-02-11")
    world.done(Cancel("now", "prorated"))
    assert world.refunded == [Money(1419, "EUR")], "22 of 31 days"
    laws.dates_are_scheduled(whole_life(world.subs, "sub"))
    nothing_is_kept(world)


@pytest.mark.parametrize("refund", ["prorated", "full"])
@pytest.mark.parametrize("when", ["before", "with", "after"])
def test_days_that_went_back_do_not_go_back_with_a_debt_that_was_left_of_them(refund: str, when: str) -> None:
    """Cancelled, charged back, and the debt is paid before, with or after what buys the days again."""
    rules = policy(arrears="keep" if when == "after" else "collect", full_refund_days=30)
    world = World("2024-01-01", rules)
    world.start(M, CARD)
    payment = last_reference(world)
    world.at("2024-01-11")
    world.done(Cancel("now", refund), by=SUPPORT)
    [first] = world.refunded
    charged_back(world, payment)
    assert world.sub.owed == euros(20)
    if when == "before":
        world.done(PayArrears(CARD))
    world.reactivate()
    if when == "after":
        world.done(PayArrears(CARD))
    days_left = Money(1355, "EUR")
    assert first == (days_left if refund == "prorated" else euros(20))
    assert (world.state, world.sub.arrears) == (ACTIVE, ())
    taken = sum((capture.amount for capture in world.gateway.captures), Money.zero("EUR"))
    assert taken == euros(40) + days_left, "what the bank took again, and the days to come"
    world.done(Cancel("now", "prorated"), by=SUPPORT)
    back = sum(world.refunded[1:], Money.zero("EUR")) + (world.sub.credit or Money.zero("EUR"))
    assert back == days_left
    nothing_is_kept(world)


def test_days_that_went_back_do_not_go_back_with_an_invoice_that_was_paid_late() -> None:
    world = World()
    world.start(M, INVOICE)
    world.subs.take_invoice_lines(customer="contoso", invoice="inv-1")
    world.at("2024-01-11")
    world.done(Cancel("now", "prorated"))
    days_left = Money(1355, "EUR")
    assert world.sub.credit == days_left
    world.subs.report_invoice("inv-1", paid=False, by=SUPPORT, idempotency_key="unpaid")
    world.subs.report_invoice("inv-1", paid=True, by=SUPPORT, idempotency_key="paid")
    world.reactivate()
    assert (world.state, world.sub.credit) == (ACTIVE, None)
    world.done(Cancel("now", "prorated"), by=SUPPORT)
    assert (world.sub.credit, world.refunded) == (days_left, [])
    nothing_is_kept(world)


@pytest.mark.parametrize("refund", ["full", "prorated"])
@pytest.mark.parametrize("favour", [None, euros(2)])
def test_a_full_refund_after_a_pause_gives_the_rest_of_the_period_back(
    refund: RefundAsked, favour: Money | None
) -> None:
    """Ten days of January were credit already; a favour is no part of what is left."""
    world = World(lifecycle=policy(resume="keep", pause_credit=True))
    world.start(M, CARD)
    if favour:
        world.done(Refund(last_reference(world), favour), by=SUPPORT)
    world.at("2024-01-11")
    world.done(Pause())
    world.at("2024-01-21")
    world.done(Resume(CARD))
    world.at("2024-01-25")
    world.done(Cancel("now", refund), by=SUPPORT)
    back = (world.sub.credit or euros(0)) + sum(world.refunded, euros(0))
    days = {"full": "20.00", "prorated": "10.97"}[refund]
    assert back == euros(days) if favour is None or refund == "full" else euros(days) <= back <= euros("12.97")
    nothing_is_kept(world)


def test_days_that_became_credit_are_not_bought_again_with_the_debt_for_them() -> None:
    world = World(lifecycle=policy(resume="keep", pause_credit=True))
    world.start(M, CARD)
    january = last_reference(world)
    world.at("2024-01-11")
    world.done(Pause())
    world.at("2024-01-21")
    world.done(Resume(CARD))
    charged_back(world, january)
    assert [(debt.amount, debt.buys) for debt in world.sub.arrears] == [
        (euros("6.45"), "nothing"),
        (euros("13.55"), "period"),
    ]
    world.done(PayArrears(CARD))
    world.done(Cancel("now", "full"), by=SUPPORT)
    # The credit of 6.45 paid a part of the debt.
    assert (world.refunded, world.sub.credit) == ([euros("13.55")], None)
    nothing_is_kept(world)


@pytest.mark.parametrize("rule", ["keep", "restart"])
@pytest.mark.parametrize("when", ["2024-01-21", "2024-02-11"])
@pytest.mark.parametrize("credit", [None, euros(3)])
def test_a_debt_that_a_resume_collects_counts_as_paid_before_it(rule: Any, when: str, credit: Money | None) -> None:
    ends = []
    for before in (True, False):
        world = World(lifecycle=policy(resume=rule, pause_credit=True))
        world.start(M, CARD)
        january = last_reference(world)
        world.at("2024-01-11")
        world.done(Pause())
        charged_back(world, january)
        if credit is not None:
            world.done(Correct(credit=credit), by=SUPPORT)
        world.at(when)
        if before:
            world.done(PayArrears(CARD))
        world.done(Resume(CARD))
        taken = sum((capture.amount for capture in world.gateway.captures), euros(0))
        nothing_is_kept(world)
        resumed = (taken, world.sub.credit, world.sub.paid_through, world.sub.next_billing_date)
        world.done(Cancel("now", "full"), by=SUPPORT)
        nothing_is_kept(world)
        ends.append((resumed, sum(world.refunded, world.sub.credit or euros(0))))
    assert ends[0] == ends[1]
