"""Money that goes back, comes again, or is used up as credit: the published figures, and what must always add up."""

from __future__ import annotations

from typing import Literal

import pytest
from tests.domain.world import BANK, CARD, INVOICE, SUPPORT, M, MakeWorld, Refund, World, Y, day, euros, policy

from subscription_lifecycle import (
    ACTIVE,
    CANCELLED,
    EXPIRED,
    MONTHLY,
    PAST_DUE,
    YEARLY,
    Cancel,
    Correct,
    Money,
    PayArrears,
    Plan,
    Reactivate,
    Subscription,
)
from subscription_lifecycle.ports import Captured, ChargedBack, Declined, Refunded
from subscription_lifecycle.testing.fakes import FakeGateway

Rounding = Literal["last", "daily"]

Y48 = Plan("yearly-48", Money.of("48.00", "EUR"), YEARLY)
Y211 = Plan("yearly-211.20", Money.of("211.20", "EUR"), YEARLY)
M4 = Plan("monthly-4", Money.of("4.00", "EUR"), MONTHLY)

LEGACY = [
    # The price file's own figures: the daily price of 48.00 is rounded to 0.13 first.
    pytest.param(Y48, "2018-01-13", "2018-03-01", "daily", "41.34", id="48.00_suspended_318_days_before_the_end"),
    pytest.param(Y48, "2018-01-13", "2018-03-01", "last", "41.82", id="48.00_the_same_rounded_last"),
    pytest.param(Y48, "2018-01-13", "2018-02-01", "daily", "44.98", id="48.00_for_346_days"),
    pytest.param(Y48, "2018-01-13", "2018-02-01", "last", "45.50", id="48.00_for_346_days_exactly"),
    # In the same file 211.20 is rounded last.
    pytest.param(Y211, "2018-01-13", "2018-02-10", "last", "195.00", id="211.20_for_337_days"),
    pytest.param(Y211, "2018-01-13", "2018-12-17", "last", "15.62", id="211.20_for_27_days"),
    pytest.param(Y211, "2018-01-13", "2019-01-12", "last", "0.58", id="211.20_for_one_day"),
    # A month of 4.00, one seat from 1 February on, twelve of 31 days: 1.55 (the prose's 1.54 is arithmetic's error).
    pytest.param(M4, "2018-01-13", "2018-02-01", "last", "1.55", id="4.00_for_12_days"),
    pytest.param(M4, "2018-01-13", "2018-02-01", "daily", "1.56", id="4.00_for_12_days_at_0.13"),
]


@pytest.mark.parametrize(("plan", "begins", "when", "rounding", "back"), LEGACY)
def test_published_prorations(
    make_world: MakeWorld, plan: Plan, begins: str, when: str, rounding: Rounding, back: str
) -> None:
    """Cancelled, the days to come go back; reactivated the same day, the same sum is charged, and no date moves."""
    world = make_world(begins, policy(rounding=rounding))
    world.start(plan)
    before = world.sub
    world.at(when)
    world.done(Cancel("now", "prorated"))
    assert world.refunded == [euros(back)]
    with world.new_captures(back):
        after = world.reactivate().subscription
    assert (after.state, after.next_billing_date, after.term_end) == (
        ACTIVE,
        before.next_billing_date,
        before.term_end,
    )
    assert after.paid_through == before.paid_through


def test_what_was_used_and_what_goes_back_of_48_00() -> None:
    """19 days at 0.13 are 2.47, as published; the exact share of 19 days of 365 is 2.50."""
    price = Money.of("48.00", "EUR")
    assert price.prorated(19, 365, rounding="daily") == euros("2.47")
    assert price.prorated(19, 365, rounding="last") == euros("2.50")
    assert price.prorated(346, 365, rounding="daily") * 2 == euros("89.96")
    assert price.prorated(346, 365, rounding="last") * 2 == euros("91.00")
    assert M4.price.prorated(19, 31) == euros("2.45")


@pytest.mark.parametrize("rounding", ["last", "daily"])
@pytest.mark.parametrize("plan", [M, Y48, Y211])
@pytest.mark.parametrize("refund", ["prorated", "full"])
def test_a_whole_period_goes_back_whole(make_world: MakeWorld, plan: Plan, rounding: Rounding, refund: Refund) -> None:
    """On its first day, under both rules: never more than was paid (31 × 0.65 = 20.15), never less (365 × 0.13)."""
    world = make_world("2018-01-13", policy(rounding=rounding))
    world.start(plan)
    world.done(Cancel("now", refund), by=SUPPORT)
    assert world.refunded == [plan.price]
    assert world.sub.credit is None
    with world.new_captures(str(plan.price.amount)):
        world.reactivate()


def test_yen_by_days_never_exceed_what_was_paid() -> None:
    """20 yen for 31 days are 1 yen a day, rounded first: 25 days are not 25 yen."""
    world = World("2024-01-01", policy(rounding="daily"))
    world.start(Plan("yen", Money(20, "JPY"), MONTHLY))
    world.at("2024-01-07")
    world.done(Cancel("now", "prorated"))
    assert world.refunded == [Money(20, "JPY")]
    assert world.sub.credit is None


def test_a_full_refund_is_supports_or_in_time(world: World) -> None:
    world.start(M)
    world.at("2024-01-02")
    (refusal,) = world.refused(Cancel("now", "full")).refusals
    assert refusal.code == "refund.full"
    world.done(Cancel("now", "full"), by=SUPPORT)
    assert world.refunded == [euros(20)]


def test_a_full_refund_in_the_days_that_policy_names(make_world: MakeWorld) -> None:
    world = make_world("2024-01-01", policy(full_refund_days=7))
    world.start(M)
    world.at("2024-01-07T23:59")
    assert world.preview(Cancel("now", "full")).after.refunds[0].amount == euros(20)
    world.at("2024-01-08")
    assert world.refused(Cancel("now", "full")).refusals[0].code == "refund.full"


def test_a_period_is_refunded_to_a_customer_once(world: World) -> None:
    """Cancelling and reactivating again and again is no way to be charged less by rounding."""
    world.start(M)
    world.at("2024-01-11")
    world.done(Cancel("now", "prorated"))
    world.reactivate()
    assert world.refused(Cancel("now", "prorated")).refusals[0].code == "refund.again"
    world.done(Cancel("now", "prorated"), by=SUPPORT)
    assert world.refunded == [euros("13.55"), euros("13.55")]


def test_at_the_end_of_the_term_nothing_goes_back(world: World) -> None:
    world.start(M)
    world.at("2024-01-11")
    world.refused(Cancel("term_end", "prorated"))
    world.done(Cancel("term_end"))
    assert (world.state, world.refunded) == (ACTIVE, [])
    world.at("2024-02-01")
    assert (world.state, world.refunded) == (EXPIRED, [])


def test_a_cancellation_on_a_date_refunds_then(world: World) -> None:
    world.start(Y)
    world.at("2024-03-01")
    world.done(Cancel(day("2024-07-01"), "prorated"))
    assert (world.state, world.refunded) == (ACTIVE, [])
    world.at("2024-07-01")
    assert world.state == CANCELLED
    assert world.refunded == [euros("183.50")]  # 184 of 366 days


class DeafGateway(FakeGateway):
    """A gateway whose refunds do not go through for a while."""

    deaf = True

    def refund(self, reference: str, amount: Money, /) -> Refunded:
        if self.deaf:
            raise ConnectionError("no answer")
        return super().refund(reference, amount)


def deaf(world: World) -> DeafGateway:
    world.gateway = gateway = DeafGateway(world.clock)
    world.use(world.subs.lifecycle)
    return gateway


def test_a_refund_is_asked_for_until_the_gateway_takes_it_on(world: World) -> None:
    gateway = deaf(world)
    world.start(M)
    world.at("2024-01-11")
    result = world.done(Cancel("now", "prorated"))
    (pending,) = result.subscription.refunds
    assert (pending.reference, pending.amount) == (gateway.captures[0].reference, euros("13.55"))
    world.at("2024-01-12")
    assert world.sub.refunds == (pending,)
    gateway.deaf = False
    world.swept()
    assert world.refunded == [euros("13.55")]
    assert not world.sub.refunds
    assert world.history[-1].event == "refunded"
    world.at("2024-01-14")
    assert world.refunded == [euros("13.55")]


def test_a_pending_refund_outlives_deletion(world: World) -> None:
    gateway = deaf(world)
    world.start(M)
    world.at("2024-01-11")
    world.done(Cancel("now", "prorated"))
    world.at("2024-05-01")
    assert world.state.final
    gateway.deaf = False
    world.swept()
    assert world.refunded == [euros("13.55")]


def test_credit_is_used_before_capturing(world: World) -> None:
    world.start(M)
    world.done(Correct(credit=euros("27.50"), reason="apology"), by=SUPPORT)
    with world.new_captures():
        world.at("2024-02-01")
    assert (world.state, world.sub.credit) == (ACTIVE, euros("7.50"))
    with world.new_captures("12.50"):
        world.at("2024-03-01")
    assert world.sub.credit is None


def test_what_credit_paid_goes_back_as_credit(make_world: MakeWorld) -> None:
    """February was paid with 5.00 of credit and 15.00 by card; on its first day 15.00 goes back to the card."""
    world = make_world("2024-01-01")
    world.start(M)
    world.done(Correct(credit=euros("5.00")), by=SUPPORT)
    world.at("2024-02-01")
    assert world.captured == [euros(20), euros(15)]
    world.done(Cancel("now", "prorated"))
    assert (world.refunded, world.sub.credit) == ([euros(15)], euros(5))


@pytest.fixture
def promised(world: World) -> str:
    """A debit on its way for February, cancelled on the 11th with a refund that waits for it: its reference."""
    world.start(M, BANK)
    world.gateway.process_next()
    world.at("2024-02-11")
    reference = world.gateway.requests[-1].reference
    world.done(Cancel("now", "prorated"))
    (pending,) = world.sub.refunds
    assert (pending.reference, pending.amount) == (reference, euros("13.10"))  # 19 of 29 days
    return reference


def test_a_refund_waits_for_the_debit_it_is_of(world: World, promised: str) -> None:
    world.capture_arrives(promised)
    world.subs.report_payment(promised, Captured("ch", world.clock()))
    world.swept()
    assert (world.refunded, world.sub.refunds, world.sub.arrears) == ([euros("13.10")], (), ())


def test_a_debit_that_fails_after_a_refund_was_promised(world: World, promised: str) -> None:
    """Nothing came, so nothing goes back; what is owed is the days that were used."""
    world.subs.report_payment(promised, Declined("no_funds"))
    assert (world.sub.refunds, world.sub.owed) == ((), euros("6.90"))
    world.at("2024-02-20")
    assert world.refunded == []


def test_a_debit_that_fails_after_deletion_is_not_refunded_for_ever(world: World, promised: str) -> None:
    world.at("2024-05-20")
    assert world.state.final
    world.subs.report_payment(promised, Declined("no_funds"))
    assert (world.sub.refunds, world.refunded, world.swept().examined) == ((), [], 0)


def test_a_chargeback_after_the_refund_owes_all_of_it(make_world: MakeWorld) -> None:
    """The bank took back 20.00 of which 13.55 had gone back already: all twenty are owed again."""
    world = make_world("2024-01-01")
    world.start(M)
    world.at("2024-01-11")
    world.done(Cancel("now", "prorated"))
    world.subs.report_payment(world.gateway.captures[0].reference, ChargedBack("ch"))
    assert (world.state, world.sub.owed, world.sub.refunds) == (CANCELLED, euros(20), ())


def invoiced(world: World) -> Subscription:
    world.start(M, INVOICE)
    world.take_lines("R-1")
    world.at("2024-01-11")
    world.subs.report_invoice("R-1", paid=False, by=SUPPORT, idempotency_key="unpaid")
    assert world.state == PAST_DUE
    return world.sub


def test_an_invoice_paid_by_card_goes_back_to_the_card_alone(make_world: MakeWorld) -> None:
    world = make_world()
    invoiced(world)
    world.done(PayArrears(CARD))
    world.done(Cancel("now", "prorated"))
    assert (world.refunded, world.sub.credit) == ([euros("13.55")], None)


def test_an_invoice_that_was_not_paid_gives_nothing_back(make_world: MakeWorld) -> None:
    world = make_world()
    invoiced(world)
    world.done(Cancel("now", "prorated"))
    assert (world.refunded, world.sub.credit, world.sub.owed) == ([], None, euros(20))


def test_an_invoice_that_was_paid_late_gives_credit_back(make_world: MakeWorld) -> None:
    world = make_world()
    invoiced(world)
    world.subs.report_invoice("R-1", paid=True, by=SUPPORT, idempotency_key="paid")
    world.done(Cancel("now", "prorated"))
    assert (world.refunded, world.sub.credit, world.sub.owed) == ([], euros("13.55"), euros(0))


def test_a_refund_is_charged_again_only_for_days_to_come(world: World) -> None:
    world.start(M)
    world.at("2024-01-11")
    world.done(Cancel("now", "prorated"))
    world.at("2024-01-21")
    assert world.preview(Reactivate(CARD)).terms.charge == euros("7.10")  # 11 of the 21 days refunded
    with world.new_captures("7.10"):
        world.reactivate()


def test_a_refund_and_a_block_do_not_both_give_back(world: World) -> None:
    """Cancelled with a refund, then past the billing date: a new period, and nothing is refunded twice."""
    world.start(M)
    world.at("2024-01-11")
    world.done(Cancel("now", "prorated"))
    world.at("2024-02-05")
    with world.new_captures("20.00"):
        after = world.reactivate().subscription
    assert (after.state, after.next_billing_date, after.credit) == (ACTIVE, day("2024-03-05"), None)
    world.done(Cancel("now", "prorated"))
    assert world.refunded == [euros("13.55"), euros(20)]
