"""Lives that the random ones found, told again: each broke the table or a law once, and is short now."""

from __future__ import annotations

import pytest
from tests.domain.test_money_that_moves_again import charged_back, given_back, last_reference
from tests.domain.world import CARD, INVOICE, SUPPORT, M, World, day, euros, policy
from tests.engine.books import adds_up

from subscription_lifecycle import (
    ACTIVE,
    WEEKLY,
    BillingPeriod,
    Cancel,
    Disable,
    Enable,
    ForgiveArrears,
    Money,
    Pause,
    PayArrears,
    Plan,
    Refund,
    Resume,
)


def test_money_that_a_bank_kept_from_a_refund_pays_another_debt_when_it_comes_back() -> None:
    """The refund does not arrive, the bank takes the payment instead; its first period was a favour then."""
    world = World()
    world.start(M, CARD)
    reference = last_reference(world)
    world.done(Refund(reference), by=SUPPORT)
    world.subs.report_payment(reference, world.gateway.fail_refund(reference))
    charged_back(world, reference)
    assert (world.sub.arrears, world.sub.refunds) == ((), ()), "the customer has that money"
    world.declining(1)
    world.at("2024-02-02")
    assert world.sub.owed == euros(20)
    given_back(world, reference)
    assert (world.state, world.sub.arrears) == (ACTIVE, ())
    assert (world.captured, world.refunded) == ([euros(20)], [])
    adds_up(world.subs, "sub")


def test_a_debt_that_is_paid_on_resuming_buys_the_days_that_moved() -> None:
    """Taken back during the pause, paid again as it ends: what a cancellation refunds is what it would have been."""

    def paused(*, disputed: bool) -> World:
        world = World()
        world.start(M, CARD)
        reference = last_reference(world)
        world.at("2024-01-11")
        world.done(Pause())
        if disputed:
            charged_back(world, reference)
        world.at("2024-01-31")
        world.done(Resume(CARD))
        world.done(Cancel("now", "prorated"))
        assert world.sub.next_billing_date == day("2024-02-21")
        adds_up(world.subs, "sub")
        return world

    assert paused(disputed=True).refunded == paused(disputed=False).refunded == [Money(1355, "EUR")]


@pytest.mark.parametrize("when", ["while it is paused", "after it resumed"])
def test_a_debt_of_the_running_period_moves_with_it(when: str) -> None:
    """Resumed by the clock, and paid later: what a cancellation refunds is what it would have been."""

    def left(*, disputed: bool) -> World:
        world = World()
        world.start(M, CARD)
        reference = last_reference(world)
        world.at("2024-01-11")
        world.done(Pause(until=day("2024-01-31")))
        if disputed and when == "while it is paused":
            charged_back(world, reference)
        world.at("2024-01-31")
        if disputed and when == "after it resumed":
            charged_back(world, reference)
        if disputed:
            assert [debt.period for debt in world.sub.arrears] == [BillingPeriod(day("2024-01-21"), day("2024-02-21"))]
            world.done(PayArrears(CARD))
        assert (world.sub.paid_through, world.sub.next_billing_date) == (day("2024-02-21"), day("2024-02-21"))
        world.done(Cancel("now", "prorated"))
        adds_up(world.subs, "sub")
        return world

    assert left(disputed=True).refunded == left(disputed=False).refunded == [Money(1355, "EUR")]


def test_a_debt_of_a_period_that_was_over_before_the_pause_stays() -> None:
    world = World()
    world.start(M, CARD)
    reference = last_reference(world)
    world.done(Pause("period_end", until=day("2024-02-21")))
    world.at("2024-02-02")
    charged_back(world, reference)
    world.at("2024-02-21")
    assert [debt.period for debt in world.sub.arrears][:1] == [BillingPeriod(day("2024-01-01"), day("2024-02-01"))]
    adds_up(world.subs, "sub")


def test_an_invoice_that_is_unpaid_is_a_debt_once_also_where_a_pause_moved_it() -> None:
    world = World()
    world.start(M, INVOICE)
    world.take_lines("inv-1")
    world.at("2024-01-11")
    world.done(Pause(until=day("2024-01-31")))
    for when in ("2024-01-12", "2024-02-01"):
        world.at(when)
        world.subs.report_invoice("inv-1", paid=False, by=SUPPORT, idempotency_key=world.key())
        assert world.sub.owed == euros(20)
    (debt,) = world.sub.arrears
    assert debt.period == BillingPeriod(day("2024-01-21"), day("2024-02-21"))
    adds_up(world.subs, "sub")


@pytest.mark.parametrize("paused", [False, True])
def test_an_unpaid_invoice_gives_nothing_back_also_where_a_pause_moved_its_period(paused: bool) -> None:
    world = World()
    world.start(M, INVOICE)
    world.take_lines("inv-1")
    world.at("2024-01-11")
    if paused:
        world.done(Pause(until=day("2024-01-21")))
    world.at("2024-01-22")
    world.subs.report_invoice("inv-1", paid=False, by=SUPPORT, idempotency_key=world.key())
    assert world.sub.settlements == ()
    assert [debt.period.end for debt in world.sub.arrears] == [world.sub.next_billing_date]
    world.done(Cancel("now", "prorated"))
    assert (world.sub.credit, world.sub.owed) == (None, euros(20))
    adds_up(world.subs, "sub")


def test_days_that_were_paid_count_as_paid_once_an_older_debt_is_forgiven() -> None:
    """February is paid for; January, which the bank took back, is let go of. Blocked days of February become credit."""
    world = World()
    world.start(M, CARD)
    january = last_reference(world)
    world.at("2024-02-05")
    charged_back(world, january)
    assert world.sub.paid_through == day("2024-01-01")
    world.done(ForgiveArrears("our mistake"), by=SUPPORT)
    assert world.sub.paid_through == day("2024-03-01")
    world.at("2024-02-10")
    world.done(Disable(), by=SUPPORT)
    world.at("2024-03-05")
    world.done(Enable(), by=SUPPORT)
    assert world.sub.credit == Money(1379, "EUR"), "20 of 29 days"
    adds_up(world.subs, "sub")


def test_each_period_of_one_payment_is_owed_again_as_itself() -> None:
    """Periods of one length and price, the last of them still running: the older ones are no debts of its days."""
    weekly = Plan("weekly", Money.of("5.00", "EUR"), WEEKLY)
    world = World(lifecycle=policy(retry_days=60, retry_after=(50,)))
    world.start(weekly, CARD)
    world.declining(1)
    world.at("2024-01-23")
    owed = world.sub.arrears
    assert len(owed) == 3
    world.done(PayArrears(CARD))
    charged_back(world, last_reference(world))
    assert [debt.period for debt in world.sub.arrears] == [debt.period for debt in owed]
    adds_up(world.subs, "sub")
