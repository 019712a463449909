"""No day is given back twice, and no credit comes of money that nobody paid."""

from __future__ import annotations

import pytest
from tests.domain.test_money_that_moves_again import charged_back, given_back, last_reference
from tests.domain.world import CARD, INVOICE, SUPPORT, A, M, World, day, euros, policy
from tests.engine.books import adds_up

from subscription_lifecycle import (
    ACTIVE,
    Cancel,
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
from subscription_lifecycle.ports import Captured, ChargedBack
from subscription_lifecycle.testing import laws
from subscription_lifecycle.testing.step import whole_life

DAYS_LEFT = Money(1355, "EUR")
"""21 of the 31 days of January."""


def kept(world: World) -> Money:
    """What the seller has of it in the end, less what is still the customer's."""
    adds_up(world.subs, "sub")
    laws.unserved_days_come_back(whole_life(world.subs, "sub"))
    zero = Money.zero("EUR")
    ledger = world.gateway.ledger
    taken = [each.amount for each in world.gateway.captures if not isinstance(ledger.get(each.reference), ChargedBack)]
    back = sum(world.refunded, zero) + (world.sub.credit or zero)
    return sum(taken, zero) - back


def bought_again() -> tuple[World, str, str]:
    """January is paid, refunded on the 11th, and its days to come are bought again."""
    world = World()
    world.start(M, CARD)
    first = last_reference(world)
    world.at("2024-01-11")
    world.done(Cancel("now", "prorated"))
    world.reactivate()
    return world, first, last_reference(world)


@pytest.mark.parametrize("refund", ["prorated", "full"])
def test_what_is_not_begun_and_not_paid_gives_nothing_back(refund: str) -> None:
    world = World()
    world.start(M, CARD, start_on=day("2024-03-01"))
    world.done(Cancel("now", refund), by=SUPPORT)
    assert (world.captured, world.refunded, world.sub.credit) == ([], [], None)
    world.reactivate()
    assert (world.captured, world.sub.settlements) == ([], ())


@pytest.mark.parametrize(("first", "between"), [(0, False), (1, False), (0, True), (1, True)])
def test_days_that_were_bought_again_go_back_once_whichever_payment_is_taken_back(first: int, between: bool) -> None:
    world, *payments = bought_again()
    charged_back(world, payments[first])
    if between:
        world.done(PayArrears(CARD))
    charged_back(world, payments[1 - first])
    world.done(PayArrears(CARD))
    assert (world.state, world.sub.paid_through) == (ACTIVE, day("2024-02-01"))
    assert [no.code for no in world.refused(Cancel("now", "prorated")).refusals] == ["refund.again"]
    world.done(Cancel("now", "prorated"), by=SUPPORT)
    assert world.refunded[1:] == [DAYS_LEFT]
    assert kept(world) == euros(20) - DAYS_LEFT


def test_of_days_that_were_bought_again_the_older_price_that_comes_late_buys_none() -> None:
    world, first, second = bought_again()
    charged_back(world, first)
    charged_back(world, second)
    given_back(world, first)
    assert (world.sub.owed, world.sub.paid_through) == (DAYS_LEFT, day("2024-01-11"))
    world.done(PayArrears(CARD))
    assert world.sub.paid_through == day("2024-02-01")
    world.done(Cancel("now", "prorated"), by=SUPPORT)
    assert kept(world) == euros(20) - DAYS_LEFT


def test_days_that_were_bought_again_twice_on_one_day_go_back_once() -> None:
    world, first, second = bought_again()
    world.done(Cancel("now", "prorated"), by=SUPPORT)
    world.reactivate()
    for payment in (first, second, last_reference(world)):
        charged_back(world, payment)
    world.done(PayArrears(CARD))
    assert [paid.amount for paid in world.sub.settlements] == [DAYS_LEFT]
    world.done(Cancel("now", "prorated"), by=SUPPORT)
    assert world.refunded[2:] == [DAYS_LEFT]


def test_money_that_came_back_and_was_returned_buys_no_days_when_a_bank_takes_it_once_more() -> None:
    """Other money had paid for them meanwhile."""
    world = World()
    world.start(M, CARD)
    january = last_reference(world)
    charged_back(world, january)
    world.done(PayArrears(CARD))
    given_back(world, january)
    assert world.refunded == [euros(20)]
    world.at("2024-01-11")
    again = ChargedBack("dp_again")
    world.gateway.report(january, again)
    world.subs.report_payment(january, again)
    assert world.sub.owed == euros(20), "it went back to the customer before the bank took it"
    world.done(PayArrears(CARD))
    world.done(Cancel("now", "prorated"))
    assert world.refunded[1:] == [DAYS_LEFT]
    assert kept(world) == euros(20) - DAYS_LEFT


def test_days_that_were_bought_again_partly_with_credit_go_back_whole() -> None:
    world = World()
    world.start(M, CARD)
    world.done(Correct(credit=euros(15)), by=SUPPORT)
    world.at("2024-02-01")
    first = last_reference(world)
    world.at("2024-02-11")
    world.done(Cancel("now", "prorated"))
    world.reactivate()
    second = last_reference(world)
    charged_back(world, second)
    charged_back(world, first)
    world.done(PayArrears(CARD))
    world.done(Cancel("now", "prorated"), by=SUPPORT)
    assert (world.refunded, world.sub.credit) == ([euros(5), euros(5)], Money(810, "EUR")), "19 of 29 days"
    kept(world)


def test_days_that_a_new_period_took_the_place_of_do_not_go_back_with_an_older_debt() -> None:
    world = World(lifecycle=policy(resume="restart", pause_credit=True))
    world.start(M, CARD)
    january = last_reference(world)
    world.at("2024-01-05")
    world.done(Pause())
    world.at("2024-01-15")
    world.done(Resume(CARD))
    charged_back(world, january)
    world.done(PayArrears(CARD))
    world.done(Cancel("now", "prorated"), by=SUPPORT)
    assert world.sub.credit == Money(1742, "EUR"), "the 27 days since the pause began, once"
    assert kept(world) == euros(20) - Money(1742, "EUR")


def test_an_invoice_for_days_that_another_debt_is_about_is_owed_too() -> None:
    world = World()
    world.start(M, CARD)
    card = last_reference(world)
    world.done(Cancel("now", "prorated"))
    world.reactivate(INVOICE)
    world.take_lines("inv-1")
    charged_back(world, card)
    for key in ("unpaid", "again"):
        world.subs.report_invoice("inv-1", paid=False, by=SUPPORT, idempotency_key=key)
    assert [debt.invoice for debt in world.sub.arrears] == [None, "inv-1"]
    world.done(Cancel("now", "prorated"), by=SUPPORT)
    assert world.sub.credit is None
    world.subs.report_invoice("inv-1", paid=True, by=SUPPORT, idempotency_key="paid")
    assert world.sub.owed == euros(20)


@pytest.mark.parametrize(("amount", "left"), [(None, None), (euros(5), euros("10.16"))])
def test_what_support_gave_back_does_not_become_credit_when_a_block_is_lifted(
    amount: Money | None, left: Money | None
) -> None:
    world = World()
    world.start(M, CARD)
    world.done(Refund(last_reference(world), amount), by=SUPPORT)
    world.at("2024-01-11")
    world.done(Disable(), by=SUPPORT)
    world.jump("2024-03-05")
    world.done(Enable(), by=SUPPORT)
    assert world.sub.credit == left, "21/31 of what was no gift"


@pytest.mark.parametrize(("amount", "left"), [(None, []), (euros(5), [euros("10.16")])])
def test_what_support_gave_back_does_not_go_back_again_when_a_bank_takes_it_too(
    amount: Money | None, left: list[Money]
) -> None:
    world = World()
    world.start(M, CARD)
    january = last_reference(world)
    world.done(Refund(january, amount), by=SUPPORT)
    world.at("2024-01-11")
    charged_back(world, january)
    assert world.sub.owed == euros(20)
    world.done(PayArrears(CARD))
    assert (world.state, world.sub.paid_through) == (ACTIVE, day("2024-02-01"))
    world.done(Cancel("now", "prorated"))
    assert (world.refunded, world.sub.credit) == ([amount or euros(20), *left], None)
    kept(world)


def test_a_full_refund_is_in_time_on_the_day_for_which_it_is_asked() -> None:
    world = World(lifecycle=policy(full_refund_days=7))
    world.start(A, CARD)
    for late in ("2024-01-08", "2024-01-31", "2024-02-08", "2024-03-31"):
        (no,) = world.refused(Cancel(day(late), "full")).refusals
        assert no.code == "refund.full"
    world.done(Cancel(day("2024-02-07"), "full"))
    world.at("2024-02-07")
    assert world.refunded == [euros(20)], "February's, which has begun six days ago"
    kept(world)


def test_what_went_back_is_charged_once_where_a_bank_takes_it_while_that_payment_is_open() -> None:
    world = World()
    world.start(M, CARD)
    january = last_reference(world)
    world.at("2024-01-11")
    world.done(Cancel("now", "prorated"))
    world.gateway.require_action_next()
    waiting = world.waits(Reactivate(CARD))
    charged_back(world, january)
    world.capture_arrives(waiting.payment.reference)
    world.subs.report_payment(waiting.payment.reference, Captured("ch", world.clock()))
    world.done(PayArrears(CARD))
    world.done(Cancel("now", "prorated"), by=SUPPORT)
    with world.new_captures("13.55"):
        world.reactivate()
    kept(world)


def test_a_bank_that_takes_back_what_paid_for_nothing_leaves_no_debt_to_collect() -> None:
    world = World(lifecycle=policy(disputed_method="ask"))
    world.start(M, CARD)
    world.declining(1)
    world.at("2024-02-01")
    declined = world.gateway.requests[-1].reference
    world.at("2024-02-08")
    late = Captured("late", world.clock())
    world.gateway.report(declined, late)
    world.subs.report_payment(declined, late)
    assert world.refunded == [euros(20)]
    charged_back(world, declined)
    assert (world.state, world.sub.arrears) == (ACTIVE, ())
    world.at("2024-04-10")
    assert world.state is ACTIVE
